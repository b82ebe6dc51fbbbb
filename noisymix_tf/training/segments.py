"""Cuts a Keras model at named layers into segments that share its weights."""

import itertools

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.models import taps as taps_lib
from noisymix_tf.models.graph import Graph, is_graph
from noisymix_tf.training import fused_norm, replication

__all__ = ["AUTO", "INPUT", "auto_taps", "cut", "cut_points", "is_graph"]

INPUT = taps_lib.INPUT
AUTO = taps_lib.AUTO


def cut(model, taps=AUTO):
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

    Example:

    >>> names, segments = cut(model, taps=["normalize", "stage1"])
    >>> h = x
    >>> for segment in segments:
    ...     h = segment(h, training=False)
    """
    if not is_graph(model):
        return _cut_without_graph(model, taps)
    graph = Graph(model)
    places, values, names = zip(*taps_lib.find(graph, taps))
    places = (0, *places, len(graph.steps))
    values = (0, *values, graph.output)
    return names, [
        Segment(model, i, graph.steps[start:end], *values[i : i + 2])
        for i, (start, end) in enumerate(itertools.pairwise(places))
    ]


def cut_points(model):
    """Finds every layer whose output all paths from input to output pass.

    Args:
        model: Functional or Sequential model with one input and one output.

    Returns:
        Dict from name to symbolic output, in the order of the data flow,
        without the model's own input and output. Layers of nested models go by
        `"model/layer"`.

    Example:

    >>> {name: t.shape for name, t in cut_points(model).items()}
    """
    _require_built(model)
    return {point.name: point.tensor for point in Graph(model).points}


def auto_taps(model):
    """The taps that `"auto"` stands for; see `noisymix_tf.models.taps`."""
    _require_built(model)
    return taps_lib.choose(Graph(model))


class Segment:
    """A stretch of a model as a function of one tensor, without own weights.

    Args:
        model: The model that it is part of.
        number: Which of its segments it is, from 0.
        steps: Steps of the model's graph.
        start, end: Numbers of the values that it takes and puts out.
    """

    def __init__(self, model, number, steps, start, end):
        self._model = model
        self._steps = steps
        self._start, self._end = start, end
        self._is_first = number == 0
        self._frame = _Frame(self._run, f"segment_{number}", model.dtype_policy)

    def __call__(self, x, training=None):
        if self._is_first:
            # What layers added in the step before, as when a model is called.
            self._model._clear_losses()
        return self._frame(x, training=training)

    def _run(self, x, training):
        values = {self._start: x}
        for step in self._steps:
            args, kwargs = step.fill_in(values)
            given = step.training if training is None else training
            is_layer = isinstance(step.operation, keras.layers.Layer)
            if given is not None and is_layer:
                # As Keras: it overrides what the call in the graph says.
                kwargs["training"] = given
            if fused_norm.applies(step.operation, args, kwargs):
                found = fused_norm.batch_normalization(step.operation, *args)
            else:
                with replication.own_draws(step.operation):
                    found = step.operation(*args, **kwargs)
            values.update(zip(step.outputs, keras.tree.flatten(found)))
        return values[self._end]


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
