"""Batch normalisation by the statistics of the images that are measured.

Under corruption the statistics that a network has learnt are no longer those of
its features. Without labels, and without a change of its weights, each batch
can be normalised by its own mean and variance, in which the learnt ones count
as much as `prior` images: Schneider et al. (2020), "Improving robustness
against common corruptions by covariate shift adaptation", arXiv:2006.16971.

What an image is taken for then depends on those beside it, so all are measured
in one drawn order: images of a class seldom lie together.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from noisymix_tf.checks import input_dtype
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.images import Images, Reopened, require
from noisymix_tf.lazy import keras, tf
from noisymix_tf.models.averaging import normalisations
from noisymix_tf.models.graph import Graph, is_graph
from noisymix_tf.models.unwrap import classifier_of

# Of a cell whose model adapted, `Cell.adapt` begins so.
BN = "bn"
_ORDER_SEED = 0


def tasks(found, job) -> list:
    """The same `Task`s once more, of a model that adapts to each batch."""
    of = job.settings
    word = f"{BN}, prior {of.prior}, batches of {job.batch_size}"
    predictor = job.model and adapting(job.model, of.prior)
    mixed = functools.cache(_mixed)
    made = []
    for task in found:
        places = order(task.images.n)
        if of.prior == 0 and len(places) % job.batch_size == 1 % job.batch_size:
            raise UsageError(
                f"prior=0: of {len(places)} images in batches of "
                f"{job.batch_size} one is alone in its batch, whose statistics "
                "tell nothing: choose another batch size or a prior of at "
                "least 1."
            )
        own = {"cell": dataclasses.replace(task.cell, adapt=word)}
        if task.make:
            own["make"] = functools.partial(_in_order, task.make, places)
        if task.right is not None:
            own["right"] = [task.right[place] for place in places]
        own |= {"images": mixed(task.images), "predictor": predictor}
        made.append(dataclasses.replace(task, **own))
    return made


def adapting(model, prior) -> Callable:
    """A function as a `Predictor`, whose batch normalisation adapts.

    Args:
        model: Functional or Sequential Keras model, which stays as it is.
        prior: How many images the learnt statistics count as; 0: not at all.

    Raises:
        UsageError: It has no batch normalisation that can be reached.
    """
    model = classifier_of(model)
    layers = normalisations(model) if hasattr(model, "layers") else []
    graph = Graph(model) if layers and is_graph(model) else None
    within = [step.operation for step in graph.steps] if graph else []
    if not layers or not {*map(id, layers)} <= {*map(id, within)}:
        what = "lies within layers of its own" if layers else "it lacks"
        raise UsageError(
            f"adapt={BN} is for batch normalisation, which {what}: leave "
            "it out, or measure a functional model that has such layers."
        )
    forward = functools.partial(_forward, model, graph, prior)
    forward = tf.function(forward, reduce_retracing=True)
    return lambda images: forward(images).numpy()


def _forward(model, graph, prior, images):
    values = {0: tf.cast(images, input_dtype(model, images.shape[1:]))}
    for step in graph.steps:
        args, kwargs = step.fill_in(values)
        if isinstance(step.operation, keras.layers.BatchNormalization):
            found = normalised(step.operation, args[0], prior)
        else:
            if isinstance(step.operation, keras.layers.Layer):
                kwargs["training"] = False
            found = step.operation(*args, **kwargs)
        values.update(zip(step.outputs, keras.tree.flatten(found)))
    return tf.cast(values[graph.output], tf.float32)


def normalised(layer, x, prior) -> "tf.Tensor":
    """What a layer of batch normalisation makes of a batch that it adapts to.

    Args:
        layer: Built `keras.layers.BatchNormalization`.
        x: Float `[B, ...]`.
        prior: N: the learnt statistics have a share of N / (N + B).
    """
    dtype, axis = layer.compute_dtype, layer.axis % len(x.shape)
    x = tf.cast(x, tf.float32)
    others = [k for k in range(len(x.shape)) if k != axis]
    own = tf.nn.moments(x, others)
    share = prior / (prior + tf.cast(tf.shape(x)[0], tf.float32))
    learnt = layer.moving_mean, layer.moving_variance
    shape = [x.shape[k] if k == axis else 1 for k in range(len(x.shape))]
    mean, variance = (
        tf.reshape(share * tf.cast(a, tf.float32) + (1 - share) * b, shape)
        for a, b in zip(learnt, own)
    )
    offset, scale = (
        None if each is None else tf.reshape(tf.cast(each, tf.float32), shape)
        for each in (layer.beta, layer.gamma)
    )
    how = offset, scale, layer.epsilon
    return tf.cast(tf.nn.batch_normalization(x, mean, variance, *how), dtype)


def order(n) -> np.ndarray:
    """Places of n images in the order in which all are measured."""
    generator = np.random.Generator(np.random.Philox(key=_ORDER_SEED))
    return generator.permutation(n)


def _mixed(images):
    split = images.split
    require(split, f"adapt={BN} needs images in any order", "subset")
    mixed = Reopened(lambda: split.subset(order(images.n)))
    own = images.name, images.num_classes, images.preprocess
    return Images(mixed, *own)


def _in_order(make, order, images, indices):
    return make(images, indices=order[indices])
