"""The message of a user's error stays one line wherever it arises."""

import keras
import tensorflow as tf

from noisymix_tf.errors import UsageError
from support.usage import assert_usage_error

MESSAGE = "value=3 must be 4: give 4."


def _refuse(x):
    raise UsageError(MESSAGE)


def test_it_arrives_as_it_was_raised():
    for refuse in (tf.function(_refuse), keras.layers.Lambda(_refuse)):
        line = assert_usage_error(lambda refuse=refuse: refuse(tf.ones([2])))
        assert line == MESSAGE
