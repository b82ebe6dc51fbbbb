"""What a classifier puts out: logits or probabilities. All ask here."""

import numpy as np

from noisymix_tf import private
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf
from noisymix_tf.private import functional, is_graph

SOFTMAX, SIGMOID, LOGITS = "softmax", "sigmoid", "logits"
PROBABILITIES, AUTO = "probabilities", "auto"
OUTPUTS = (AUTO, LOGITS, PROBABILITIES)

# What `from_logits`, which may be None, says of a model.
SAID = {None: AUTO, True: LOGITS, False: PROBABILITIES}

_ACTIVATIONS = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "linear": LOGITS}
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
# Layers and operations that change the type or the shape of values only.
_PASSED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze")
# How far from one a row of probabilities may sum. A softmax in bfloat16 is off
# by 0.0022, compiled by XLA by 0.0054 (10 to 10,000 classes, logits of noise).
# What a model computes in cannot be told from what it puts out, so that it
# holds for all.
_ROW_SUM_TOLERANCE = 1 / 64
# Smaller probabilities count as this one; its logarithm and the reciprocal in
# its gradient are finite in float32.
PROBABILITY_MIN = 1e-30


def gives_logits(
    model,
    outputs=None,
    said=AUTO,
    speaker=None,
    advice="leave the setting out, or change the model",
) -> bool:
    """Whether a classifier gives logits, not probabilities.

    How it ends tells, where that can be seen; else what is said, else its
    outputs; else it is logits. Outputs of a sigmoid are probabilities, each of
    its own class.

    Args:
        model: Keras model, or a function of images; see `ending`.
        outputs: float `[B, K]`, what it puts out for some images; None where
            there are none yet.
        said: One of `OUTPUTS`, what the user says. Probabilities may be said of
            a model that ends as those of logits do, if its outputs are from 0
            to 1; else what cannot be is a `UsageError`.
        speaker, advice: What says it, and what to do, for the error.
    """
    if said not in OUTPUTS:
        known = ", ".join(OUTPUTS)
        raise UsageError(f"outputs={said!r} is not known: give {known}.")
    seen = ending(model)
    found = None if seen is None else seen == LOGITS
    if found is None and outputs is not None:
        off = np.abs(outputs.sum(axis=-1, dtype=np.float64) - 1.0)
        sums_to_one = (off <= _ROW_SUM_TOLERANCE).all()
        found = not (sums_to_one and (outputs >= 0.0).all())
    logits = found is not False if said == AUTO else said == LOGITS
    why = f"it ends in {'no activation' if seen == LOGITS else seen}"
    cannot_be = seen is not None and logits != (seen == LOGITS)
    if outputs is not None and not logits:
        low, high = outputs.min(), outputs.max()
        cannot_be = low < 0 or high > 1 + _ROW_SUM_TOLERANCE
        why = f"they reach from {low:.3g} to {high:.3g}"
    if cannot_be:
        raise UsageError(
            f"{speaker or f'outputs={said!r}'}, but this model gives "
            f"{PROBABILITIES if logits else LOGITS} ({why}): {advice}."
        )
    return logits


def trains_on_logits(model, loss=None) -> bool:
    """Whether a Keras model gives logits, from how it ends and from its loss.

    `loss` is what `compile` takes, `None` where it is not known. A `UsageError`
    where it takes logits and the model surely gives probabilities, or the other
    way round.
    """
    loss = _only(loss)
    name, wanted = _name(loss), getattr(loss, "from_logits", None)
    if not isinstance(loss, keras.losses.Loss):
        # By name or as a function, Keras' cross-entropies take probabilities.
        own = getattr(loss, "__module__", "keras.").startswith("keras.")
        wanted = False if own and str(name).endswith("crossentropy") else None
    return gives_logits(
        model,
        said=SAID[wanted],
        speaker=f"The loss {name} has from_logits={wanted}",
        advice=f"give a loss with from_logits={not wanted}",
    )


