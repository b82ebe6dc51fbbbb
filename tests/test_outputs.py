"""What a model's end and its loss tell about its outputs."""

import keras
import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.training import outputs


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


def _functional_softmax():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3)(inputs)
    return keras.Model(inputs, keras.ops.softmax(x))


def _subclassed():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    return Subclassed()


ENDINGS = {
    "dense": (lambda: _model(keras.layers.Dense(3)), "logits"),
    "softmax": (lambda: _model(keras.layers.Dense(3, "softmax")), "softmax"),
    "sigmoid": (lambda: _model(keras.layers.Dense(1, "sigmoid")), "sigmoid"),
    "softmax layer": (lambda: _model(keras.layers.Softmax()), "softmax"),
    "activation": (
        lambda: _model(keras.layers.Activation("softmax", dtype="float32")),
        "softmax",
    ),
    "operation": (_functional_softmax, "softmax"),
    "nested": (lambda: _model(_functional_softmax()), "softmax"),
    "linear activation": (
        lambda: _model(keras.layers.Activation("linear", dtype="float32")),
        None,
    ),
    "pooling": (lambda: _model(keras.layers.Reshape((4,))), None),
    "own function": (lambda: _model(keras.layers.Dense(3, abs)), None),
    "no graph": (_subclassed, None),
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
        ("softmax", "sparse_categorical_crossentropy", False),
        ("softmax", "SparseCategoricalCrossentropy", False),
        ("softmax", keras.losses.categorical_crossentropy, False),
        ("softmax", PROBABILITY_LOSS, False),
        ("softmax", "kl_divergence", False),
        ("sigmoid", "binary_crossentropy", False),
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
    ("ending", "loss", "message"),
    [
        ("softmax", LOGITS_LOSS, "ends in softmax.*from_logits=True.*False"),
        (
            "dense",
            "sparse_categorical_crossentropy",
            "no activation.*sparse_categorical_crossentropy.*from_logits=True",
        ),
        ("dense", PROBABILITY_LOSS, "no activation.*from_logits=True"),
    ],
)
def test_contradictions_are_refused(ending, loss, message):
    with pytest.raises(UsageError, match=message):
        outputs.gives_logits(ENDINGS[ending][0](), loss)


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
