"""What a train step of each method costs, relative to the baseline.

Every method gets the same batch of training images; those with several views
compute on a multiple of it. Views are made beside the step, on the host.
"""

import itertools

from noisymix_tf import augment, data
from noisymix_tf.benchmarks import BENCHMARKS, steps, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup

BASELINE = "baseline"


@BENCHMARKS.register(
    "methods",
    title="every method beside the baseline",
    rounds=10,
    compares=True,
)
def run(configs, rounds):
    """Times the views, cropping and flipping included, and the step of each.

    Figures of a method: number of views, `Timing`s of making them and of the
    step. All have one dataset, network and batch size.
    """
    if BASELINE not in configs:
        raise UsageError(
            f"Costs are relative to {BASELINE}: give it among the methods."
        )
    config = configs[BASELINE]
    dataset = setup.dataset(config)
    batches = data.views(dataset.train, batch_size=config.batch_size)
    images, labels = next(iter(batches))
    makers, trained, views = {}, {}, {}
    for method, each in configs.items():
        makers[method] = _maker(each, dataset, images[:, 0])
        made = makers[method]()
        views[method] = made.shape[1]
        trained[method] = steps.of_config(each, dataset, made, labels)
    makers = timing.interleaved(makers, rounds)
    title = f"{steps.title(config, dataset)}; means of {rounds} batches"
    trained = timing.compared(title, trained, rounds, BASELINE)
    rows = [
        [name, str(views[name]), f"{1000 * made.cpu:.0f}"]
        for name, made in makers.items()
    ]
    timing.tell(["made beside it", "views", "CPU ms"], rows)
    return {name: (views[name], makers[name], trained[name]) for name in views}


def _maker(config, dataset, images):
    """A function that makes the views of a batch, `[B, V, H, W, C]`."""
    numbers = itertools.count()
    functions = setup.augmentations(config, dataset)
    return lambda: augment.batch_views(
        images, seed=config.seed, step=next(numbers), **functions
    )
