"""Cuts a Keras model at named layers into segments that share its weights.

Keras composes batch normalisation of elementwise operations, which without XLA
take up to a third of a train step on a CPU. In training, segments call
TensorFlow's fused kernel on the same variables instead; the model itself stays
as it is. XLA fuses the elementwise operations better than it expands the
kernel. Half precision goes into the kernel as it is, whose arithmetic is in
float32 all the same: what is kept for the backward pass is then half as large.
"""

import itertools
from collections.abc import Iterable

import keras
import tensorflow as tf

from noisymix_tf import private
from noisymix_tf.errors import UsageError
from noisymix_tf.models import taps as taps_lib
from noisymix_tf.models.graph import Graph, is_graph
from noisymix_tf.models.taps import AUTO, INPUT
from noisymix_tf.philox import is_compiled_by_xla
from noisymix_tf.training import replication

_FUSED_DTYPES = ("float16", "bfloat16", "float32")
# What batch normalisation can be told. An option that a later Keras adds may
# change what it does, and is left to it.
_KNOWN_OPTIONS = frozenset(
    "axis beta_constraint beta_initializer beta_regularizer center dtype "
    "epsilon gamma_constraint gamma_initializer gamma_regularizer momentum "
    "moving_mean_initializer moving_variance_initializer name renorm "
    "renorm_clipping renorm_momentum scale synchronized trainable".split()
)


def cut(model, taps=AUTO) -> tuple[tuple, list]:
    """Cuts a model at taps.

    Args:
        model: Keras model with one input. Functional and Sequential models can
            be cut anywhere that all paths pass; others only at `"input"`.
        taps: `"auto"`; `"auto:N"` for at most the first `N` of these; or names
            of layers in the order of the data flow. `"input"` stands for the
            model's input. Inside a nested model a layer is `"model/layer"`, or
            just `"layer"` where no other has that name; the second call of a
            layer is `"layer#2"`.

    Returns:
        `(names, segments)`: the taps' names, and `len(names) + 1` callables of
        the form `segment(x, training)`; segment `i` ends at tap `i`, the last
        one at the model's output. Chained, they compute the model exactly, with
        the moving statistics and the added losses that the model would have.

    Raises:
        UsageError: A tap that does not exist or that not all paths pass; the
            message lists valid points.

    >>> stack = keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2)
    >>> model = keras.Sequential([keras.Input([3]), *stack])
    >>> names, (head, tail) = cut(model, ["hidden"])
    >>> tail(head(tf.zeros([8, 3]), training=False), training=False).shape
    TensorShape([8, 2])
    """
    if not isinstance(taps, Iterable):
        raise UsageError(
            f"taps={taps!r} must be 'auto', such as 'auto:3', or names of "
            f"layers."
        )
    if not is_graph(model):
        return _cut_without_graph(model, taps)
    graph = Graph(model)
    places, values, names = zip(*taps_lib.find(graph, taps))
    places = (0, *places, len(graph.steps))
    values = (0, *values, graph.output)
    return names, [
        _segment(model, i, graph.steps[start:end], *values[i : i + 2])
        for i, (start, end) in enumerate(itertools.pairwise(places))
    ]


def cut_points(model) -> dict:
    """Finds every layer whose output all paths from input to output pass.

    Args:
        model: Functional or Sequential model with one input and one output.

    Returns:
        Dict from name to symbolic output, in the order of the data flow,
        without the model's own input and output. Layers of nested models go by
        `"model/layer"`.

    >>> stack = keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2)
    >>> list(cut_points(keras.Sequential([keras.Input([3]), *stack])))
    ['hidden']
    """
    _require_built(model)
    return {point.name: point.tensor for point in Graph(model).points}


