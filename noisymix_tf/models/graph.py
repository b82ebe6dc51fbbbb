"""A Keras model as one flat list of operations, and its head."""

import collections
import functools
import itertools
import typing

from noisymix_tf import private
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.private import functional, is_graph

# Side of the images that stand for a model which takes any size.
_PROBE_SIDE = 224
# Where weights only normalise or activate.
_ASIDE = (".normalization", ".preprocessing", ".activations")


class Step(typing.NamedTuple):
    """One call of an operation. Values, in and out, go by number."""

    operation: typing.Any  # A layer, an operation, or a model's `_Entrance`.
    arguments: object  # `SymbolicArguments`
    inputs: tuple
    outputs: tuple
    tensors: tuple  # The symbolic outputs.
    training: bool | None  # What an enclosing call fixes it to.

    def fill_in(self, values) -> tuple:
        """The call's `(args, kwargs)`, given values by number."""
        pairs = zip(self.arguments.keras_tensors, self.inputs)
        return self.arguments.fill_in({id(t): values[n] for t, n in pairs})


class Point(typing.NamedTuple):
    """A value that all paths from the model's input to its output pass."""

    name: str
    position: int
    value: int
    step: Step
    tensor: "keras.KerasTensor"


class Graph:
    """The operations of a model in topological order.

    Calls of nested functional and Sequential models are replaced by the calls
    inside them. Values are numbered; the model's input is value 0.

    The model is functional or Sequential, with one input and one output.

    Attributes:
        steps: List of `Step`.
        output: Number of the value that the model puts out.
        names: Dict from name to number, for every value that has a name:
            `"layer"`, or `"model/layer"` inside a nested model. A layer that
            is called several times gives `"layer#1"`, `"layer#2"`... and one
            with several outputs `"layer:0"`, `"layer:1"`...
    """

    def __init__(self, model):
        graph = functional(model)
        if graph is None:
            raise UsageError(
                f"The model {model.name!r} ({type(model).__name__}) is no "
                f"functional or Sequential model, or not built: give one that "
                f"is."
            )
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UsageError(
                f"The model has {len(graph.inputs)} inputs and "
                f"{len(graph.outputs)} outputs, but needs one of each: give "
                f"a model of one tensor for another."
            )
        self.steps, self.names, self._numbers = [], {}, itertools.count(1)
        arguments = private.SymbolicArguments(graph._inputs_struct)
        numbers = {id(graph.inputs[0]): 0}
        (self.output,) = self._inline(graph, arguments, numbers, "", None)

    @functools.cached_property
    def points(self) -> list[Point]:
        """The cut points in the order of the data flow.

        In a topological order a value that all paths pass is the only one that
        crosses from what comes before it to what comes after. The model's own
        input and output are left out. A point with several names, the end of a
        nested model, goes by the outermost.
        """
        last_use = {}
        for position, step in enumerate(self.steps):
            last_use |= dict.fromkeys(step.inputs, position)
        last_use[self.output] = len(self.steps)
        by_depth = sorted(self.names, key=lambda name: -name.count("/"))
        names = {self.names[name]: name for name in by_depth}
        names.pop(self.output, None)
        points, crossing = [], set()
        for position, step in enumerate(self.steps):
            crossing |= set(step.outputs)
            crossing = {v for v in crossing if last_use.get(v, -1) > position}
            for value, tensor in zip(step.outputs, step.tensors):
                if crossing == {value} and value in names:
                    name = names[value]
                    points.append(Point(name, position, value, step, tensor))
        return points

    @functools.cached_property
    def shapes(self) -> dict[int, tuple]:
        """Of each value its shape, without the batch.

        A model of images of any size is taken for one of 224 pixels a side, as
        far as shapes can then be computed.
        """
        first = self.steps[0].arguments.keras_tensors[0]
        specs = {0: first}
        for step in self.steps:
            specs.update(zip(step.outputs, step.tensors))
        if None in first.shape[1:]:
            shape = [side or _PROBE_SIDE for side in first.shape[1:]]
            probes = {0: keras.KerasTensor((None, *shape), first.dtype)}
            try:
                for step in self.steps:
                    args, kwargs = step.fill_in(probes)
                    # Unlike a call, it leaves no trace in the layers.
                    found = step.operation.compute_output_spec(*args, **kwargs)
                    probes.update(zip(step.outputs, keras.tree.flatten(found)))
                specs = probes
            except Exception:
                # A layer of the user's that cannot tell its output's shape, or
                # not for this size: what is known symbolically has to do.
                pass
        return {value: tuple(spec.shape[1:]) for value, spec in specs.items()}

    def _inline(self, graph, arguments, numbers, prefix, training):
        """Appends the steps of a `Functional`; returns the values of its end.

        `numbers` leads from the id of a caller's tensor to its value, `prefix`
        stands before the names of layers, `training` is what the call fixes.
        """
        entrance = _Entrance(graph), arguments, graph.inputs
        inputs = self._append(*entrance, numbers, training)
        numbers = dict(zip(map(id, graph.inputs), inputs))
        depths = sorted(graph._nodes_by_depth, reverse=True)
        nodes = [n for d in depths for n in graph._nodes_by_depth[d]]
        nodes = [node for node in nodes if not node.is_input]
        several = collections.Counter(id(node.operation) for node in nodes)
        calls = collections.Counter()
        for node in nodes:
            operation, name = node.operation, f"{prefix}{node.operation.name}"
            calls[id(operation)] += 1
            if several[id(operation)] > 1:
                name += f"#{calls[id(operation)]}"
            if nested := _nested_call(node):
                inner, fixed = nested
                fixed = fixed if training is None else training
                inner = functional(operation), inner, numbers
                values = self._inline(*inner, f"{name}/", fixed)
            else:
                call = operation, node.arguments, node.outputs
                values = self._append(*call, numbers, training)
            numbers |= zip(map(id, node.outputs), values)
            for index, value in enumerate(values):
                ending = f":{index}" if len(values) > 1 else ""
                self.names[f"{name}{ending}"] = value
        return tuple(numbers[id(tensor)] for tensor in graph.outputs)

    def _append(self, operation, arguments, tensors, numbers, training):
        """Appends a step; returns the values that it puts out."""
        inputs = tuple(numbers[id(t)] for t in arguments.keras_tensors)
        outputs = tuple(itertools.islice(self._numbers, len(tensors)))
        step = operation, arguments, inputs, outputs, (*tensors,), training
        self.steps.append(Step(*step))
        return outputs


