"""The flat graph of a model: names, cut points by brute force, shapes."""

import keras
import numpy as np
import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.training.graph import Graph, is_graph


class _RandomNetwork:
    """A random network of small layers that knows its own edges.

    Attributes:
        model: The Keras model, with models nested in it.
        edges: Pairs of layers' names; `"in"` is the input.
        paths: Dict from a layer's name to the name its output should go by.
        end: The layer whose output is the model's.
    """

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self.edges = []
        self.paths = {}
        inputs = keras.Input((4,))
        x = self._layer((inputs, "in"), "")
        for _ in range(4):
            x = self._block(x, "", depth=3)
        outputs, self.end = x
        self.model = keras.Model(inputs, outputs)

    def _layer(self, *inputs, prefix=None):
        *inputs, prefix = inputs if prefix is None else (*inputs, prefix)
        name = f"n{len(self.paths)}"
        kind = keras.layers.Identity if len(inputs) == 1 else keras.layers.Add
        tensors = [tensor for tensor, _ in inputs]
        self.edges += [(source, name) for _, source in inputs]
        self.paths[name] = prefix + name
        layer = kind(name=name)
        return layer(tensors[0] if len(inputs) == 1 else tensors), name

    def _block(self, x, prefix, depth):
        kinds = ["layer", "skip", "branches", "functional", "sequential"]
        kind = kinds[self._rng.integers(len(kinds) if depth else 1)]
        if kind == "layer":
            return self._layer(x, prefix)
        if kind in ("functional", "sequential"):
            return self._nested(x, prefix, depth, kind)
        branch = self._block(x, prefix, depth - 1)
        other = x
        if kind == "branches":
            other = self._block(x, prefix, depth - 1)
        return self._layer(branch, other, prefix)

    def _nested(self, x, prefix, depth, kind):
        # The paths tell apart what is nested, so that its name is unique too.
        path = f"{prefix}m{len(self.paths)}"
        tensor, source = x
        inputs = keras.Input((4,))
        y = inputs, source
        if kind == "functional":
            for _ in range(self._rng.integers(1, 3)):
                y = self._block(y, f"{path}/", depth - 1)
            model = keras.Model(inputs, y[0], name=path.split("/")[-1])
        else:
            layers = []
            for _ in range(2):
                y = self._layer(y, f"{path}/")
                layers.append(y[0]._keras_history.operation)
            model = keras.Sequential([inputs, *layers])
            model.name = path.split("/")[-1]
        self.paths[y[1]] = path
        return model(tensor), y[1]

    def is_cut_by(self, removed):
        """Whether no path from the input to the end avoids a layer."""
        reached, frontier = {"in"}, ["in"]
        while frontier:
            at = frontier.pop()
            for source, target in self.edges:
                if source == at and target not in reached | {removed}:
                    reached.add(target)
                    frontier.append(target)
        return self.end not in reached


@pytest.mark.parametrize("seed", range(20))
def test_cut_points_are_those_of_brute_force(seed):
    network = _RandomNetwork(seed)
    expected = {
        path
        for name, path in network.paths.items()
        if name != network.end and network.is_cut_by(name)
    }
    points = Graph(network.model).points
    assert {point.name for point in points} == expected
    assert [p.position for p in points] == sorted(p.position for p in points)


def test_random_networks_have_points_inside_nested_models():
    """The test above is no test of nothing."""
    names = [
        point.name
        for seed in range(20)
        for point in Graph(_RandomNetwork(seed).model).points
    ]
    assert sum(name.count("/") == 1 for name in names) > 10
    assert sum(name.count("/") == 2 for name in names) > 3


def _names(inputs, outputs):
    return [p.name for p in Graph(keras.Model(inputs, outputs)).points]


