"""A classifier from a tap on, as a function from vectors to logits.

Here the arguments of the theory's functions are checked, too.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import probabilities
from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.training import segments
from noisymix_tf.training.precision import policy_of

# Probabilities below it count as this, so that their logarithm is finite.
_SMALLEST = 1e-30
# Derivatives of what does not depend on a number.
ZERO = tf.UnconnectedGradients.ZERO


class Tail:
    """The part of a classifier behind a tap, in inference.

    Its output may be logits or probabilities `[B, K]`, or one number for a yes
    or no. Arguments are those that `noisymix_tf.theory` lists.

    Attributes:
        features: Float tensor `[N, D]`, what the examples are at the tap.
        num_classes: K, at least 2.
    """

    def __init__(self, model, x, tap=segments.INPUT, from_logits=None):
        model = classifier_of(model)
        x = _examples(model, x, tap)
        _, (head, *self._rest) = segments.cut(model, [tap])
        features = head(x, training=False)
        self._shape = [-1, *features.shape[1:]]
        self.features = tf.reshape(features, [len(x), -1])
        output = self._output(self.features)
        is_one = output.shape[1:] == [1]
        several = not is_one and probabilities.is_multi_label(model)
        if several or output.shape.rank != 2:
            kind = "yes or no answers" if several else "numbers"
            raise UsageError(
                f"The model gives {list(output.shape[1:])} {kind} for an "
                f"example: give a classifier, with a number for each of "
                f"several classes that exclude each other."
            )
        self._from_logits = probabilities.gives_logits(
            model, output.numpy(), probabilities.SAID[from_logits]
        )
        self.num_classes = max(2, output.shape[1])

    def __call__(self, features) -> tf.Tensor:
        """Logits `[M, K]`, K at least 2, of features `[M, D]`."""
        found = self._output(features)
        if found.shape[-1] == 1:
            # Two that say what one number for a yes does.
            no = 0.0 * found if self._from_logits else 1.0 - found
            found = tf.concat([no, found], axis=-1)
        if self._from_logits:
            return found
        return tf.math.log(tf.maximum(found, _SMALLEST))

    def labels(self, y) -> tf.Tensor:
        """Labels of the examples as rows `[N, K]` that sum to one."""
        rows = one_hot(y, len(self.features), self.num_classes)
        return tf.constant(rows, self.features.dtype)

    def _output(self, features):
        found = tf.reshape(features, self._shape)
        for segment in self._rest:
            found = segment(found, training=False)
        return found


def jacobian(function, x) -> tuple[tf.Tensor, tf.Tensor]:
    """Outputs `[N, K]` of a function and their derivatives `[N, K, D]`.

    The function maps each row of `x`, `[N, D]`, by itself.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = function(x)
    # Output by output: at once they would take as many times the memory.
    return outputs, tape.batch_jacobian(
        outputs, x, ZERO, experimental_use_pfor=False
    )


def in_float64(model) -> keras.Model:
    """A copy in float64 of a functional or Sequential model with one input.

    A model that computes in float64 is returned as it is.
    """
    model = classifier_of(model)
    if not segments.is_graph(model) or len(model.inputs) != 1:
        raise UsageError(
            f"The {type(model).__name__} {model.name!r} cannot be copied: give "
            f"a functional or Sequential model with one input."
        )
    ends = (model.inputs[0], model.outputs[0], *model.trainable_weights)
    if all(end.dtype == "float64" for end in ends):
        return model

    def convert(layer):
        return layer.from_config({**layer.get_config(), "dtype": "float64"})

    inputs = keras.Input(model.inputs[0].shape[1:], dtype="float64")
    copy = keras.models.clone_model(
        model, input_tensors=inputs, clone_function=convert, recursive=True
    )
    copy.set_weights(model.get_weights())
    return copy


def check(high=math.inf, *, above_0=False, **numbers) -> None:
    """Refuses numbers, alone or in a list, outside [0, high] or (0, high]."""
    words = "above 0" if above_0 else "at least 0"
    words = words if high == math.inf else f"0 to {high:g}"
    for name, given in numbers.items():
        for value in given if np.ndim(given) else [given]:
            ok = is_real(value) and math.isfinite(value) and 0 <= value <= high
            if not ok or (above_0 and value == 0):
                raise UsageError(f"{name}={value!r} must be a number, {words}.")


def check_views(noise_per_view) -> None:
    """Refuses factors of noise that are not one number for each view."""
    if np.ndim(noise_per_view) != 1 or not len(noise_per_view):
        raise UsageError(
            f"noise_per_view={noise_per_view!r} must be a list of numbers, one "
            f"for each view."
        )
    check(noise_per_view=noise_per_view)


def as_array(name, value) -> np.ndarray:
    """An argument as a NumPy array of finite numbers."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = None
    is_number = array is not None and array.dtype.kind in "biuf"
    if not is_number or not np.isfinite(array).all():
        raise UsageError(
            f"{name} must be an array of finite numbers: no text, and no parts "
            f"that differ in length."
        )
    return array


def one_hot(y, num, num_classes) -> np.ndarray:
    """Labels of `num` examples, in either form, as rows `[N, K]`."""
    y = as_array("y", y)
    if y.shape == (num, num_classes):
        if (y >= 0).all() and np.allclose(y.sum(axis=1), 1, atol=1e-3):
            return y
    elif y.shape in ((num,), (num, 1)) and np.isin(y, range(num_classes)).all():
        return np.eye(num_classes)[y.reshape(-1).astype(int)]
    span = f" from {y.min():g} to {y.max():g}" if y.size else ""
    raise UsageError(
        f"y has the shape {list(y.shape)} and values{span}: for these "
        f"{num} examples and {num_classes} classes give whole numbers [{num}] "
        f"from 0 to {num_classes - 1}, or rows [{num}, {num_classes}] of sum 1."
    )


def _examples(model, x, tap):
    """The examples as the tensor that the model takes."""
    if not isinstance(model, keras.Model):
        raise UsageError(f"model={model!r} is no Keras model.")
    if not isinstance(tap, str):
        raise UsageError(
            f"tap={tap!r} must be one name: 'input', or that of a layer."
        )
    dtype = policy_of(model).compute_dtype
    if dtype in ("float16", "bfloat16"):
        raise UsageError(
            f"The model computes in {dtype}, too coarse for derivatives: give "
            f"noisymix_tf.theory.in_float64(model)."
        )
    x = as_array("x", x)
    if not x.size:
        raise UsageError("x is empty: give at least one example.")
    if not segments.is_graph(model):
        return tf.constant(x, model.compute_dtype)
    taken = tf.TensorShape([None, *model.inputs[0].shape[1:]])
    if not taken.is_compatible_with(x.shape):
        raise UsageError(
            f"x has the shape {x.shape}, and the model takes {taken}: give "
            f"data for this model."
        )
    return tf.constant(x, model.inputs[0].dtype)
