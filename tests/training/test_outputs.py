"""What a model's end and its loss tell about its outputs."""

import keras
import numpy as np
import pytest

from noisymix_tf.probabilities import gives_logits
from noisymix_tf.training import outputs
from support.fit_models import Subclassed
from support.usage import assert_usage_error

layers = keras.layers
Dense, Activation, Softmax = layers.Dense, layers.Activation, layers.Softmax


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


EMPTY = Activation("linear", dtype="float32")
# The usual end in mixed precision: probabilities, then float32.
HALF = [Dense(3, "softmax", dtype="mixed_bfloat16"), EMPTY]
OTHER_ROWS = [layers.Reshape((2, 2)), Softmax(), layers.Flatten()]


def _operation(cast=False):
    """Ends in an operation that is no layer, or changes the type only."""
    inputs = keras.Input((4,))
    x = keras.ops.softmax(Dense(3)(inputs))
    return keras.Model(inputs, keras.ops.cast(x, "float32") if cast else x)


def _tail(head):
    """The tail, a model of its own, hides how the network ends."""
    return _model(head, keras.Sequential([keras.Input((3,)), EMPTY]))


ENDINGS = {
    "dense": (lambda: _model(Dense(3)), "logits"),
    "softmax": (lambda: _model(Dense(3, "softmax")), "softmax"),
    "sigmoid": (lambda: _model(Dense(1, "sigmoid")), "sigmoid"),
    "softmax layer": (lambda: _model(Softmax()), "softmax"),
    "activation": (lambda: _model(Activation("softmax")), "softmax"),
    "operation": (_operation, "softmax"),
    "nested": (lambda: _model(_operation()), "softmax"),
    "cast": (lambda: _operation(cast=True), "softmax"),
    "bfloat16": (lambda: _model(*HALF), "softmax"),
    "layer as activation": (lambda: _model(Dense(3, Softmax())), "softmax"),
    "nested tail": (lambda: _tail(_operation()), "softmax"),
    "nested tail of logits": (lambda: _tail(Dense(3)), "logits"),
    "softmax of other rows": (lambda: _model(*OTHER_ROWS), None),
    "linear activation": (lambda: _model(EMPTY), None),
    "own function": (lambda: _model(Dense(3, abs)), None),
    "no graph": (Subclassed, None),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name):
    make, expected = ENDINGS[name]
    assert outputs.ending(make()) == expected


LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FOCAL = keras.losses.CategoricalFocalCrossentropy()
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


def test_the_end_tells_and_then_the_loss():
    functions = [keras.losses.categorical_crossentropy, FOCAL]
    single = [LOGITS, [LOGITS], {"logits": LOGITS}]
    for end, losses, logits, multi_label in (
        ("dense", [*single, None, lambda y, p: p], True, False),
        ("dense", [BINARY], True, True),
        (
            "softmax",
            ["SparseCategoricalCrossentropy", *functions],
            False,
            False,
        ),
        ("sigmoid", [None], False, True),
        # Where the end says nothing, the loss does.
        ("no graph", [LOGITS, None], True, False),
        ("no graph", [FOCAL], False, False),
        ("no graph", ["binary_focal_crossentropy"], False, True),
    ):
        model = ENDINGS[end][0]()
        for loss in losses:
            assert outputs.gives_logits(model, loss) is logits
            assert outputs.is_multi_label(model, loss) is multi_label


def test_what_is_said_wins_unless_it_cannot_be():
    """An explicit choice was refused where values made another likely."""
    accident, no_rows = [[0.25, 0.75]], [[0.2, 0.7]]  # Of a network of logits.
    for end, values, said, expected in (
        ("dense", accident, "auto", True),
        ("dense", accident, "probabilities", False),
        ("no graph", accident, "auto", False),
        ("no graph", accident, "logits", True),
        ("no graph", no_rows, "auto", True),
        ("no graph", no_rows, "probabilities", False),
    ):
        model = ENDINGS[end][0]()
        assert gives_logits(model, np.array(values), said) is expected
    by_loss, by_values = outputs.gives_logits, gives_logits
    small, large = np.array([[0.2, 0.2]]), np.array([[-1, 2]])
    name = "sparse_categorical_crossentropy"
    for function, end, arguments, words in (
        (by_loss, "softmax", [LOGITS], "ends in softmax and the loss"),
        (by_loss, "dense", [name], f"no activation and the loss {name} has"),
        (by_values, "sigmoid", [small, "logits"], "gives probabilities (it e"),
        (by_values, "dense", [large, "probabilities"], "they reach from -1 to"),
    ):
        arguments = [ENDINGS[end][0](), *arguments]
        assert_usage_error(lambda f=function, a=arguments: f(*a), words)
