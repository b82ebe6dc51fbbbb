"""Which layers are trained, and at what share of the learning rate."""

import functools

import keras
import pytest
from keras import layers

from noisymix_tf.config import Config
from noisymix_tf.training.tuning import Tuning, rate_factors
from support.usage import assert_usage_error

ALL = "conv1 norm1 conv2 norm2 logits"


def _network(trainable=True):
    """A body of two blocks, nested, and a head."""
    parts = [
        layers.Conv2D(2, 3, name="conv1", trainable=trainable),
        layers.BatchNormalization(name="norm1"),
        layers.Conv2D(2, 1, name="conv2"),
        layers.BatchNormalization(name="norm2"),
    ]
    body = keras.Sequential([keras.Input([4, 4, 3]), *parts], name="body")
    ends = layers.Flatten(), layers.Dense(5, name="logits"), layers.Softmax()
    return keras.Sequential([keras.Input([4, 4, 3]), body, *ends], name="net")


def _names(model):
    return [v.path.split("/")[-2] for v in model.trainable_variables]


def _trained(model):
    return " ".join(dict.fromkeys(_names(model)))


# What is trained in the end, and said; nothing else is, and it is undone.
@pytest.mark.parametrize(
    ("flags", "names", "words"),
    [
        ({}, ALL, ""),
        ({"bn_momentum": 0.5}, ALL, "; momentum of batch normalisation 0.5"),
        ({"freeze": ["body/conv1", "log"]}, ALL[6:-7], ", of which 14 train"),
        ({"freeze": ["body"]}, "logits", ", of which 45 train"),
        ({"freeze_batch_norm": True}, "conv1 conv2 logits", "which 107 train"),
        ({"freeze_epochs": 2}, ALL, "115 train, at first the head's 45 alone"),
        ({"layer_decay": 0.5, "head_learning_rate": 0.8}, ALL, "at 0.25 to 8"),
    ],
)
def test_what_flags_train_is_said_and_undone(flags, names, words):
    # What comes frozen stays so.
    for came, model in ((ALL, _network()), (ALL[6:], _network(False))):
        tuning = Tuning(Config(**flags), model)
        trained = " ".join(n for n in names.split() if n in came)
        assert _trained(model) == trained
        said = tuning.describe()
        assert came != ALL or (words in said and bool(said) == bool(flags))
        norm = model.layers[0].get_layer("norm2")
        assert norm.momentum == flags.get("bn_momentum", 0.99)
        tuning.leave()
        assert _trained(model) == came


def test_rates_fall_from_the_head_to_the_first_block():
    factors = rate_factors(model := _network(), head=8, layer_decay=0.5)
    rates = dict(zip(_names(model), factors))
    assert rates == dict(zip(ALL.split(), (0.25, 0.25, 0.5, 0.5, 8)))


def test_what_is_not_there_or_not_trained_is_told():
    plain = keras.Sequential([keras.Input([3]), layers.Dense(2)])
    for flags, words in (
        ({"freeze": ["body/conv3"]}, "close to it are body/conv2, body/conv1"),
        ({"freeze": ["xyz"]}, "begins so; some are body, body/conv1, body/n"),
        ({"freeze": ["body", "logits"]}, "Nothing of 'net' is left to train"),
        ({"freeze": ["logits"], "freeze_epochs": 1}, "--freeze_epochs is abou"),
        ({"bn_momentum": 0.5}, "--bn_momentum does nothing: "),
        ({"freeze_batch_norm": True}, "--freeze_batch_norm does nothing: "),
    ):
        model = _network() if "freeze" in flags else plain
        call = functools.partial(Tuning, Config(**flags), model)
        assert_usage_error(call, words)
