"""What training a model in segments costs over plain `model.fit`."""

import dataclasses

import keras
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.benchmarks import timing
from noisymix_tf.training import setup

_APPLICATION_SIDE = 64


def run(config, rounds=20, applications=("MobileNetV3Small", "ResNet50")):
    """Times train steps on the same images: plain Keras against segments.

    Mixing, noise and the stability term are off, so that both steps compute
    the same.

    Args:
        config: `Config`; its network, width and batch size are used.
        rounds: Timed steps of each kind.
        applications: Names in `keras.applications`, timed as well: networks
            that are not ours.

    Returns:
        Dict from network to `(plain, segments)`, each a `Timing`.
    """
    batch = config.optimizer.batch_size
    results = {}
    for name in (config.model.model, *applications):
        # Even, for strided 1 x 1 convolutions on a CPU (README, "Limits").
        size = max(2, batch // 8 * 2) if name in applications else batch
        steps = {
            "plain": _plain_step(config, _build(config, name), size),
            "segments": _segments_step(config, _build(config, name), size),
        }
        timings = timing.interleaved(steps, rounds)
        results[f"{name}, batch {size}"] = tuple(timings.values())
    rows = [
        [
            name,
            f"{1000 * plain.wall:.0f}",
            f"{1000 * ours.wall:.0f}",
            f"{ours.wall / plain.wall:.3f}",
            f"{ours.cpu / plain.cpu:.3f}",
        ]
        for name, (plain, ours) in results.items()
    ]
    print(f"Means of {rounds} steps; width {config.model.width} of ours")
    header = ["network", "plain ms", "segments ms", "wall ratio", "CPU ratio"]
    print(timing.table(header, rows))
    return results


def _build(config, name):
    if name == config.model.model:
        return models.build(
            name,
            input_shape=(32, 32, 3),
            num_classes=10,
            width=config.model.width,
            seed=config.run.seed,
        )
    return getattr(keras.applications, name)(
        input_shape=(_APPLICATION_SIDE, _APPLICATION_SIDE, 3),
        weights=None,
        classes=10,
        classifier_activation=None,
    )


def _plain_step(config, model, batch):
    model.compile(
        optimizer=setup.optimizer(config.optimizer, 1000),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=config.run.jit_compile == "true",
    )
    return _step(model, _images(model, batch))


def _segments_step(config, model, batch):
    method = dataclasses.replace(
        config.method,
        taps=("auto",),
        views="none",
        stability="none",
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
    )
    config = dataclasses.replace(config, method=method)
    trainer = setup.trainer(config, model, steps_per_epoch=1000)
    return _step(trainer, _images(model, batch))


def _images(model, batch):
    shape = [batch, *model.input_shape[1:]]
    images = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
    labels = tf.random.stateless_uniform([batch], [0, 2], 0, 10, tf.int32)
    return tf.data.Dataset.from_tensors((images, labels)).repeat()


def _step(model, data):
    """A function that runs one compiled train step of a Keras model."""
    model.make_train_function()
    batches = iter(data)
    return lambda: model.train_function(batches)
