"""What a trained classifier puts out, by how it ends and by its loss."""

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import LOGITS, SIGMOID, ending

_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")


def gives_logits(model, loss=None):
    """Whether a model gives logits, from how it ends and from its loss.

    Args:
        model: Any Keras model.
        loss: What `compile` takes as loss, or `None` where it is not known.

    Raises:
        UsageError: The loss takes logits and the model surely gives
            probabilities, or the other way round.
    """
    seen = ending(model)
    wanted = _takes_logits(loss)
    if seen is None:
        return wanted is not False
    if wanted is not None and wanted != (seen == LOGITS):
        raise UsageError(
            f"The model ends in {'no activation' if wanted is False else seen} "
            f"and the loss {_name(loss)} has from_logits={wanted}; give a loss "
            f"with from_logits={not wanted}."
        )
    return seen == LOGITS


def is_multi_label(model, loss=None):
    """Whether each output is a yes or no of its own, not one of K classes."""
    return ending(model) == SIGMOID or _name(loss) in _BINARY


def _takes_logits(loss):
    """`from_logits` of a loss; `None` where it has no such thing."""
    loss = _only(loss)
    if isinstance(loss, keras.losses.Loss):
        return getattr(loss, "from_logits", None)
    # By name or as a function, Keras' cross-entropies take probabilities.
    return False if (_name(loss) or "").endswith("crossentropy") else None


def _name(loss):
    loss = _only(loss)
    if isinstance(loss, str):
        return keras.src.utils.naming.to_snake_case(loss)
    if isinstance(loss, keras.losses.Loss):
        return keras.src.utils.naming.to_snake_case(type(loss).__name__)
    return getattr(loss, "__name__", None)


def _only(loss):
    """The loss in a list or dict of one."""
    if isinstance(loss, dict):
        loss = list(loss.values())
    if isinstance(loss, list | tuple) and len(loss) == 1:
        loss = loss[0]
    return loss
