"""What users pass to a trainer: checked, resolved, and as JSON has it."""

import contextlib
import functools
import math
import os
import types

import keras

from noisymix_tf import distribution, probabilities
from noisymix_tf import mixing as mixing_lib
from noisymix_tf.attacks import adversary as adversary_lib
from noisymix_tf.checks import flag, is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of


def check_classifier(model, from_logits=None) -> None:
    """Refuses what a trainer cannot train, and what cannot be said of it."""
    if classifier_of(model) is not model:
        raise UsageError(
            "NoisyMix was given a NoisyMix: give it the classifier, which is "
            "the other's attribute model."
        )
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"NoisyMix trains a Keras model, got {model!r}: build or load one "
            f"first, such as nm.models.build('resnet50')."
        )
    if flag("from_logits", from_logits, (None,)) is not None:
        said = probabilities.SAID[from_logits]
        speaker = f"from_logits={from_logits}"
        probabilities.gives_logits(model, said=said, speaker=speaker)


def methods(
    mixing, adversary, example
) -> tuple[mixing_lib.Mixing, adversary_lib.Adversary | None]:
    """The kind of mixing and the adversary that arguments name or are.

    Both must fit the classifier's symbolic input, `example`, if it is known.
    """
    mixing = mixing_lib.resolve(mixing)
    adversary = adversary_lib.resolve(adversary)
    for part in (mixing, adversary):
        if example is not None and part is not None:
            part.check(tuple(example.shape[1:]))
    if adversary and getattr(mixing, "adversarial_probability", 0.0):
        raise UsageError(
            "PuzzleMix with an adversarial_probability attacks the images "
            "itself, and would push those of adversary out of their ball; "
            "leave out one of the two."
        )
    return mixing, adversary


def check_compiled(mixing, loss, optimizer, strategy) -> None:
    """Refuses what `compile` was given and the step cannot work with."""
    reduction = "mean_with_sample_weight"
    losses = keras.tree.flatten(loss) if mixing.per_example else ()
    if any(getattr(each, "reduction", None) == reduction for each in losses):
        raise UsageError(
            f"mixing={type(mixing).__name__} weighs the losses of the "
            f"examples, which reduction={reduction!r} divides out; give the "
            f"loss reduction='sum_over_batch_size'."
        )
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    steps = getattr(optimizer, "gradient_accumulation_steps", None)
    distribution.check_accumulation(strategy, steps or 1)


def check_metrics(metrics, own) -> None:
    """Refuses metrics of `compile` with the names of a trainer's own."""
    given = {m.name for each in metrics for m in getattr(each, "metrics", ())}
    for name in given.intersection(own):
        raise UsageError(
            f"The metric {name!r} has the name of a term of the loss that "
            f"NoisyMix reports itself: give it another name."
        )


def factors(values, what="view", names=None) -> tuple[float, ...]:
    """Factors of noise as a tuple of floats; a number counts for all.

    Where there are `names` of what they are for, there may be no more of them.
    """
    try:
        found = (values,) if is_real(values) else tuple(values)
    except TypeError:
        found = ()
    if not found or not all(
        is_real(factor) and 0 <= factor < math.inf for factor in found
    ):
        raise UsageError(
            f"noise_per_{what}={values!r} must be numbers of at least 0, one "
            f"for each {what}, or one number for all."
        )
    if names and len(found) > len(names):
        raise UsageError(
            f"noise_per_{what}={values!r} has a factor for each of "
            f"{len(found)} {what}s, but there are {len(names)} "
            f"({', '.join(names)}): leave out the last."
        )
    return tuple(map(float, found))


def serialize(value, name=None) -> dict | str:
    """A name, a Keras object or a callable as JSON has it.

    `functools.partial` of a function with keywords becomes a dict of
    `"function"` and `"options"`. A function that cannot be found by its name
    is refused; `name` is that of the argument.
    """
    if isinstance(value, functools.partial) and not value.args:
        function, options = serialize(value.func, name), dict(value.keywords)
        for key, each in options.items():
            if isinstance(each, os.PathLike):
                options[key] = os.fspath(each)
        with contextlib.suppress(TypeError):
            keras.saving.serialize_keras_object(options)
            return {"function": function, "options": options}
    is_name = isinstance(value, str) and name not in ("augment", "standard")
    is_found = is_name or hasattr(value, "get_config")
    if isinstance(value, types.FunctionType):
        registered = keras.saving.get_registered_name(value)
        is_found = "<" not in value.__qualname__ or registered != value.__name__
    if not is_found:
        raise UsageError(
            f"{name}={value!r} cannot be saved with the trainer; give a "
            f"function from the top of a module (no lambda), or functools."
            f"partial of one with its plain options by name."
        )
    return keras.saving.serialize_keras_object(value)


def deserialize(config):
    """What `serialize` was given."""
    if isinstance(config, dict) and config.keys() == {"function", "options"}:
        function = deserialize(config["function"])
        return functools.partial(function, **config["options"])
    return keras.saving.deserialize_keras_object(config)
