"""The kinds of mixing by name, and how an argument or a file names one."""

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.mixing.kind import Mixing
from noisymix_tf.registry import Registry

MIXINGS = Registry("mixing")


def resolve(mixing):
    """The kind that an argument names.

    Args:
        mixing: A registered name, or a `Mixing`.

    Returns:
        A `Mixing`; by name, one with its default options.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(mixing, Mixing):
        return mixing
    if not isinstance(mixing, str):
        raise UsageError(
            f"mixing={mixing!r} must be one of {', '.join(MIXINGS.names())}, "
            f"or an object of nm.mixing such as nm.mixing.CutMix()."
        )
    return MIXINGS.get(mixing)()


def serialize(mixing):
    """What `resolve` takes, as JSON has it."""
    if isinstance(mixing, str):
        return mixing
    return keras.saving.serialize_keras_object(mixing)


def deserialize(config):
    """What `serialize` was given."""
    if isinstance(config, str):
        return config
    return keras.saving.deserialize_keras_object(config)
