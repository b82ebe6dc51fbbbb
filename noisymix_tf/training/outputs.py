"""What a trained classifier puts out, by how it ends and by its loss."""

import keras

from noisymix_tf import probabilities

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
    wanted = _takes_logits(loss)
    return probabilities.gives_logits(
        model,
        said=probabilities.SAID[wanted],
        speaker=f"The loss {_name(loss)} has from_logits={wanted}",
        advice=f"give a loss with from_logits={not wanted}",
    )


def is_multi_label(model, loss=None):
    """Whether each output is a yes or no of its own, not one of K classes."""
    ends = probabilities.ending(model)
    return ends == probabilities.SIGMOID or _name(loss) in _BINARY


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
