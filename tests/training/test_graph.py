"""The flat graph of a model: names, cut points by brute force, shapes."""

import keras
import numpy as np
import pytest

from noisymix_tf.training import segments
from noisymix_tf.training.graph import Graph, is_graph
from support.usage import assert_usage_error

layers = keras.layers


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
        self.edges, self.paths = [], {}
        inputs = keras.Input((4,))
        x = self._layer("", (inputs, "in"))
        for _ in range(4):
            x = self._block("", x, depth=3)
        outputs, self.end = x
        self.model = keras.Model(inputs, outputs)

    def _layer(self, prefix, *inputs):
        name = f"n{len(self.paths)}"
        self.edges += [(source, name) for _, source in inputs]
        self.paths[name] = prefix + name
        if len(inputs) > 1:
            return layers.Add(name=name)([t for t, _ in inputs]), name
        # No two layers do the same.
        scale = 1 + len(self.paths) / 16
        return layers.Rescaling(scale, name=name)(inputs[0][0]), name

    def _block(self, prefix, x, depth):
        kinds = ["layer", "skip", "branches", "functional", "sequential"]
        kind = kinds[self._rng.integers(len(kinds) if depth else 1)]
        if kind == "layer":
            return self._layer(prefix, x)
        if kind in ("functional", "sequential"):
            return self._nested(prefix, x, depth, kind == "functional")
        branch = self._block(prefix, x, depth - 1)
        if kind == "branches":
            x = self._block(prefix, x, depth - 1)
        return self._layer(prefix, branch, x)

    def _nested(self, prefix, x, depth, functional):
        # The paths tell apart what is nested, so that its name is unique too.
        name = f"m{len(self.paths)}"
        path = f"{prefix}{name}"
        inputs = keras.Input((4,))
        y, stack = (inputs, x[1]), [inputs]
        for _ in range(self._rng.integers(1, 3) if functional else 2):
            if functional:
                y = self._block(f"{path}/", y, depth - 1)
            else:
                y = self._layer(f"{path}/", y)
                stack.append(y[0]._keras_history.operation)
        self.paths[y[1]] = path
        if functional:
            model = keras.Model(inputs, y[0], name=name)
        else:
            model = keras.Sequential(stack, name=name)
        return model(x[0]), y[1]

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


def test_cut_points_are_those_of_brute_force_and_cut_exactly():
    depths = []
    for seed in range(16):
        network = _RandomNetwork(seed)
        expected = {
            path
            for name, path in network.paths.items()
            if name != network.end and network.is_cut_by(name)
        }
        points = Graph(network.model).points
        assert {point.name for point in points} == expected
        positions = [point.position for point in points]
        assert positions == sorted(positions)
        names, cut = segments.cut(network.model, [p.name for p in points])
        assert list(names) == [p.name for p in points]
        x = image = np.float32([[1, 2, 3, 4]])
        for segment in cut:
            x = segment(x, training=True)
        np.testing.assert_array_equal(x, network.model(image))
        depths += [name.count("/") for name in names]
    assert depths.count(1) > 10 and depths.count(2) > 3


def _names(inputs, outputs):
    return list(segments.cut_points(keras.Model(inputs, outputs)))


def test_every_call_of_a_shared_layer_is_a_point_of_its_own():
    shared = layers.Dense(4, name="shared")
    block = keras.Sequential(
        [keras.Input((4,)), layers.ReLU(name="r")], name="block"
    )
    x = keras.Input((4,))
    y = layers.Dense(2)(block(shared(block(shared(x)))))
    assert _names(x, y) == ["shared#1", "block#1", "shared#2", "block#2"]
    # A call outside of the model does not count.
    z = keras.Input((4,))
    assert _names(z, layers.Dense(2)(shared(z))) == ["shared"]


def test_outputs_of_one_call_are_told_apart():
    x = keras.Input((6,))
    first, second = keras.ops.split(x, 2, axis=-1)
    name = first._keras_history.operation.name
    y = layers.Dense(2)(layers.ReLU(name="relu")(second))
    assert _names(x, y) == [f"{name}:1", "relu"]
    both = layers.Add(name="sum")([first, second])
    assert _names(x, layers.Dense(2)(both)) == ["sum"]


@pytest.mark.parametrize("structure", [list, dict])
def test_nested_models_of_several_inputs(structure):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = layers.Add(name="sum")([a, layers.ReLU(name="relu")(b)])
    inner = layers.Dense(4, name="behind")(inner)
    inputs = [a, b] if structure is list else {"a": a, "b": b}
    pair = keras.Model(inputs, inner, name="pair")
    x = keras.Input((4,))
    left = layers.Dense(4, name="left")(x)
    given = [left, x] if structure is list else {"a": left, "b": x}
    assert _names(x, layers.Dense(2)(pair(given))) == ["pair/sum", "pair"]


def test_several_inputs_or_outputs_are_refused():
    a, b = keras.Input((4,)), keras.Input((4,))
    for model in (
        keras.Model([a, b], layers.Add()([a, b])),
        keras.Model(a, [layers.ReLU()(a), layers.Dense(2)(a)]),
    ):
        assert_usage_error(
            lambda model=model: Graph(model), "mixing needs one of each"
        )


class _OwnCall(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2.0 * super().call(inputs, training=training, mask=mask)


class _OwnInit(keras.Model):
    def __init__(self, units, **kwargs):
        x = keras.Input((4,))
        y = layers.Dense(units, name="inside")(x)
        super().__init__(x, layers.ReLU()(y), **kwargs)


def test_a_graph_says_all_about_a_model_or_is_none():
    """Subclasses count where they do not compute anything of their own."""
    x = keras.Input((4,))
    own_call = _OwnCall(x, layers.Dense(4, name="hidden")(x), name="own")
    own_init = _OwnInit(3, name="init")
    assert is_graph(own_init) and not is_graph(own_call)
    assert not is_graph(keras.Sequential([layers.Dense(2)]))
    outputs = layers.Dense(2)(own_init(own_call(x)))
    assert _names(x, outputs) == ["own", "init/inside", "init"]


class _SmallOnly(layers.Layer):
    def compute_output_shape(self, shape):
        if (shape[1] or 0) > 100:
            raise ValueError("too large")
        return shape

    def call(self, x):
        return x


def test_shapes_of_any_size_are_those_of_224_pixels_as_far_as_known():
    def graph(*extra):
        conv = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")
        pool = layers.GlobalAveragePooling2D(name="pool")
        model = keras.Sequential(
            [keras.Input((None, None, 3)), conv, *extra, pool, layers.Dense(2)]
        )
        graph = Graph(model)
        shapes = {n: graph.shapes[value] for n, value in graph.names.items()}
        # Nothing was called for it.
        assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
        return graph.shapes[0], shapes["conv"], shapes["pool"]

    assert graph() == ((224, 224, 3), (112, 112, 4), (4,))
    assert graph(_SmallOnly())[1] == (None, None, 4)