def is_multi_label(model, loss=None) -> bool:
    """Whether each output is a yes or no of its own, not one of K classes."""
    return ending(model) == SIGMOID or _name(_only(loss)) in _BINARY


def _name(loss):
    if isinstance(loss, keras.losses.Loss):
        loss = type(loss).__name__
    if isinstance(loss, str):
        return private.to_snake_case(loss)
    return getattr(loss, "__name__", None)


def _only(loss):
    """The loss in a list or dict of one."""
    if isinstance(loss, dict):
        loss = list(loss.values())
    if isinstance(loss, list | tuple) and len(loss) == 1:
        loss = loss[0]
    return loss


def scores(outputs, from_logits) -> "tf.Tensor":
    """Scores `[B, K]` whose softmax are the model's probabilities, float32.

    They are taken from in front of a final softmax where there is one in
    sight: of a confident model, rounded probabilities tell no direction. A
    `UsageError` where they are called logits and a softmax made them.

    Args:
        outputs: Float `[B, K]`, what a model gives, as a tensor of a graph
            (inside a `tf.function`); behind an eager one nothing is seen.
        from_logits: Whether they are logits or probabilities.
    """
    operation = getattr(outputs, "op", None)
    while operation is not None and operation.type in ("Identity", "Cast"):
        operation = operation.inputs[0].op
    if operation is not None and operation.type == "Softmax":
        if from_logits:
            raise UsageError(
                "The model ends in softmax and from_logits=True was given: "
                "give from_logits=False, or leave it out."
            )
        return tf.cast(operation.inputs[0], tf.float32)
    outputs = tf.cast(outputs, tf.float32)
    if from_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, PROBABILITY_MIN))


def ending(model) -> str | None:
    """How a model ends, as far as its last layers tell.

    Casts, changes of shape and activations without effect are looked through,
    and so are nested models. What is no Keras model may say it itself, by an
    attribute `ending`, as a trainer does.

    Returns `"softmax"`, `"sigmoid"`, `"logits"` (a layer with weights and
    without activation), or `None` where it cannot be known. A SavedModel may
    say `"probabilities"`.
    """
    own = getattr(model, "ending", None)
    if isinstance(own, str):
        return own
    if not is_graph(model) or len(functional(model).outputs) != 1:
        return None
    return _ending(functional(model).outputs[0], ())


def _ending(tensor, calls):
    """`ending` of a symbolic tensor.

    Of each nested model around it, outermost first, `calls` has the tensors
    that it is called with.
    """
    operation, node, place = tensor._keras_history
    inputs = operation._inbound_nodes[node].input_tensors
    if isinstance(operation, keras.layers.InputLayer):
        if not calls or len(calls[-1]) != 1:
            return None
        return _ending(calls[-1][0], calls[:-1])
    if is_graph(operation):
        return _ending(functional(operation).outputs[place], (*calls, inputs))
    name = type(operation).__name__
    # A layer of the user's own may do more than its attributes tell.
    if not type(operation).__module__.startswith("keras."):
        return None
    if name.lower() in (SOFTMAX, SIGMOID):
        return name.lower()
    activation = getattr(operation, "activation", None)
    word = getattr(activation, "__name__", type(activation).__name__.lower())
    kind = _ACTIVATIONS.get(word)
    is_empty = kind == LOGITS and isinstance(operation, keras.layers.Activation)
    if is_empty or name in _PASSED:
        return _ending(inputs[0], calls) if _same_rows(tensor, inputs) else None
    if kind == LOGITS and not getattr(operation, "weights", None):
        return None
    return kind


def _same_rows(tensor, inputs):
    """Whether an operation leaves the K values of an image side by side."""
    sizes = [
        [side for side in t.shape[1:] if side != 1] for t in (tensor, *inputs)
    ]
    return len(sizes) == 2 and sizes[0] == sizes[1]