class _Entrance:
    """Brings what a model is called with to the types of its inputs."""

    def __init__(self, graph):
        self._graph = graph

    def __call__(self, inputs):
        return self._graph._standardize_inputs(inputs)

    def compute_output_spec(self, inputs):
        pairs = zip(keras.tree.flatten(inputs), self._graph.inputs)
        return [keras.KerasTensor(a.shape, b.dtype) for a, b in pairs]


def _nested_call(node):
    """`(arguments, training)` of a call that can be replaced by its graph."""
    if not is_graph(node.operation) or node.operation.activity_regularizer:
        return None
    args = list(node.arguments.args)
    kwargs = {
        name: value
        for name, value in node.arguments.kwargs.items()
        if any(part is not None for part in keras.tree.flatten(value))
    }
    training = kwargs.pop("training", None)
    if not args and "inputs" in kwargs:
        args = [kwargs.pop("inputs")]
    if len(args) != 1 or kwargs:
        return None
    return private.SymbolicArguments(args[0]), training


def kind_of(step):
    """Name and module of an operation's class, and whether it is a layer."""
    kind = type(step.operation)
    return kind.__name__, kind.__module__, issubclass(kind, keras.layers.Layer)


def is_weighted(step):
    """Whether a step has weights, and not just to normalise or activate."""
    name, module, is_layer = kind_of(step)
    is_aside = "Normalization" in name or any(a in module for a in _ASIDE)
    return is_layer and bool(step.operation.weights) and not is_aside


def head_of(model) -> "keras.layers.Layer":
    """The layer of a classifier that gives each class its score.

    It is the last one with weights; behind it there are only activations,
    casts and changes of shape. It may lie in a nested model.

    Args:
        model: A functional or Sequential Keras model with one input and an
            output for each class.

    Returns:
        The layer of the model itself, mostly a `Dense` or a 1 x 1 `Conv2D`,
        whose weights end in an axis of classes. A model without such a layer is
        a `UsageError`.

    >>> import keras
    >>> logits = keras.layers.Dense(10, name="logits")
    >>> layers = [keras.Input([8, 8, 1]), keras.layers.Flatten(), logits]
    >>> head_of(keras.Sequential([*layers, keras.layers.Softmax()])).name
    'logits'
    """
    graph = Graph(model)
    positions = [i for i, s in enumerate(graph.steps) if is_weighted(s)]
    why = "no layer has weights"
    if positions:
        head, *behind = graph.steps[positions[-1] :]
        why = f"{head.operation.name!r} is the last layer with weights"
        sizes = _sizes(graph, head.outputs)
        is_chain = all(
            not getattr(step.operation, "weights", None)
            and _sizes(graph, step.inputs) == _sizes(graph, step.outputs)
            for step in behind
        )
        classes = model.outputs[0].shape[-1]
        if is_chain and sizes == [classes]:
            return head.operation
    raise UsageError(
        f"The model {model.name!r} has no head ({why}): it has to end in a "
        f"layer with one output for each class, such as Dense, and behind it "
        f"only in activations."
    )


def _sizes(graph, values):
    """The sizes of what steps take or give, without the axes of one."""
    return [side for v in values for side in graph.shapes[v] if side != 1]