def test_every_call_of_a_shared_layer_is_a_point_of_its_own():
    shared = keras.layers.Dense(4, name="shared")
    block = keras.Sequential([keras.Input((4,)), keras.layers.ReLU(name="r")])
    block.name = "block"
    x = keras.Input((4,))
    y = block(shared(block(shared(x))))
    y = keras.layers.Dense(2)(y)
    assert _names(x, y) == ["shared#1", "block#1", "shared#2", "block#2"]
    # A call outside of the model does not count.
    z = keras.Input((4,))
    assert _names(z, keras.layers.Dense(2)(shared(z))) == ["shared"]


def test_outputs_of_one_call_are_told_apart():
    x = keras.Input((6,))
    first, second = keras.ops.split(x, 2, axis=-1)
    name = first._keras_history.operation.name
    y = keras.layers.Dense(2)(keras.layers.ReLU(name="relu")(second))
    assert _names(x, y) == [f"{name}:1", "relu"]
    both = keras.layers.Add(name="sum")([first, second])
    assert _names(x, keras.layers.Dense(2)(both)) == ["sum"]


@pytest.mark.parametrize("structure", [list, dict])
def test_nested_models_of_several_inputs(structure):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.layers.Dense(4, name="behind")(
        keras.layers.Add(name="sum")([a, keras.layers.ReLU(name="relu")(b)])
    )
    inputs = [a, b] if structure is list else {"a": a, "b": b}
    pair = keras.Model(inputs, inner, name="pair")
    x = keras.Input((4,))
    left = keras.layers.Dense(4, name="left")(x)
    given = [left, x] if structure is list else {"a": left, "b": x}
    outputs = keras.layers.Dense(2)(pair(given))
    assert _names(x, outputs) == ["pair/sum", "pair"]


def test_several_inputs_or_outputs_are_refused():
    a, b = keras.Input((4,)), keras.Input((4,))
    for model in (
        keras.Model([a, b], keras.layers.Add()([a, b])),
        keras.Model(a, [keras.layers.ReLU()(a), keras.layers.Dense(2)(a)]),
    ):
        with pytest.raises(UsageError, match="mixing needs one of each"):
            Graph(model)


class _OwnCall(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2.0 * super().call(inputs, training=training, mask=mask)


class _OwnInit(keras.Model):
    def __init__(self, units, **kwargs):
        x = keras.Input((4,))
        y = keras.layers.Dense(units, name="inside")(x)
        super().__init__(x, keras.layers.ReLU()(y), **kwargs)


def test_a_graph_says_all_about_a_model_or_is_none():
    """Subclasses count where they do not compute anything of their own."""
    x = keras.Input((4,))
    assert is_graph(keras.Model(x, keras.layers.Dense(2)(x)))
    assert not is_graph(_OwnCall(x, keras.layers.Dense(2)(x)))
    assert is_graph(_OwnInit(3))
    assert not is_graph(keras.Sequential([keras.layers.Dense(2)]))
    own_call = _OwnCall(x, keras.layers.Dense(4, name="hidden")(x), name="own")
    own_init = _OwnInit(3, name="init")
    outputs = keras.layers.Dense(2)(own_init(own_call(x)))
    assert _names(x, outputs) == ["own", "init/inside", "init"]


def _any_size(extra=()):
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv"),
            *extra,
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(2, name="dense"),
        ]
    )


def test_shapes_of_any_size_are_those_of_224_pixels():
    model = _any_size()
    graph = Graph(model)
    shapes = graph.shapes
    assert shapes[0] == (224, 224, 3)
    assert shapes[graph.names["conv"]] == (112, 112, 4)
    assert shapes[graph.names["pool"]] == (4,)
    # Nothing was called for it.
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)


class _SmallOnly(keras.layers.Layer):
    def compute_output_shape(self, shape):
        if (shape[1] or 0) > 100:
            raise ValueError("too large")
        return shape

    def call(self, x):
        return x


def test_shapes_that_cannot_be_computed_stay_unknown():
    graph = Graph(_any_size([_SmallOnly()]))
    assert graph.shapes[graph.names["conv"]] == (None, None, 4)
