"""What a train step of each method costs, relative to the baseline."""

import dataclasses
import itertools

import tensorflow as tf

from noisymix_tf import augment, data
from noisymix_tf.benchmarks import timing
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup

BASELINE = "baseline"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one batch costs.

    Attributes:
        num_views: Views of each image in it.
        views: `Timing` of making them out of the images, cropping and
            flipping included, which the input pipeline does.
        step: `Timing` of the train step.
    """

    num_views: int
    views: timing.Timing
    step: timing.Timing


def run(configs, rounds=10):
    """Times the views and the train step of each method, all in turn.

    Every method gets the same batch of training images; those with several
    views of an image compute on a multiple of it.

    Args:
        configs: Dict from method to `Config`, with the baseline among them.
            All have one dataset, network and batch size.
        rounds: Timed batches of each method. PuzzleMix draws its grid anew in
            each, and what mixes at a random layer its layer.

    Returns:
        Dict from method to `Cost`.

    Raises:
        UsageError: No baseline among the methods, or a batch size above the
            number of training images.
    """
    if BASELINE not in configs:
        raise UsageError(
            f"Costs are relative to {BASELINE}: give it among the methods."
        )
    config = configs[BASELINE]
    batch_size = config.optimizer.batch_size
    dataset = setup.dataset(config.data)
    data.steps_per_epoch(dataset.train, batch_size)  # Or too large a batch.
    images, labels = next(
        iter(data.views(dataset.train, batch_size=batch_size))
    )
    makers, steps, views = {}, {}, {}
    for method, each in configs.items():
        makers[method] = _maker(each, dataset, images[:, 0])
        made = makers[method]()
        views[method] = made.shape[1]
        steps[method] = _step(each, dataset, made, labels)
    makers = timing.interleaved(makers, rounds)
    steps = timing.interleaved(steps, rounds)
    costs = {m: Cost(views[m], makers[m], steps[m]) for m in configs}
    print(
        f"{config.model.model}, width {config.model.width}, batch "
        f"{batch_size}, {dataset.name}; means of {rounds} batches"
    )
    print(_table(costs))
    return costs


def _table(costs):
    baseline = costs[BASELINE].step
    rows = [
        [
            method,
            str(cost.num_views),
            f"{1000 * cost.views.cpu:.0f}",
            f"{1000 * cost.step.wall:.0f}",
            f"{1000 * cost.step.cpu:.0f}",
            f"{cost.step.wall / baseline.wall:.2f}",
            f"{cost.step.cpu / baseline.cpu:.2f}",
        ]
        for method, cost in costs.items()
    ]
    header = ["method", "views", "their CPU ms", "step wall ms", "CPU ms"]
    return timing.table([*header, "x wall", "x CPU"], rows)


def _maker(config, dataset, images):
    """A function that makes the views of a batch, `[B, V, H, W, C]`."""
    steps = itertools.count()
    functions = setup.augmentations(config, dataset)

    def make():
        return augment.batch_views(
            images, seed=config.run.seed, step=next(steps), **functions
        )

    return make


def _step(config, dataset, views, labels):
    """A function that runs one compiled train step."""
    trainer = setup.trainer(
        config, setup.classifier(config, dataset), steps_per_epoch=1000
    )
    data = tf.data.Dataset.from_tensors((views, labels)).repeat()
    trainer.make_train_function()
    batches = iter(data)
    return lambda: trainer.train_function(batches)
