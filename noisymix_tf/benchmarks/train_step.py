"""What a method costs over plain cross-entropy on the same images.

The method on B images of V views is compared with cross-entropy on the same V B
images, each an example of its own, as batch normalisation sees them, and on B
images, the ordinary step. The batch is one of the real pipeline, in memory:
how long it takes to make is left out.
"""

import tensorflow as tf

from noisymix_tf.benchmarks import BENCHMARKS, steps, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup


@BENCHMARKS.register(
    "train_step", title="a method beside cross-entropy", rounds=20
)
def run(config, rounds):
    """Times single train steps; dict from kind of step to `Timing`."""
    method = config.method
    if config.augment_on == "device":
        raise UsageError(
            "--augment_on=device: the comparison is of steps alone, which get "
            "their views from the host; leave it out."
        )
    if config.stability == "none":
        raise UsageError(
            f"--method={method} has one view of each image; the comparison is "
            f"for methods with several, such as noisymix."
        )
    dataset = setup.dataset(config)
    views, labels = next(iter(setup.views(config, dataset)))
    batch, count = views.shape[:2]
    every = tf.reshape(views, [batch * count, 1, *views.shape[2:]])
    plain = steps.cross_entropy(config)
    own = f"{method}, {batch} x {count} views"
    same, fewer = (f"cross-entropy, {n} images" for n in (count * batch, batch))
    made = {
        own: (config, dataset, views, labels),
        same: (plain, dataset, every, tf.repeat(labels, count)),
        fewer: (plain, dataset, views[:, :1], labels),
    }
    calls = {name: steps.of_config(*given) for name, given in made.items()}
    title = f"{steps.title(config, dataset)}; means of {rounds} steps"
    timings = timing.compared(title, calls, rounds, same)
    print(f"{method}: {batch / timings[own].wall:.0f} samples/s")
    return timings
