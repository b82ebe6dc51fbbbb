"""What the trainer refuses, and when: as early as it can be known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.fit_models import SIDE, K, classifier
from support.usage import assert_usage_error

NAN = float("nan")


def _step(*shape):
    """Cut at its taps, the model would train on images of any size."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.Dense(K)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    trainer = fit_models.compiled("noisymix", model, ["input", "conv"])

    def step(x):
        return trainer.train_step((x, tf.zeros([2], tf.int32)))

    shape = tf.TensorSpec(shape)
    return tf.function(step, autograph=False).get_concrete_function(shape)


def _bad(**argument):
    return lambda: NoisyMix(classifier(), **argument)


OTHER_SIZE = "but the model takes [8, 8, 3]: give it views of that shape"


@pytest.mark.parametrize(
    "call, words",
    [
        (_bad(alpha=-1.0), "alpha=-1.0 must be a number at least 0"),
        (_bad(additive_noise=-0.1), "additive_noise=-0.1 must be"),
        (_bad(multiplicative_noise=NAN), "multiplicative_noise=nan must be"),
        (_bad(jsd_weight=-12), "jsd_weight=-12 must be"),
        (_bad(noise_sparsity=1.5), "noise_sparsity=1.5 must be a number in [0"),
        (_bad(mixing="blend"), "'blend'"),
        (_bad(stability="l2"), "'l2'"),
        (_bad(taps=["nowhere"]), "'nowhere'"),
        # These trained, and failed later or never.
        (_bad(noise_per_view=(NAN, 1)), "noise_per_view=(nan, 1) must be numb"),
        (_bad(noise_per_view=(1, -1)), "must be numbers of at least 0"),
        (_bad(noise_per_view=()), "noise_per_view=() must be"),
        (_bad(noise_per_view=None), "noise_per_view=None must be"),
        (_bad(noise_per_view="12"), "noise_per_view='12' must be"),
        (_bad(seed=1.5), "seed=1.5 must be a whole number of at most 32 bits"),
        (_bad(seed=2**32), "seed=4294967296 must be a whole number"),
        (_bad(seed=-(2**31) - 1), "seed=-2147483649 must be a whole number"),
        # Such were AttributeErrors, or trained a trainer.
        (lambda: NoisyMix(None), "trains a Keras model, got None: build or lo"),
        (lambda: NoisyMix(keras.Model), "Model'>: build or load one first"),
        (lambda: NoisyMix(NoisyMix(classifier())), "attribute model"),
        (lambda: _step(2, 3, 16, 16, 3), OTHER_SIZE),
        (lambda: _step(2, 16, 16, 3), OTHER_SIZE),
        (lambda: _step(2, 3), OTHER_SIZE),
        (lambda: _step(2, None, 8, 8, 3), "do not say how many views an imag"),
    ],
)
def test_bad_arguments_name_the_value(call, words):
    assert_usage_error(call, words)


def test_factors_may_be_ints_or_one_number_and_seeds_have_a_sign():
    """Ints were a TypeError in the first step, one number at once."""
    for given, factors in (
        ((1, 2), (1.0, 2.0)),
        (2, (2.0,)),
        (np.float32([0, 1]), (0.0, 1.0)),
    ):
        trainer = fit_models.model("noisymix", noise_per_view=given)
        assert trainer.noise_per_view == factors
        views = tf.zeros([2, 2, SIDE, SIDE, 3])
        fit_models.step(trainer, views, tf.zeros([2], tf.int32))
    for seed in (-(2**31), 2**32 - 1, np.int64(3)):
        assert NoisyMix(classifier(), seed=seed).seed == seed
