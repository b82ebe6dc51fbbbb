"""What a model puts out: by its end, by its loss, by what is said."""

import functools

import keras
import numpy as np

from noisymix_tf import probabilities
from noisymix_tf.probabilities import ending, gives_logits
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import Subclassed
from support.usage import assert_usage_error

layers = keras.layers
Dense, Activation, Softmax = layers.Dense, layers.Activation, layers.Softmax


def _model(*end):
    return keras.Sequential([keras.Input((4,)), *end])


def test_ending():
    empty, x = Activation("linear", dtype="float32"), keras.Input((4,))
    softmax = keras.Model(x, keras.ops.softmax(Dense(3)(x)))
    cast = keras.Model(x, keras.ops.cast(softmax.output, "float32"))
    # A model of its own, which hides how the network ends.
    tail = keras.Sequential([keras.Input((3,)), empty])
    soft = Dense(3, "softmax"), Softmax(), Activation("softmax"), softmax, cast
    for end, expected in (
        *(([layer], "softmax") for layer in soft),
        ([Dense(3)], "logits"),
        ([Dense(1, "sigmoid")], "sigmoid"),
        # The usual end in mixed precision: probabilities, then float32.
        ([Dense(3, "softmax", dtype="mixed_bfloat16"), empty], "softmax"),
        ([Dense(3, Softmax())], "softmax"),
        ([softmax, tail], "softmax"),
        ([Dense(3), tail], "logits"),
        ([layers.Reshape((2, 2)), Softmax(), layers.Flatten()], None),
        ([empty], None),
        ([Dense(3, abs)], None),
        ([type("Own", (Dense,), {})(3)], None),
    ):
        assert ending(_model(*end)) == expected, end
    assert ending(Subclassed()) is None


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ENDS = {"dense": _model(Dense(3)), "softmax": _model(Softmax())}
ENDS |= {"sigmoid": _model(Dense(1, "sigmoid")), "no graph": Subclassed()}
ENDS["trainer"] = NoisyMix(ENDS["dense"], mixing="none")


def test_what_is_said_wins_then_the_end_then_the_loss():
    focal = keras.losses.CategoricalFocalCrossentropy()
    plain, known = [SPARSE, [SPARSE], {"logits": SPARSE}], [focal]
    known += ["SparseCategoricalCrossentropy"]
    known += [keras.losses.categorical_crossentropy]
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    for end, given, logits, multi_label in (
        ("dense", [*plain, None, lambda y, p: p], True, False),
        ("dense", [binary], True, True),
        ("softmax", known, False, False),
        ("sigmoid", [None], False, True),
        # Where the end says nothing, the loss does.
        ("no graph", [SPARSE, None], True, False),
        ("no graph", [focal], False, False),
        ("no graph", ["binary_focal_crossentropy"], False, True),
    ):
        for loss in given:
            assert probabilities.trains_on_logits(ENDS[end], loss) is logits
            assert probabilities.is_multi_label(ENDS[end], loss) is multi_label
    accident, no_rows = [[0.25, 0.75]], [[0.2, 0.7]]  # Of a network of logits.
    for end, values, said, expected in (
        ("dense", accident, "auto", True),
        ("trainer", accident, "auto", True),
        ("dense", accident, "probabilities", False),
        ("no graph", accident, "auto", False),
        # XLA's softmax in bfloat16.
        ("no graph", [[0.5054, 0.5]], "auto", False),
        ("no graph", accident, "logits", True),
        ("no graph", no_rows, "auto", True),
        ("no graph", no_rows, "probabilities", False),
    ):
        assert gives_logits(ENDS[end], np.array(values), said) is expected
    by_loss, by_values = probabilities.trains_on_logits, gives_logits
    small, large = np.array([[0.2, 0.2]]), np.array([[-1, 2]])
    name = "sparse_categorical_crossentropy"
    for function, end, arguments, words in (
        (by_loss, "softmax", [SPARSE], "has from_logits=True, but"),
        (by_loss, "dense", [name], f"The loss {name} has from_logits=False"),
        (by_values, "dense", [small, "log"], "outputs='log' is not known"),
        (by_values, "sigmoid", [small, "logits"], "gives probabilities (it e"),
        (by_values, "dense", [large, "probabilities"], "they reach from -1 to"),
    ):
        call = functools.partial(function, ENDS[end], *arguments)
        assert_usage_error(call, words)
