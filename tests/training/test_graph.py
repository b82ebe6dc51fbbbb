"""The flat graph of a model: names, cut points by brute force, shapes."""

import keras
import numpy as np
import pytest

from noisymix_tf.training import segments
from noisymix_tf.training.graph import Graph, is_graph
from support.usage import assert_usage_error

layers = keras.layers


class _RandomNetwork:
    """A random network that knows its edges and the names of its layers."""

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
        kind = self._rng.integers(4 if depth else 1)
        if kind == 0:
            return self._layer(prefix, x)
        if kind == 3:
            return self._nested(prefix, x, depth)
        branch = self._block(prefix, x, depth - 1)
        if kind == 1:
            x = self._block(prefix, x, depth - 1)
        return self._layer(prefix, branch, x)

    def _nested(self, prefix, x, depth):
        # The paths tell apart what is nested, so that its name is unique too.
        name = f"m{len(self.paths)}"
        path, inputs = f"{prefix}{name}", keras.Input((4,))
        y = inputs, x[1]
        for _ in range(2):
            y = self._block(f"{path}/", y, depth - 1)
        self.paths[y[1]] = path
        return keras.Model(inputs, y[0], name=name)(x[0]), y[1]

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
        inner = network.paths.keys() - {network.end}
        expected = {network.paths[n] for n in inner if network.is_cut_by(n)}
        points = [point.name for point in Graph(network.model).points]
        assert set(points) == expected
        # They are in the order of the data flow, or it would be refused.
        names, cut = segments.cut(network.model, points)
        assert list(names) == points
        x = image = np.float32([[1, 2, 3, 4]])
        for segment in cut:
            x = segment(x, training=True)
        np.testing.assert_array_equal(x, network.model(image))
        depths += [name.count("/") for name in names]
    assert depths.count(1) > 10 and depths.count(2) > 3


def _names(inputs, outputs):
    return list(segments.cut_points(keras.Model(inputs, outputs)))


def test_calls_of_a_shared_layer_and_outputs_of_a_call_are_told_apart():
    shared, x = layers.Dense(4, name="shared"), keras.Input((4,))
    block = keras.Sequential([keras.Input((4,)), layers.ReLU()], name="block")
    y = layers.Dense(2)(block(shared(block(shared(x)))))
    assert _names(x, y) == ["shared#1", "block#1", "shared#2", "block#2"]
    # A call outside of the model does not count.
    assert _names(x, layers.Dense(2)(block(x))) == ["block"]
    first, second = keras.ops.split(x, 2, axis=-1)
    name = first._keras_history.operation.name
    assert _names(x, layers.Dense(2)(second)) == [f"{name}:1"]
    both = layers.Add(name="sum")([first, second])
    assert _names(x, layers.Dense(2)(both)) == ["sum"]


@pytest.mark.parametrize("structure", [list, dict])
def test_several_inputs_and_outputs_are_for_nested_models_only(structure):
    x, a, b = (keras.Input((4,), name=name) for name in "xab")
    inner = layers.Add(name="sum")([a, layers.ReLU(name="relu")(b)])
    inner = layers.Dense(4, name="behind")(inner)
    inputs, given = [a, b], [layers.Dense(4)(x), x]
    if structure is dict:
        inputs, given = (dict(zip("ab", pair)) for pair in (inputs, given))
    pair = keras.Model(inputs, inner, name="pair")
    assert _names(x, layers.Dense(2)(pair(given))) == ["pair/sum", "pair"]
    for bad in (pair, keras.Model(a, [layers.ReLU()(a), layers.Dense(2)(a)])):
        assert_usage_error(lambda bad=bad: Graph(bad), "needs one of each")


class _OwnCall(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2.0 * super().call(inputs, training=training, mask=mask)


class _OwnInit(keras.Model):
    def __init__(self):
        x = keras.Input((4,))
        y = layers.Dense(3, name="inside")(x)
        super().__init__(x, layers.ReLU()(y), name="init")


def test_a_graph_says_all_about_a_model_or_is_none():
    """Subclasses count where they do not compute anything of their own."""
    x, own_init = keras.Input((4,)), _OwnInit()
    own_call = _OwnCall(x, layers.Dense(4)(x), name="own")
    assert is_graph(own_init) and not is_graph(own_call)
    assert not is_graph(keras.Sequential([layers.Dense(2)]))
    outputs = layers.Dense(2)(own_init(own_call(x)))
    assert _names(x, outputs) == ["own", "init/inside", "init"]


class _Small(layers.Layer):
    def compute_output_shape(self, shape):
        assert not shape[1] or shape[1] < 100
        return shape

    def call(self, x):
        return x


def test_shapes_of_any_size_are_those_of_224_pixels_if_known():
    for extra, expected in (([], (112, 112, 4)), ([_Small()], (None, None, 4))):
        conv = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")
        stack = [keras.Input((None, None, 3)), conv, *extra, layers.Flatten()]
        model = keras.Sequential(stack)
        graph = Graph(model)
        assert graph.shapes[graph.names["conv"]] == expected
        # Nothing was called for it.
        assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
