"""Graphs of models, cutting them exactly, and the taps that "auto" finds."""

import functools
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.models.graph import Graph, is_graph
from noisymix_tf.training import precision, segments
from support.fit_models import Subclassed
from support.usage import assert_usage_error

layers = keras.layers
IMAGES = tf.random.stateless_uniform([4, 16, 16, 3], [0, 1], 0, 255)


def _chain(segments, x, training=False):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _assert_exact(model, taps, x=IMAGES, training=(False, True)):
    """Outputs, losses and changed state are those of the model, bit for bit."""
    names, parts = segments.cut(model, taps)
    assert len(parts) == len(names) + 1
    inner = model._flatten_layers()
    seeds = [g.state for layer in inner for g in layer._seed_generators]
    variables = [*model.variables, *seeds]
    for mode in training:
        before = [v.numpy() for v in variables]
        expected = model(x, training=mode)
        losses = [float(loss) for loss in model.losses]
        state = [v.numpy() for v in variables]
        for _ in range(2):
            for variable, value in zip(variables, before):
                variable.assign(value)
            found = _chain(parts, x, mode)
            assert found.dtype == expected.dtype
            assert [float(loss) for loss in model.losses] == losses
            for ours, theirs in [(found, expected), *zip(variables, state)]:
                np.testing.assert_array_equal(ours, theirs)
    return names


def _auto(model):
    return segments.cut(model)[0]


@pytest.fixture
def composed(monkeypatch):
    """Batch normalisation as Keras does it, to compare bit for bit."""
    monkeypatch.setattr(segments, "fuses", lambda *_: False)


