"""What a model's end and its loss tell about its outputs."""

import keras
import numpy as np
import pytest

from noisymix_tf.attacks.victims import victim
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.probabilities import gives_logits
from noisymix_tf.serving.keras_model import KerasModel
from noisymix_tf.training import outputs
from support.usage import assert_usage_error

layers = keras.layers


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


def _softmax():
    """Ends in an operation that is no layer."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(inputs)))


def _cast():
    """Ends in an operation that changes the type only."""
    model = _softmax()
    return keras.Model(
        model.inputs, keras.ops.cast(model.outputs[0], "float32")
    )


def _tail(head):
    """The tail, a model of its own, hides how the network ends."""
    return _model(head, keras.Sequential([keras.Input((3,)), _empty()]))


def _empty(**arguments):
    return layers.Activation("linear", **arguments)


class _Subclassed(keras.Model):
    def call(self, x):
        return x


ENDINGS = {
    "dense": (lambda: _model(layers.Dense(3)), "logits"),
    "softmax": (lambda: _model(layers.Dense(3, "softmax")), "softmax"),
    "sigmoid": (lambda: _model(layers.Dense(1, "sigmoid")), "sigmoid"),
    "softmax layer": (lambda: _model(layers.Softmax()), "softmax"),
    "activation": (lambda: _model(layers.Activation("softmax")), "softmax"),
    "operation": (_softmax, "softmax"),
    "nested": (lambda: _model(_softmax()), "softmax"),
    "cast": (_cast, "softmax"),
    # The usual end in mixed precision: probabilities, then float32.
    "bfloat16": (
        lambda: _model(
            layers.Dense(3, "softmax", dtype="mixed_bfloat16"),
            _empty(dtype="float32"),
        ),
        "softmax",
    ),
    "layer as activation": (
        lambda: _model(layers.Dense(3, layers.Softmax())),
        "softmax",
    ),
    "nested tail": (lambda: _tail(_softmax()), "softmax"),
    "nested tail of logits": (lambda: _tail(layers.Dense(3)), "logits"),
    "softmax of other rows": (
        lambda: _model(
            layers.Reshape((2, 2)), layers.Softmax(), layers.Flatten()
        ),
        None,
    ),
    "linear activation": (lambda: _model(_empty()), None),
    "pooling": (lambda: _model(layers.Reshape((4,))), None),
    "own function": (lambda: _model(layers.Dense(3, abs)), None),
    "no graph": (_Subclassed, None),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name):
    make, expected = ENDINGS[name]
    assert outputs.ending(make()) == expected


LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PROBABILITY_LOSS = keras.losses.CategoricalFocalCrossentropy()


@pytest.mark.parametrize(
    ("ending", "loss", "expected"),
    [
        ("dense", LOGITS_LOSS, True),
        ("dense", [LOGITS_LOSS], True),
        ("dense", {"logits": LOGITS_LOSS}, True),
        ("dense", None, True),
        ("dense", "mse", True),
        ("dense", lambda y, p: p, True),
        ("softmax", "SparseCategoricalCrossentropy", False),
        ("softmax", keras.losses.categorical_crossentropy, False),
        ("softmax", PROBABILITY_LOSS, False),
        ("softmax", "kl_divergence", False),
        # Where the end says nothing, the loss does.
        ("no graph", LOGITS_LOSS, True),
        ("no graph", PROBABILITY_LOSS, False),
        ("no graph", "categorical_crossentropy", False),
        ("no graph", None, True),
    ],
)
def test_gives_logits(ending, loss, expected):
    assert outputs.gives_logits(ENDINGS[ending][0](), loss) is expected


@pytest.mark.parametrize(
    ("ending", "loss", "expected"),
    [
        ("dense", LOGITS_LOSS, False),
        ("dense", keras.losses.BinaryCrossentropy(from_logits=True), True),
        ("dense", "binary_focal_crossentropy", True),
        ("sigmoid", None, True),
        ("softmax", "categorical_crossentropy", False),
    ],
)
def test_is_multi_label(ending, loss, expected):
    assert outputs.is_multi_label(ENDINGS[ending][0](), loss) is expected


ACCIDENT = [[0.25, 0.75]]  # Rows that sum to one, of a network of logits.


@pytest.mark.parametrize(
    ("end", "values", "said", "expected"),
    [
        ("dense", ACCIDENT, "auto", True),
        ("dense", ACCIDENT, "probabilities", False),
        ("no graph", ACCIDENT, "auto", False),
        ("no graph", ACCIDENT, "logits", True),
        ("no graph", [[0.2, 0.7]], "auto", True),
        ("no graph", [[0.2, 0.7]], "probabilities", False),
    ],
)
def test_what_is_said_wins(end, values, said, expected):
    """An explicit choice was refused where values made another likely."""
    model = ENDINGS[end][0]()
    assert gives_logits(model, np.array(values), said) is expected


@pytest.mark.parametrize(
    ("function", "end", "arguments", "words"),
    [
        (
            outputs.gives_logits,
            "softmax",
            [LOGITS_LOSS],
            ("ends in softmax", "from_logits=True;", "from_logits=False"),
        ),
        (
            outputs.gives_logits,
            "dense",
            ["sparse_categorical_crossentropy"],
            ("no activation", "sparse_categorical_cross", "from_logits=True"),
        ),
        (
            gives_logits,
            "sigmoid",
            [np.array([[0.2, 0.2]]), "logits"],
            ("gives probabilities", "ends in sigmoid"),
        ),
        (
            gives_logits,
            "dense",
            [np.array([[-1, 2]]), "probabilities"],
            ("gives logits", "from -1 to 2"),
        ),
    ],
)
def test_contradictions_are_refused(function, end, arguments, words):
    model = ENDINGS[end][0]()
    assert_usage_error(lambda: function(model, *arguments), *words)


# All parts of the package say the same of one model.

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)


def _classifier(*end, policy="float32", bias=0.0):
    """Of images, with outputs that differ between them and are not near 1/K."""
    head = [
        layers.Rescaling(1 / 255, offset=-0.5),
        layers.Flatten(),
        layers.Dense(10, dtype=policy),
    ]
    model = keras.Sequential([keras.Input((4, 4, 3)), *head, *end])
    rng = np.random.default_rng(1)
    for weight in model.weights:
        drawn = rng.normal(0, 1.0, weight.shape)
        weight.assign(drawn + (bias if weight.shape.rank == 1 else 0.0))
    return model


def _half(dtype, *tail):
    softmax = layers.Activation("softmax", dtype=dtype)
    return _classifier(softmax, *tail, policy=f"mixed_{dtype}")


class _OwnSoftmax(layers.Layer):
    """Tells nothing of itself."""

    def call(self, x):
        return keras.ops.softmax(x)


@pytest.mark.parametrize(
    "make, wanted",
    [
        (_classifier, True),
        # Logits that are not negative.
        (lambda: _classifier(bias=50.0), True),
        (lambda: _classifier(layers.ReLU()), True),
        (lambda: _classifier(layers.Activation("sigmoid")), False),
        (lambda: _classifier(_OwnSoftmax()), False),
        (lambda: _half("float16"), False),
        (lambda: _half("bfloat16", _empty(dtype="float32")), False),
        (
            lambda: _half(
                "bfloat16", layers.Lambda(lambda x: x, dtype="float32")
            ),
            False,
        ),
    ],
)
def test_no_two_parts_disagree(make, wanted):
    """Served and evaluated probabilities were told apart in four ways.

    Softmax in bfloat16 and then float32 was taken for logits by one of them.
    """
    model = make()
    served = KerasModel(model, IMAGES)
    _, attacked = victim(model).nature(IMAGES.astype(np.float32))
    assert Predictor(model, 10, IMAGES, 4).from_logits is attacked is wanted
    assert served.is_probability is not wanted
    if outputs.ending(model) is not None:
        assert outputs.gives_logits(model) is wanted
    own = np.asarray(model(IMAGES.astype(np.float32)), np.float32)
    if wanted:
        own = np.exp(own - own.max(-1, keepdims=True))
        own /= own.sum(-1, keepdims=True)
    assert own.max() > 0.5
    found = served.values(IMAGES)["probabilities"]
    np.testing.assert_allclose(found, own, atol=1e-6)
