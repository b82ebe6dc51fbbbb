"""Cuts a Keras model at named layers into segments that share its weights."""

import difflib

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.training import fused_norm, replica_draws
from noisymix_tf.training import taps as taps_lib
from noisymix_tf.training.graph import Graph, is_graph

__all__ = ["AUTO", "INPUT", "auto_taps", "cut", "cut_points", "is_graph"]

INPUT = taps_lib.INPUT
AUTO = "auto"
# An error message that names more points than this is not read.
_MAX_LISTED = 12


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
    if _is_auto(taps):
        taps = taps_lib.choose(graph)[: _how_many(taps)]
    elif isinstance(taps, str):
        taps = (taps,)
    if not taps:
        raise UsageError("taps is empty: name at least one layer, or 'input'.")
    chosen = [_find(tap, graph) for tap in taps]
    positions = [-1 if point is None else point.position for point in chosen]
    names = tuple(INPUT if p is None else p.name for p in chosen)
    if positions != sorted(set(positions)):
        order = sorted(set(zip(positions, names)))
        raise UsageError(
            f"taps={list(taps)} must be distinct and in the order of the data "
            f"flow: {[name for _, name in order]}."
        )
    values = [0 if point is None else point.value for point in chosen]
    bounds = [0, *(p + 1 for p in positions), len(graph.steps)]
    ends = [0, *values, graph.output]
    return names, [
        Segment(
            model,
            graph.steps[bounds[i] : bounds[i + 1]],
            ends[i],
            ends[i + 1],
            name=f"segment_{i}",
            is_first=i == 0,
        )
        for i in range(len(bounds) - 1)
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
    """The taps that `"auto"` stands for; see `noisymix_tf.training.taps`."""
    _require_built(model)
    return taps_lib.choose(Graph(model))


class Segment:
    """A stretch of a model as a function of one tensor.

    It holds no weights: its layers are the model's own.

    Args:
        model: The model that it is part of.
        steps: Steps of the model's graph.
        start: Number of the value that the segment takes.
        end: Number of the value that it puts out.
        name: Name of the scope in which its operations run.
        is_first: Whether it begins at the model's input.
    """

    def __init__(self, model, steps, start, end, *, name, is_first):
        self._model = model
        self._steps = steps
        self._start = start
        self._end = end
        self._is_first = is_first
        self._frame = _Frame(self._run, name, model.dtype_policy)

    @property
    def variables(self):
        """The variables of the model that the segment uses."""
        found = {}
        for step in self._steps:
            for variable in getattr(step.operation, "variables", ()):
                found[id(variable)] = variable
        return list(found.values())

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
            if given is not None and isinstance(
                step.operation, keras.layers.Layer
            ):
                # As Keras: it overrides what the call in the graph says.
                kwargs["training"] = given
            if fused_norm.applies(step.operation, args, kwargs):
                found = fused_norm.batch_normalization(step.operation, *args)
            else:
                with replica_draws.distinct(step.operation):
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
    if not is_input and not _is_auto(taps):
        raise UsageError(
            f"taps={taps!r}: a subclassed model ({type(model).__name__}) "
            f"has no graph of layers; use taps='input' (mixing at the "
            f"input) or a functional or Sequential model."
        )

    def whole(x, training=None):
        with replica_draws.distinct(model):
            return model(x, training=training)

    return (INPUT,), [lambda x, training=None: x, whole]


def _is_auto(taps):
    """Whether taps are left to be chosen: `"auto"` or `"auto:N"`."""
    return isinstance(taps, str) and taps.split(":")[0] == AUTO


def _how_many(taps):
    """The number in `"auto:N"`; None in `"auto"`."""
    _, colon, number = taps.partition(":")
    if not colon:
        return None
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(
            f"taps={taps!r} must be 'auto', or 'auto:N' with N of at least 1: "
            f"it is how many of the automatic taps are used."
        )
    return int(number)


def _require_built(model):
    if isinstance(model, keras.Sequential) and not model.built:
        raise UsageError(
            f"The Sequential model {model.name!r} is not built; make "
            f"keras.Input(shape) its first entry, or call its build()."
        )


def _find(tap, graph):
    """The point that a tap names; `None` for the input."""
    if tap == INPUT:
        return None
    names = graph.names
    if tap in names:
        found = [tap]
    else:
        found = [name for name in names if _matches(name, tap)]
    values = {names[name] for name in found}
    for point in graph.points:
        if values == {point.value}:
            return point
    raise UsageError(_refusal(tap, found, values, graph))


def _matches(name, tap):
    """Whether a tap abbreviates a name: its end, and no number of the call."""
    tail = name.split("/")[-str(tap).count("/") - 1 :]
    plain = [part.split("#")[0].split(":")[0] for part in tail]
    return tap in ("/".join(tail), "/".join(plain))


def _refusal(tap, found, values, graph):
    """Why a tap is no point, and which are."""
    points = [point.name for point in graph.points]
    if not found:
        close = difflib.get_close_matches(str(tap), points, 3)
        reason = "the model has no such layer"
        reason += f"; close to it: {', '.join(close)}" if close else ""
    elif len(values) > 1:
        reason = f"it may mean {_listed(found)}"
    elif values == {graph.output}:
        reason = "it is the model's output"
    else:
        reason = "not all paths through the model pass it"
    names = [INPUT, *points]
    if len(names) <= _MAX_LISTED:
        usable = ", ".join(names)
    else:
        blocks = [block.name for block in taps_lib.block_outputs(graph)]
        sensible = dict.fromkeys([*taps_lib.choose(graph), *blocks])
        shown = list(sensible)[:_MAX_LISTED]
        usable = (
            f"{', '.join(shown)} and {len(names) - len(shown)} others "
            f"(noisymix_tf.cut_points(model) has them all)"
        )
    return f"Unusable tap {tap!r}: {reason}. Usable: {usable}."


def _listed(names):
    shown = ", ".join(names[:_MAX_LISTED])
    return shown if len(names) <= _MAX_LISTED else f"{shown}..."
