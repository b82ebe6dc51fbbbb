"""What a model's end and its loss tell about its outputs."""

import keras
import numpy as np
import pytest

from noisymix_tf.attacks.victims import victim
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.probabilities import gives_logits
from noisymix_tf.serving.keras_model import KerasModel
from noisymix_tf.training import outputs


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


def _functional_softmax():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3)(inputs)
    return keras.Model(inputs, keras.ops.softmax(x))


def _cast_softmax():
    """Ends in an operation that changes the type only."""
    model = _functional_softmax()
    return keras.Model(
        model.inputs, keras.ops.cast(model.outputs[0], "float32")
    )


def _nested_tail(head):
    """The tail, a model of its own, hides how the network ends."""
    tail = keras.Sequential(
        [keras.Input((3,)), keras.layers.Activation("linear")]
    )
    return _model(head, tail)


def _bfloat16_softmax():
    """The usual end in mixed precision: probabilities, then float32."""
    return _model(
        keras.layers.Dense(3, "softmax", dtype="mixed_bfloat16"),
        keras.layers.Activation("linear", dtype="float32"),
    )


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
    "cast": (_cast_softmax, "softmax"),
    "float32 at the end": (_bfloat16_softmax, "softmax"),
    "layer as activation": (
        lambda: _model(keras.layers.Dense(3, keras.layers.Softmax())),
        "softmax",
    ),
    "nested tail": (lambda: _nested_tail(_functional_softmax()), "softmax"),
    "nested tail of logits": (
        lambda: _nested_tail(keras.layers.Dense(3)),
        "logits",
    ),
    "logits in float32": (
        lambda: _model(
            keras.layers.Dense(3),
            keras.layers.Activation("linear", dtype="float32"),
        ),
        "logits",
    ),
    "softmax of other rows": (
        lambda: _model(
            keras.layers.Reshape((2, 2)),
            keras.layers.Softmax(),
            keras.layers.Flatten(),
        ),
        None,
    ),
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


# All parts of the package say the same of one model.

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)


def _classifier(*end, policy="float32", bias=0.0):
    """Of images, with outputs that differ between them and are not near 1/K."""
    layers = [
        keras.layers.Rescaling(1 / 255, offset=-0.5),
        keras.layers.Flatten(),
        keras.layers.Dense(10, dtype=policy),
        *end,
    ]
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    rng = np.random.default_rng(1)
    for weight in model.weights:
        drawn = rng.normal(0, 1.0, weight.shape)
        weight.assign(drawn + (bias if weight.shape.rank == 1 else 0.0))
    return model


def _activation(name, dtype="float32"):
    return keras.layers.Activation(name, dtype=dtype)


class _OwnSoftmax(keras.layers.Layer):
    """Tells nothing of itself."""

    def call(self, x):
        return keras.ops.softmax(x)


CLASSIFIERS = {
    "logits": (lambda: _classifier(), True),
    "logits that are not negative": (lambda: _classifier(bias=50.0), True),
    "relu": (lambda: _classifier(_activation("relu")), True),
    "softmax": (lambda: _classifier(_activation("softmax")), False),
    "sigmoid": (lambda: _classifier(_activation("sigmoid")), False),
    "own layer": (lambda: _classifier(_OwnSoftmax()), False),
} | {
    f"{dtype} softmax, {end}": (
        lambda dtype=dtype, tail=tail: _classifier(
            _activation("softmax", dtype), *tail(), policy=f"mixed_{dtype}"
        ),
        False,
    )
    for dtype in ("float16", "bfloat16")
    for end, tail in (
        ("as it is", lambda: []),
        ("then float32", lambda: [_activation("linear")]),
        (
            "then a layer",
            lambda: [keras.layers.Lambda(lambda x: x, dtype="float32")],
        ),
    )
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_no_two_parts_disagree(name):
    """Served and evaluated probabilities were told apart in four ways.

    Softmax in bfloat16 and then float32 was taken for logits by one of them.
    """
    make, wanted = CLASSIFIERS[name]
    model = make()
    predictor = Predictor(model, 10, IMAGES, 4)
    served = KerasModel(model, IMAGES)
    _, attacked = victim(model).nature(IMAGES.astype(np.float32))
    assert predictor.from_logits is attacked is wanted
    assert served.is_probability is not wanted
    if outputs.ending(model) is not None:
        assert outputs.gives_logits(model) is wanted
    found = served.values(IMAGES)["probabilities"]
    own = np.asarray(model(IMAGES.astype(np.float32)), np.float32)
    if wanted:
        own = np.exp(own - own.max(-1, keepdims=True))
        own /= own.sum(-1, keepdims=True)
    assert own.max() > 0.5
    np.testing.assert_allclose(found, own, atol=1e-6)


@pytest.mark.parametrize(
    ("end", "values", "said", "expected"),
    [
        # Rows that sum to one are of a network without activation by accident.
        ("dense", [[0.25, 0.75]], "auto", True),
        ("dense", [[0.25, 0.75]], "probabilities", False),
        ("no graph", [[0.25, 0.75]], "auto", False),
        ("no graph", [[0.25, 0.75]], "logits", True),
        ("no graph", [[0.2, 0.7]], "auto", True),
        ("no graph", [[0.2, 0.7]], "probabilities", False),
    ],
)
def test_what_is_said_wins(end, values, said, expected):
    """An explicit choice was refused where values made another likely."""
    model = ENDINGS[end][0]()
    assert gives_logits(model, np.array(values), said) is expected


@pytest.mark.parametrize(
    ("end", "values", "said", "message"),
    [
        ("softmax", [[0.2, 0.8]], "logits", "gives prob.*ends in softmax"),
        ("sigmoid", [[0.2, 0.2]], "logits", "gives prob.*ends in sigmoid"),
        ("dense", [[-1, 2]], "probabilities", "gives logits.*from -1 to 2"),
    ],
)
def test_what_cannot_be_is_refused(end, values, said, message):
    with pytest.raises(UsageError, match=message):
        gives_logits(ENDINGS[end][0](), np.array(values), said)
