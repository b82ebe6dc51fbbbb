"""What a method costs over plain cross-entropy on the same images.

The method on B images of V views is compared with cross-entropy on the same V B
images, each an example of its own, and with cross-entropy on B images, the
ordinary step. Network, optimizer and operations are the same, and batch
normalisation sees V B images in the first two. The batch is one of the real
pipeline; that it is in memory leaves out how long it takes to make.
"""

import tensorflow as tf

from noisymix_tf.benchmarks import BENCHMARKS, steps, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup


@BENCHMARKS.register(
    "train_step", title="a method beside cross-entropy", rounds=20, unit="steps"
)
def run(config, rounds):
    """Times single train steps; dict from kind of step to `Timing`.

    Raises:
        UsageError: The method has only one view.
    """
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
    repeated = tf.repeat(labels, count)
    plain = steps.cross_entropy(config)
    same = f"cross-entropy, {count * batch} images"
    made = {
        f"{method}, {batch} x {count} views": (config, views, labels),
        same: (plain, every, repeated),
        f"cross-entropy, {batch} images": (plain, views[:, :1], labels),
    }
    timings = timing.interleaved(
        {
            name: steps.of_config(each, dataset, *arrays)
            for name, (each, *arrays) in made.items()
        },
        rounds,
    )
    print(f"{steps.title(config, dataset)}; means of {rounds} steps")
    print(timing.beside(timings, same))
    wall = next(iter(timings.values())).wall
    print(f"{method}: {batch / wall:.0f} samples/s")
    return timings
