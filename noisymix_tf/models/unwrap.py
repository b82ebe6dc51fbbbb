"""What callbacks and model cards ask of a model, wrapped in NoisyMix or not."""

import contextlib


def classifier_of(model):
    """The classifier that is trained: of a `NoisyMix` what it wraps."""
    return model.model if _is_wrapped(model) else model


def evaluation_weights(model):
    """A context in which a model has the weights that are to be measured.

    It does something only to a `NoisyMix` that averages its weights.
    """
    own = getattr(model, "evaluation_weights", contextlib.nullcontext)
    return own()


def step_of(model):
    """Steps taken so far: of the trainer, or of a plain model's optimizer.

    An optimizer that scales the loss does not count the steps it skips.
    """
    counter = model.step if _is_wrapped(model) else model.optimizer.iterations
    # A variable with a copy on each replica is no `int`.
    return int(counter.numpy())


def _is_wrapped(model):
    # By what it can: the trainer stands above this room.
    return hasattr(model, "evaluation_weights")
