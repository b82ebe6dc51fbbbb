"""What NoisyMix costs over plain cross-entropy on the same images."""

import dataclasses

import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.benchmarks import timing
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup


def run(config, rounds=20):
    """Times single train steps on images that are in memory already.

    Compares NoisyMix on B images of V views (three unless the flags say
    otherwise) with cross-entropy on V B images, the same network and number of
    images, and on B images, the ordinary step of the baseline.

    Args:
        config: `Config`; its model, batch size and noise levels are used.
        rounds: Timed steps of each kind.

    Returns:
        Dict from kind of step to `Timing`.

    Raises:
        UsageError: The method has only one view.
    """
    if config.method.stability == "none":
        raise UsageError(
            f"--method={config.method.method} has one view of each image; the "
            f"comparison is for methods with several, such as noisymix."
        )
    batch, views = config.optimizer.batch_size, config.method.num_views
    plain = dataclasses.replace(
        config.method,
        views="none",
        stability="none",
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
    )
    kinds = {
        f"{config.method.method}, {batch} x {views} views": (
            config.method,
            batch,
            views,
        ),
        f"cross-entropy, {views * batch} images": (plain, views * batch, 1),
        f"cross-entropy, {batch} images": (plain, batch, 1),
    }
    steps = {
        name: _step(dataclasses.replace(config, method=method), size, views)
        for name, (method, size, views) in kinds.items()
    }
    timings = timing.interleaved(steps, rounds)
    rows = [
        [
            name,
            f"{1000 * t.wall:.0f}",
            f"{1000 * t.cpu:.0f}",
            f"{batch / t.wall:.0f}" if size == batch else "",
        ]
        for (name, t), (_, size, _) in zip(timings.items(), kinds.values())
    ]
    print(
        f"{config.model.model}, width {config.model.width}, 32 px; means of "
        f"{rounds} steps"
    )
    print(timing.table(["step", "wall ms", "CPU ms", "samples/s"], rows))
    method, same_images, _ = timings.values()
    print(
        f"{config.method.method} / cross-entropy on the same images: "
        f"{method.wall / same_images.wall:.3f} wall, "
        f"{method.cpu / same_images.cpu:.3f} CPU"
    )
    return timings


def _step(config, batch_size, num_views):
    """A function that runs one compiled train step."""
    trainer = setup.trainer(
        config,
        models.build(
            config.model.model,
            input_shape=(32, 32, 3),
            num_classes=10,
            width=config.model.width,
            dropout=config.model.dropout,
            seed=config.run.seed,
        ),
        steps_per_epoch=1000,
    )
    shape = [batch_size, num_views, 32, 32, 3]
    views = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
    labels = tf.random.stateless_uniform([batch_size], [0, 2], 0, 10, tf.int32)
    data = tf.data.Dataset.from_tensors((views, labels)).repeat()
    trainer.make_train_function()
    batches = iter(data)
    return lambda: trainer.train_function(batches)