def _segment(model, number, steps, start, end):
    """A stretch of a model as a function of one tensor, without own weights.

    It takes the value with the number `start`, runs some steps of the model's
    graph, and gives the value with the number `end`.
    """

    def run(x, training):
        values = {start: x}
        for step in steps:
            args, kwargs = step.fill_in(values)
            given = step.training if training is None else training
            is_layer = isinstance(step.operation, keras.layers.Layer)
            if given is not None and is_layer:
                # As Keras: it overrides what the call in the graph says.
                kwargs["training"] = given
            if fuses(step.operation, args, kwargs):
                found = fused_batch_normalization(step.operation, *args)
            else:
                with replication.own_draws(step.operation):
                    found = step.operation(*args, **kwargs)
            values.update(zip(step.outputs, keras.tree.flatten(found)))
        return values[end]

    frame = _Frame(run, f"segment_{number}", model.dtype_policy)

    def segment(x, training=None):
        if number == 0:
            # What layers added in the step before, as when a model is called.
            model._clear_losses()
        return frame(x, training=training)

    return segment


class _Frame(keras.layers.Layer):
    """What a model's call does around its layers, without any of them."""

    def __init__(self, run, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self._run = run
        # As in functional models, which bring inputs to dtypes of their own.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    def call(self, x, training=None):
        return self._run(x, training)


def _cut_without_graph(model, taps):
    _require_built(model)
    is_input = taps == INPUT or tuple(taps) == (INPUT,)
    if not is_input and not taps_lib.is_auto(taps):
        raise UsageError(
            f"taps={taps!r}: a subclassed model ({type(model).__name__}) "
            f"has no graph of layers; use taps='input' (mixing at the "
            f"input) or a functional or Sequential model."
        )

    def whole(x, training=None):
        with replication.own_draws(model):
            return model(x, training=training)

    return (INPUT,), [lambda x, training=None: x, whole]


def _require_built(model):
    if isinstance(model, keras.Sequential) and not model.built:
        raise UsageError(
            f"The Sequential model {model.name!r} is not built; make "
            f"keras.Input(shape) its first entry, or call its build()."
        )


def fuses(operation, args, kwargs) -> bool:
    """Whether a call is batch normalisation in training as the kernel does it.

    That is: of images with channels last.
    """
    return (
        type(operation) is keras.layers.BatchNormalization
        and bool(kwargs.get("training"))
        and kwargs.get("mask") is None
        and len(args) == 1
        and private.get_keras_mask(args[0]) is None
        and len(args[0].shape) == 4
        and operation.axis in (-1, 3)
        and operation.trainable
        and not operation.synchronized
        and not operation.renorm
        and operation.activity_regularizer is None
        and operation.compute_dtype in _FUSED_DTYPES
        and _KNOWN_OPTIONS.issuperset(operation.get_config())
        and not is_compiled_by_xla()
    )


def fused_batch_normalization(layer, x) -> tf.Tensor:
    """What a built layer makes of `[B, H, W, C]` in training, fused."""
    # As Keras: inputs in the compute dtype, arithmetic in float32.
    x = tf.cast(x, layer.compute_dtype)
    if not takes(layer.compute_dtype, layer.moving_mean.value.device):
        x = tf.cast(x, tf.float32)
    channels = [x.shape[-1]]
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x,
        _float32(layer.gamma) if layer.scale else tf.ones(channels),
        _float32(layer.beta) if layer.center else tf.zeros(channels),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel's variance is the unbiased one; Keras keeps the biased.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance *= (count - 1.0) / count
    statistics = layer.moving_mean, layer.moving_variance
    for moving, value in zip(statistics, (mean, variance)):
        moving.assign(
            _float32(moving) * layer.momentum + value * (1.0 - layer.momentum)
        )
    return tf.cast(y, layer.compute_dtype)


def takes(dtype, device) -> bool:
    """Whether a device's kernel gets a dtype as it is.

    On CPUs the one for float16 is slower than the casts.
    """
    return dtype != "float16" or ":GPU:" in device


def _float32(variable):
    return tf.cast(tf.convert_to_tensor(variable), tf.float32)
