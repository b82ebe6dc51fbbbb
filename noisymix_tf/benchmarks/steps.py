"""Compiled train steps as the command runs them, to be timed."""

import dataclasses
import time

import keras
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.benchmarks import timing
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.training import setup

# Where a step draws a tap or a grid, XLA compiles its part when it is first
# drawn. So many steps leave out one of four once in 2,500 times.
_WARMUP = 32


def of_config(config, dataset, *batch):
    """A function that runs a step, compiled, on views `[B, V, ...]`, labels."""
    classifier = setup.classifier(config, dataset)
    step = of_model(setup.trainer(config, classifier, 1000), *batch)
    kind = MIXINGS.get(config.mixing)
    for _ in range(_WARMUP if kind.hidden or kind.per_example else 1):
        step()
    return step


def of_model(model, *batch):
    """A function that runs one train step of a compiled Keras model."""
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step = of_batches(model)
    return lambda: step(batches)


def of_batches(model):
    """The same of an iterator: a step for each batch of an execution."""
    model.make_train_function()

    def step(batches):
        # An accelerator may still be at work until its figures are read.
        logs = model.train_function(batches)
        keras.tree.map_structure(lambda value: value.numpy(), logs)

    return step


def training(config):
    """A training's title, trainer and endless batches of views."""
    dataset = setup.dataset(config)
    epoch = data.steps_per_epoch(dataset.train, config.batch_size)
    classifier = setup.classifier(config, dataset)
    trainer = setup.trainer(config, classifier, epoch, dataset)
    return title(config, dataset), trainer, setup.views(config, dataset)


def fed(batches, number, work):
    """Lets work take batches, each as an iterator of one: seconds that this
    takes, those of the CPU, and those of waiting for batches.
    """
    waited, start = 0.0, timing.clock()
    for _ in range(number):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        work(iter([batch]))
    return *(timing.clock() - start), waited


def cross_entropy(config):
    """The configuration with plain cross-entropy in place of its method."""
    none = dict.fromkeys(("views", "stability", "mixing"), "none")
    noise = dict.fromkeys(("additive_noise", "multiplicative_noise"), 0.0)
    return dataclasses.replace(config, **none, **noise, ramps=())


def title(config, dataset):
    """The network and the images of a benchmark, in words."""
    side = "x".join(map(str, dataset.image_shape[:2]))
    return (
        f"{config.method}, {config.model} width {config.width:g}, batch "
        f"{config.batch_size}, {dataset.name} {side}"
    )
