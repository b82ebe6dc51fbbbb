"""The message of a user's error stays one line wherever it arises."""

import keras
import tensorflow as tf

from noisymix_tf.errors import UsageError
from support.usage import assert_usage_error

MESSAGE = "value=3 must be 4: give 4."


def _refuse(x):
    raise UsageError(MESSAGE)


def _model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.call = lambda x, **_: _refuse(x)
    return model


PLACES = {
    "traced function": lambda: tf.function(_refuse)(tf.ones([2])),
    "dataset": lambda: tf.data.Dataset.range(3).map(_refuse),
    "layer": lambda: keras.layers.Lambda(_refuse)(tf.ones([2])),
    "prediction": lambda: _model().predict(tf.ones([2, 1]), verbose=0),
}


def test_it_arrives_as_it_was_raised():
    for place in PLACES.values():
        assert assert_usage_error(place) == MESSAGE
