"""What a model's end and its loss tell about its outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.attacks.victims import victim
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.probabilities import gives_logits
from noisymix_tf.serving.keras_model import KerasModel
from noisymix_tf.training import outputs
from support.usage import assert_usage_error

layers = keras.layers
Dense, Activation, Softmax = layers.Dense, layers.Activation, layers.Softmax


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


def _operation(cast=False):
    """Ends in an operation that is no layer, or changes the type only."""
    inputs = keras.Input((4,))
    x = keras.ops.softmax(Dense(3)(inputs))
    return keras.Model(inputs, keras.ops.cast(x, "float32") if cast else x)


def _tail(head):
    """The tail, a model of its own, hides how the network ends."""
    return _model(head, keras.Sequential([keras.Input((3,)), _empty()]))


def _empty():
    return Activation("linear", dtype="float32")


class _Subclassed(keras.Model):
    def call(self, x):
        return x


def _other_rows():
    return _model(layers.Reshape((2, 2)), Softmax(), layers.Flatten())


def _half_softmax():
    """The usual end in mixed precision: probabilities, then float32."""
    return _model(Dense(3, "softmax", dtype="mixed_bfloat16"), _empty())


ENDINGS = {
    "dense": (lambda: _model(Dense(3)), "logits"),
    "softmax": (lambda: _model(Dense(3, "softmax")), "softmax"),
    "sigmoid": (lambda: _model(Dense(1, "sigmoid")), "sigmoid"),
    "softmax layer": (lambda: _model(Softmax()), "softmax"),
    "activation": (lambda: _model(Activation("softmax")), "softmax"),
    "operation": (_operation, "softmax"),
    "nested": (lambda: _model(_operation()), "softmax"),
    "cast": (lambda: _operation(cast=True), "softmax"),
    "bfloat16": (_half_softmax, "softmax"),
    "layer as activation": (lambda: _model(Dense(3, Softmax())), "softmax"),
    "nested tail": (lambda: _tail(_operation()), "softmax"),
    "nested tail of logits": (lambda: _tail(Dense(3)), "logits"),
    "softmax of other rows": (_other_rows, None),
    "linear activation": (lambda: _model(_empty()), None),
    "own function": (lambda: _model(Dense(3, abs)), None),
    "no graph": (_Subclassed, None),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name):
    make, expected = ENDINGS[name]
    assert outputs.ending(make()) == expected


LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FOCAL = keras.losses.CategoricalFocalCrossentropy()
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    "ending, loss, logits, multi_label",
    [
        ("dense", LOGITS, True, False),
        ("dense", [LOGITS], True, False),
        ("dense", {"logits": LOGITS}, True, False),
        ("dense", None, True, False),
        ("dense", "mse", True, False),
        ("dense", lambda y, p: p, True, False),
        ("dense", BINARY, True, True),
        ("softmax", "SparseCategoricalCrossentropy", False, False),
        ("softmax", keras.losses.categorical_crossentropy, False, False),
        ("softmax", FOCAL, False, False),
        ("softmax", "kl_divergence", False, False),
        ("sigmoid", None, False, True),
        # Where the end says nothing, the loss does.
        ("no graph", LOGITS, True, False),
        ("no graph", FOCAL, False, False),
        ("no graph", "binary_focal_crossentropy", False, True),
        ("no graph", None, True, False),
    ],
)
def test_the_end_tells_and_then_the_loss(ending, loss, logits, multi_label):
    model = ENDINGS[ending][0]()
    assert outputs.gives_logits(model, loss) is logits
    assert outputs.is_multi_label(model, loss) is multi_label


ACCIDENT = [[0.25, 0.75]]  # Rows that sum to one, of a network of logits.


def test_what_is_said_wins():
    """An explicit choice was refused where values made another likely."""
    for end, values, said, expected in (
        ("dense", ACCIDENT, "auto", True),
        ("dense", ACCIDENT, "probabilities", False),
        ("no graph", ACCIDENT, "auto", False),
        ("no graph", ACCIDENT, "logits", True),
        ("no graph", [[0.2, 0.7]], "auto", True),
        ("no graph", [[0.2, 0.7]], "probabilities", False),
    ):
        model = ENDINGS[end][0]()
        assert gives_logits(model, np.array(values), said) is expected


def test_contradictions_are_refused():
    by_loss, by_values = outputs.gives_logits, gives_logits
    small, large = np.array([[0.2, 0.2]]), np.array([[-1, 2]])
    name = "sparse_categorical_crossentropy"
    for function, end, arguments, words in (
        (by_loss, "softmax", [LOGITS], "ends in softmax and the loss"),
        (by_loss, "dense", [name], f"no activation and the loss {name} has"),
        (by_values, "sigmoid", [small, "logits"], "gives probabilities (it e"),
        (by_values, "dense", [large, "probabilities"], "they reach from -1 to"),
    ):
        model = ENDINGS[end][0]()
        assert_usage_error(
            lambda f=function, m=model, a=arguments: f(m, *a), words
        )


IMAGES = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)


def _classifier(*end, policy="float32", bias=0.0):
    """Of images, with outputs that differ between them and are not near 1/K."""
    head = [layers.Rescaling(1 / 255, offset=-0.5), layers.Flatten()]
    head += [Dense(10, dtype=policy), *end]
    model = keras.Sequential([keras.Input((4, 4, 3)), *head])
    rng = np.random.default_rng(1)
    for weight in model.weights:
        drawn = rng.normal(0, 1.0, weight.shape)
        weight.assign(drawn + (bias if weight.shape.rank == 1 else 0.0))
    return model


def _half(dtype, *tail):
    softmax = Activation("softmax", dtype=dtype)
    return _classifier(softmax, *tail, policy=f"mixed_{dtype}")


def _silent(function):
    """A layer that tells nothing of itself."""
    return layers.Lambda(function, dtype="float32")


@pytest.mark.parametrize(
    "make, wanted",
    [
        (_classifier, True),
        # Logits that are not negative.
        (lambda: _classifier(bias=50.0), True),
        (lambda: _classifier(Activation("sigmoid")), False),
        (lambda: _classifier(_silent(keras.ops.softmax)), False),
        (lambda: _half("float16"), False),
        (lambda: _half("bfloat16", _silent(lambda x: x)), False),
    ],
)
def test_no_two_parts_disagree(make, wanted):
    """Served, evaluated and attacked outputs were told apart in four ways."""
    model = make()
    served = KerasModel(model, IMAGES)
    _, attacked = victim(model).nature(IMAGES.astype(np.float32))
    assert Predictor(model, 10, IMAGES, 4).from_logits is attacked is wanted
    assert served.is_probability is not wanted
    if outputs.ending(model) is not None:
        assert outputs.gives_logits(model) is wanted
    own = tf.cast(model(IMAGES.astype(np.float32)), tf.float32)
    own = tf.nn.softmax(own) if wanted else own
    assert np.max(own) > 0.5
    found = served.values(IMAGES)["probabilities"]
    np.testing.assert_allclose(found, own, atol=1e-6)
