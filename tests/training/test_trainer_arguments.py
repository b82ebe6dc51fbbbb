"""What the trainer refuses, and when: as early as it can be known."""

import keras
import numpy as np
import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import SIDE, classifier, model

NAN = float("nan")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("alpha", -1.0, "alpha=-1.0 must be a number at least 0"),
        ("additive_noise", -0.1, "additive_noise=-0.1 must be"),
        ("multiplicative_noise", NAN, "multiplicative_noise=nan must be"),
        ("jsd_weight", -12, "jsd_weight=-12 must be"),
        ("noise_sparsity", 1.5, r"noise_sparsity=1.5 must .* in \[0, 1\]"),
        ("mixing", "blend", "'blend'"),
        ("taps", ["nowhere"], "'nowhere'"),
        # These trained, and failed later or never.
        ("noise_per_view", (NAN, 1), r"noise_per_view=\(nan, 1\) must be num"),
        ("noise_per_view", (1, -1), "must be numbers of at least 0"),
        ("noise_per_view", (), r"noise_per_view=\(\) must be"),
        ("noise_per_view", None, "noise_per_view=None must be"),
        ("noise_per_view", "12", "noise_per_view='12' must be"),
        ("seed", 1.5, "seed=1.5 must be a whole number of at most 32 bits"),
        ("seed", None, "seed=None must be a whole number"),
        ("seed", 2**32, "seed=4294967296 must be a whole number"),
    ],
)
def test_bad_arguments_name_the_value(argument, value, message):
    with pytest.raises(UsageError, match=message):
        NoisyMix(classifier(), **{argument: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "trains a Keras model, got None: build or load one"),
        ("resnet50", "got 'resnet50': build or load one first"),
        (keras.Model, "got <class .*Model'>: build"),
        (lambda: NoisyMix(classifier()), "attribute model"),
    ],
)
def test_what_is_no_classifier_is_refused(given, message):
    """Such were AttributeErrors, or trained a trainer."""
    with pytest.raises(UsageError, match=message):
        NoisyMix(given() if message == "attribute model" else given)


@pytest.mark.parametrize(
    ("given", "factors"),
    [((1, 2), (1.0, 2.0)), (2, (2.0,)), (np.float32([0, 1]), (0.0, 1.0))],
)
def test_factors_of_noise_may_be_ints_or_one_number(given, factors):
    """Ints were a TypeError in the first step, one number at once."""
    trainer = model("noisymix", noise_per_view=given)
    assert trainer.noise_per_view == factors
    views = np.zeros([2, 2, SIDE, SIDE, 3], np.float32)
    trainer.train_on_batch(views, np.zeros([2], np.int32))
    again = NoisyMix.from_config(trainer.get_config())
    assert again.noise_per_view == factors


@pytest.mark.parametrize("shape", [(2, 3, 16, 16, 3), (2, 16, 16, 3), (2, 3)])
def test_views_of_another_size_are_refused_in_the_first_step(shape):
    """A network with pooling, cut at its taps, trained on any size."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    pooled = keras.Model(inputs, keras.layers.Dense(3)(x))
    trainer = NoisyMix(pooled, ["input", "conv"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("sgd", loss)
    message = r"but the model takes \[8, 8, 3\]: give it views of that shape"
    with pytest.raises(UsageError, match=message):
        trainer.train_on_batch(np.zeros(shape), np.zeros([2], np.int32))