class _Block(layers.Layer):
    """Draws and adds a loss in layers that learn of training by context."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6)
        self.dropout = layers.Dropout(0.5, seed=1)

    def call(self, x, scale=1.0):
        self.add_loss(1e-3 * keras.ops.sum(x))
        return self.dropout(self.dense(x)) * scale


def _all_kinds():
    """Everything that a call can depend on, in one small model."""
    inputs = keras.Input((16, 16, 3))
    x = layers.RandomFlip("horizontal", seed=3, name="flip")(inputs)
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = keras.ops.relu(x - 0.1)
    x = layers.SpatialDropout2D(0.3, seed=4, name="drop")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    y = layers.BatchNormalization(momentum=0.5, scale=False)(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.ActivityRegularization(1e-4, name="activity")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = _Block(name="block")(x, scale=2.0)
    x = layers.BatchNormalization(name="frozen", trainable=False)(x)
    x = layers.Dense(5, bias_regularizer="l1", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(name="softmax")(x))


def _stack(*stack, shape=(16, 16, 3), name=None):
    return keras.Sequential([keras.Input(shape), *stack], name=name)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_whatever_a_call_depends_on_is_kept(composed, policy):
    taps = "flip bn drop sum block logits".split()
    with precision.dtype_policy(policy):
        model = _all_kinds()
        assert _assert_exact(model, taps) == tuple(taps)
        _assert_exact(_stack(model), ["input", *taps[1:]])
        _assert_exact(model, ["block", "logits"])  # Both losses of calls first.


def _backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Dropout(0.3, seed=5, name="drop")(x)
    return keras.Model(inputs, layers.ReLU(name="out")(x), name=name)


def _fixed(fixed=False):
    inputs = keras.Input((16, 16, 3))
    x = _backbone()(inputs, training=fixed)
    x = layers.BatchNormalization(name="outer_bn")(x, training=fixed)
    x = layers.BatchNormalization(name="frozen", trainable=False)(x)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


def test_fused_normalisation_takes_the_place_of_whatever_trains(monkeypatch):
    """And of nothing else: a frozen backbone stays as it is until it is not."""
    fused = mock.Mock(wraps=segments.fused_batch_normalization)
    monkeypatch.setattr(segments, "fused_batch_normalization", fused)
    model = _fixed()
    _, parts = segments.cut(model, ["stem", "sum"])
    backbone = model.get_layer("backbone")
    for training, trainable, names in (
        (False, True, []),
        (None, True, []),
        (True, False, ["outer_bn"]),
        (True, True, ["bn", "outer_bn"]),
    ):
        fused.reset_mock()
        backbone.trainable, before = trainable, backbone.get_weights()
        _chain(parts, IMAGES, training)
        pairs = zip(before, backbone.get_weights())
        # The mean and the variance that it keeps of batches.
        assert sum((a != b).any() for a, b in pairs) == 2 * ("bn" in names)
        assert [call.args[0].name for call in fused.mock_calls] == names


@pytest.mark.parametrize("fixed", [False, True])
def test_training_fixed_in_the_graph_is_what_it_is_to_keras(composed, fixed):
    """Keras lets the outer call decide and falls back on what is fixed."""
    taps = ["stem", "backbone/sum"]  # Any end of the path will do.
    _assert_exact(_stack(_fixed(fixed)), taps, training=(False, True, None))


def test_a_shared_layer_is_cut_at_the_call_that_is_named(composed):
    shared = layers.Dense(6, activation="tanh", name="shared")
    block = _Block(name="block")  # Each of its calls adds a loss.
    inputs = keras.Input((6,))
    outputs = layers.Dense(2)(block(shared(block(shared(inputs)))))
    model = keras.Model(inputs, outputs)
    x = IMAGES[:, 0, :6, 0] / 255
    _assert_exact(model, ["block#1", "shared#2"], x)
    _, parts = segments.cut(model, ["shared#2"])
    np.testing.assert_array_equal(parts[0](x), shared(block(shared(x))))
    words = "may mean shared#1, shared#2"
    assert_usage_error(lambda: segments.cut(model, ["shared"]), words)


def _residual():
    """A long chain with a sum of branches behind every third layer."""
    x = inputs = keras.Input((8,))
    for index in range(1, 13):
        y = layers.Dense(8, name=f"a{index}")(x)
        y = layers.Dense(8, name=f"b{index}")(y)
        x = layers.Add(name=f"sum{index}")([x, y])
        x = layers.LayerNormalization(name=f"norm{index}")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def test_unusable_taps_are_refused_in_one_line():
    two = _backbone("first"), layers.Conv2D(3, 1), _backbone("second")
    bare = keras.Sequential([layers.Dense(3, name="hidden"), layers.Dense(2)])
    unbuilt = "not built; make keras.Input"
    # Of many points the message names the sensible ones.
    many = "sum3, sum6, sum9, sum1, sum2, sum4, sum5, sum7, sum8, sum10, sum11"
    for make, taps, words in (
        (_residual, "nowhere", "'nowhere': the model has no such layer. Us"),
        (_residual, ["sum13"], "layer; close to it: sum3, sum1, sum12"),
        (_residual, ["a3"], "'a3': not all paths"),
        (_residual, ["logits"], "'logits': it is the model's output"),
        (_residual, ["sum2", "sum1"], "data flow: ['sum1', 'sum2']"),
        (_residual, ["sum1", "sum1"], "distinct"),
        (_residual, [], "taps is empty"),
        (_residual, ["a1"], f"Usable: input, {many} and 13 others (noisymix_t"),
        (lambda: _stack(*two), ["stem"], "may mean first/stem, second/stem"),
        (Subclassed, ["input", "dense"], "no graph of layers"),
        (lambda: bare, ["hidden"], unbuilt),
    ):
        call = functools.partial(segments.cut, make(), taps)
        assert len(assert_usage_error(call, words)) < 300
    # Models without a graph are cut at the input, and others once built.
    model = Subclassed()
    names, parts = segments.cut(model)
    assert names == ("input",)
    np.testing.assert_array_equal(_chain(parts, IMAGES), model(IMAGES))
    assert_usage_error(lambda: segments.cut_points(bare), unbuilt)
    assert_usage_error(lambda: segments.cut_points(model), "no functional or")
    bare.build((None, 4))
    _assert_exact(bare, ["hidden"], tf.ones([2, 4]))


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
        reached = {"in"}
        # A layer's edges come before those that begin at it.
        for source, target in self.edges:
            if source in reached and target != removed:
                reached.add(target)
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
        x = np.float32([[1, 2, 3, 4]])
        np.testing.assert_array_equal(_chain(cut, x, True), network.model(x))
        depths += [name.count("/") for name in names]
        # Layers are found by their own names, those that end a model, too.
        for tap, path in network.paths.items():
            if path in names[::5]:
                assert segments.cut(network.model, tap)[0] == (path,)
    assert depths.count(1) > 10 and depths.count(2) > 3


def _names(inputs, outputs):
    return list(segments.cut_points(keras.Model(inputs, outputs)))


def test_calls_and_outputs_are_told_apart_and_subclasses_of_no_graph():
    class OwnCall(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2.0 * super().call(inputs, training=training, mask=mask)

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
    x = keras.Input((4,))
    y = layers.ReLU()(layers.Dense(3, name="inside")(x))
    same = type("Same", (keras.Model,), {})(x, y, name="same")
    own = OwnCall(x, layers.Dense(4)(x), name="own")
    assert is_graph(same) and not is_graph(own)
    assert not is_graph(keras.Sequential([layers.Dense(2)]))
    outputs = layers.Dense(2)(same(own(x)))
    assert _names(x, outputs) == ["own", "same/inside", "same"]


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


def test_shapes_of_any_size_are_those_of_224_pixels_if_known():
    class Small(layers.Identity):
        def compute_output_spec(self, x):
            assert not x.shape[1] or x.shape[1] < 100
            return super().compute_output_spec(x)

    for extra, expected in (([], (112, 112, 4)), ([Small()], (None, None, 4))):
        conv = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")
        stack = [keras.Input((None, None, 3)), conv, *extra, layers.Flatten()]
        model = keras.Sequential(stack)
        graph = Graph(model)
        assert graph.shapes[graph.names["conv"]] == expected
        # Nothing was called for it.
        assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)


# Which taps `"auto"` finds, on networks of every common shape.
@pytest.mark.parametrize("name", models.MODELS.names())
def test_the_zoo_has_the_taps_of_the_reference(name):
    model = models.build(name, width=0.125, dropout=0.1)
    assert _auto(model) == models.default_taps(name)


def _conv(name, strides=1, padding="same", filters=4):
    return layers.Conv2D(filters, 3, strides, padding, name=name)


def _ended(inputs, x, *head):
    for layer in (*head, layers.GlobalAveragePooling2D(), layers.Dense(5)):
        x = layer(x)
    return keras.Model(inputs, x)


def _plain():
    yield from (layers.Rescaling(1 / 255, name="scale"), _conv("conv1"))
    yield from (layers.ReLU(name="relu1"), layers.MaxPooling2D())
    yield from (_conv("conv2a"), _conv("conv2b"), layers.BatchNormalization())
    yield from (layers.ReLU(), layers.SpatialDropout2D(0.1, name="drop2"))
    yield from (layers.ZeroPadding2D(1), _conv("conv3", 2, "valid"))
    yield from (layers.ReLU(name="relu3"), layers.MaxPooling2D())
    yield from (_conv("conv4"), layers.Flatten(), layers.Dense(16, "relu"))


def _merged():
    """A single merge of branches does not make blocks."""
    x = inputs = keras.Input((64, 64, 3))
    for index in range(3):
        x = _conv(f"conv{index}", min(index, 1) + 1)(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Concatenate(name="merge")([x, layers.ReLU()(x)])
    return _ended(inputs, x)


def _vectors(depth, *end):
    yield layers.Normalization(mean=0.0, variance=1.0, name="norm")
    for index in range(1, depth + 1):
        yield from (layers.Dense(8), layers.BatchNormalization())
        yield layers.ReLU(name=f"relu{index}")
    yield from (layers.Dense(3), *end)


def test_plain_networks_are_cut_by_resolution_and_others_by_depth():
    # Sizes that convolutions shrink a little are one resolution.
    shrinking = [_conv(f"conv{i}", padding="valid") for i in (1, 2, 3, 4)]
    shrinking.insert(2, layers.AveragePooling2D(2, name="pool"))
    scale, flatten = layers.Rescaling(1 / 255, name="scale"), layers.Flatten()
    for stack, expected in (
        (_plain(), "scale relu1 drop2 relu3"),
        ([*shrinking, layers.Flatten()], "input conv2 conv4"),
        ([scale, flatten, layers.Dense(8, name="hidden")], "scale hidden"),
        # No points leave the input, which these do not prepare.
        ([layers.Flatten()], "input"),
        ([layers.ZeroPadding2D(1), layers.Flatten()], "input"),
        ([layers.BatchNormalization(), layers.Flatten()], "input"),
        ([layers.GaussianNoise(0.1), layers.Flatten()], "input"),
    ):
        model = _stack(*stack, layers.Dense(5), shape=(32, 32, 3))
        assert _auto(model) == tuple(expected.split())
    assert _auto(_merged()) == ("input", "relu0", "relu1", "relu2")
    for depth, expected in ((1, [1]), (2, [1, 2]), (8, [2, 4, 6])):
        expected = ("norm", *(f"relu{index}" for index in expected))
        for end in ([], [layers.Softmax()]):
            model = _stack(*_vectors(depth, *end), shape=(6,))
            assert _auto(model) == expected
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1, name="scale")(inputs)
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, strides=8)(x))
    x = layers.Concatenate(axis=1)([layers.Dense(16)(x[:, :1]), x])
    for block in range(1, 9):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
        x = layers.Add(name=f"block{block}")([x, layers.Dense(16, "gelu")(x)])
    x = layers.LayerNormalization()(x)
    model = keras.Model(inputs, layers.Dense(7, name="logits")(x[:, 0]))
    assert _auto(model) == ("scale", "block2", "block4", "block6")


def _block(x, name, activation=True):
    y = _conv(f"{name}_conv", filters=x.shape[-1])(x)
    y = layers.Multiply(name=f"{name}_gate")([y, layers.ReLU()(y)])
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


@pytest.mark.parametrize("side, activation", [(32, True), (None, False)])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
def test_residual_networks_are_cut_by_stages(num_stages, activation, side):
    """The first three, but not the last of more; of four one has no block."""
    x = inputs = keras.Input((side, side, 3))
    for stage in range(1, num_stages + 1):
        x = _conv(f"down{stage}", 1 if stage == 1 else 2)(x)
        for block in "" if (num_stages, stage) == (4, 1) else "ab":
            x = _block(x, f"block{stage}{block}", activation)
    x = layers.GlobalAveragePooling2D(keepdims=True)(_conv("head")(x))
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(5, 1)(x)))
    end = "relu" if activation else "add"
    stages = range(1, num_stages + 1)[num_stages == 4 : 3]
    expected = tuple(f"block{i}b_{end}" for i in stages)
    if num_stages == 1:
        expected = (f"block1a_{end}", f"block1b_{end}")
    assert _auto(model) == ("input", *expected)


def _rearranged(x):
    x = layers.Concatenate()([x[..., :1], x[..., :1], x[..., 1:2]])
    return layers.Rescaling(2.0)(layers.Reshape((16, 64, 3))(x))


def test_the_first_tap_is_behind_the_preprocessing():
    for prepare in (
        layers.Normalization(mean=0.5, variance=1.0),
        lambda x: layers.Rescaling(1 / 255)(layers.RandomFlip(seed=1)(x)),
        lambda x: x / 127.5 - 1,
        keras.applications.resnet.preprocess_input,
        layers.Lambda(lambda x: x / 255),
        type("OwnNormalize", (layers.Identity,), {})(),
        _rearranged,
    ):
        inner, inputs = keras.Input((32, 32, 3)), keras.Input((32, 32, 3))
        x = prepare(inner)
        nested = keras.Model(inner, x, name="prepare")(inputs)
        taps = _auto(_ended(inner, x, _conv("conv")))
        assert taps == (x._keras_history.operation.name, "conv")
        taps = _auto(_ended(inputs, nested, _conv("conv")))
        assert taps == ("prepare", "conv")


SLOW = "ResNet50 MobileNetV3Small EfficientNetB0 ConvNeXtTiny".split()
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SLOW]


@pytest.mark.parametrize("name", ["MobileNetV2", *SLOW])
def test_a_backbone_of_keras_is_cut_exactly(name):
    """As for transfer learning: the network as a layer of another model."""
    inputs = keras.Input((64, 64, 3))
    options = {"alpha": 0.35} if name == "MobileNetV2" else {}
    options |= {"include_top": False, "input_shape": inputs.shape[1:]}
    backbone = getattr(keras.applications, name)(weights=None, **options)
    h = layers.RandomFlip("horizontal", seed=1)(inputs)
    h = layers.GlobalAveragePooling2D()(backbone(h, training=False))
    h = layers.Dense(7)(layers.Dropout(0.2, seed=2)(h))
    model = keras.Model(inputs, h)
    # The taps end the first stages: each the last sum of its resolution.
    points = segments.cut_points(model)
    (first, *hidden), parts = segments.cut(model)
    sides = (8, 4) if name == "MobileNetV3Small" else (16, 8, 4)
    assert first != "input" and len(hidden) == len(sides)
    for tap, side in zip(hidden, sides):
        later = list(points)[list(points).index(tap) + 1 :]
        assert points[tap].shape[1:3] == (side, side)
        sums = [points[n].shape[1] for n in later if "add" in n.lower()]
        assert side not in sums
    x = tf.random.stateless_uniform([6, 64, 64, 3], [0, 1], 0, 255)
    expected = model(x, training=False)
    assert tf.norm(_chain(parts, x) - expected) < 1e-5 * tf.norm(expected)
