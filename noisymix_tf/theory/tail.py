"""A classifier from a tap on, as a function from vectors to logits."""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import probabilities
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.theory.arguments import as_array
from noisymix_tf.training import segments
from noisymix_tf.training.precision import policy_of

# Probabilities below it count as this, so that their logarithm is finite.
_SMALLEST = 1e-30
_SUM_TOLERANCE = 1e-3
# On how many examples it is looked up what the model puts out.
_SEEN = 16


class Tail:
    """The part of a classifier behind a tap, in inference.

    Args:
        model: Keras classifier, wrapped in `nm.NoisyMix` or not; its output is
            logits or probabilities `[B, K]`, or one number for a yes or no.
        x: Examples `[N, ...]`, as the model takes.
        tap: `"input"`, or the name of a layer as in `nm.NoisyMix`.
        from_logits: Whether the model gives logits; by default its last layer
            tells.

    Attributes:
        features: Float tensor `[N, D]`, what the examples are at the tap.
        num_classes: K, at least 2.

    Raises:
        UsageError: A model, tap or examples that cannot be used.

    Example:

    >>> tail = Tail(model, x, "dense")
    >>> logits = tail(tail.features)
    """

    def __init__(self, model, x, tap=segments.INPUT, from_logits=None):
        model = classifier_of(model)
        _check(model, tap)
        x = _examples(model, x)
        _, (head, *rest) = segments.cut(model, [tap])
        features = head(x, training=False)
        self._shape = [-1, *features.shape[1:]]
        self._rest = rest
        self.features = tf.reshape(features, [len(x), -1])
        output = self._output(self.features[:_SEEN])
        if output.shape.rank != 2:
            raise UsageError(
                f"The model gives {list(output.shape[1:])} numbers for an "
                f"example: give a classifier, with a number for each class."
            )
        if output.shape[1] > 1 and probabilities.is_multi_label(model):
            raise UsageError(
                f"The model gives {output.shape[1]} yes or no answers (it ends "
                f"in sigmoid): give one with classes that exclude each other."
            )
        self._from_logits = probabilities.gives_logits(
            model, output.numpy(), probabilities.SAID[from_logits]
        )
        self.num_classes = max(2, int(output.shape[1]))

    def __call__(self, features):
        """Logits `[M, K]`, K at least 2, of features `[M, D]`."""
        found = self._output(features)
        if found.shape[-1] == 1:
            return _of_one(found, self._from_logits)
        if self._from_logits:
            return found
        return tf.math.log(tf.maximum(found, _SMALLEST))

    def labels(self, y):
        """Labels of the examples as rows that sum to one.

        Args:
            y: Class numbers `[N]` or `[N, 1]`, or rows `[N, K]`.

        Returns:
            Float tensor `[N, K]`.

        Raises:
            UsageError: Labels of another shape, or outside the classes.
        """
        rows = _one_hot(as_array("y", y), self.num_classes)
        if len(rows) != len(self.features):
            raise UsageError(
                f"x has {len(self.features)} examples and y {len(rows)} "
                f"labels: give one for each."
            )
        return tf.constant(rows, self.features.dtype)

    def _output(self, features):
        """What the model gives for features `[M, D]`."""
        found = tf.reshape(features, self._shape)
        for segment in self._rest:
            found = segment(found, training=False)
        return found


def _check(model, tap):
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


def _examples(model, x):
    """The examples as the tensor that the model takes."""
    x = as_array("x", x)
    if not x.size:
        raise UsageError("x is empty: give at least one example.")
    if not segments.is_graph(model):
        return tf.constant(x, model.compute_dtype)
    taken = model.inputs[0].shape
    if not tf.TensorShape([None, *taken[1:]]).is_compatible_with(x.shape):
        raise UsageError(
            f"x has the shape {list(x.shape)}, and the model takes "
            f"{['N', *taken[1:]]}.".replace("'", "")
        )
    return tf.constant(x, model.inputs[0].dtype)


def _one_hot(y, num_classes):
    """Rows `[N, K]` of labels in either form."""
    if y.ndim == 2 and y.shape[1] == num_classes:
        if (y < 0).any() or np.any(np.abs(y.sum(1) - 1) > _SUM_TOLERANCE):
            raise UsageError(
                f"y has rows that are no distribution: give class numbers [N], "
                f"or rows [N, {num_classes}] of sum 1."
            )
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UsageError(
            f"y has the shape {list(y.shape)}; give class numbers [N] or rows "
            f"[N, {num_classes}]."
        )
    numbers = y.astype(np.int64)
    if (numbers != y).any() or not np.isin(numbers, range(num_classes)).all():
        raise UsageError(
            f"y has values from {y.min():g} to {y.max():g}, and the model has "
            f"{num_classes} classes: give whole numbers from 0 to "
            f"{num_classes - 1}."
        )
    return np.eye(num_classes)[numbers]


def _of_one(found, from_logits):
    """Two logits that say what one number for a yes does."""
    if not from_logits:
        found = tf.math.log(tf.maximum(found, _SMALLEST)) - tf.math.log(
            tf.maximum(1.0 - found, _SMALLEST)
        )
    return tf.concat([tf.zeros_like(found), found], axis=-1)
