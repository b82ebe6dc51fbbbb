"""The one place that makes a distribution strategy."""

import tensorflow as tf

from noisymix_tf.errors import UsageError

STRATEGIES = ("auto", "single", "mirrored")


def strategy(name="auto"):
    """Makes a strategy by name.

    Args:
        name: `"single"` for the first device; `"mirrored"` for all GPUs of this
            machine, or all its logical CPUs where there is none; `"auto"` for
            mirrored where there are several GPUs, or else single.

    Returns:
        `tf.distribute.Strategy`, or None for one device.

    Raises:
        UsageError: If the name is not known.

    Example:

    >>> with strategy("mirrored").scope():
    ...     model = keras.models.load_model("model.keras")
    """
    if name not in STRATEGIES:
        raise UsageError(
            f"Unknown strategy {name!r}: choose {', '.join(STRATEGIES)}."
        )
    gpus = tf.config.list_logical_devices("GPU")
    if name == "single" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])
