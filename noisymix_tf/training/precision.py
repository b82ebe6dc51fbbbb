"""Arithmetic in half precision, and steps that are skipped because of it.

Under `mixed_float16` Keras scales the loss so that small gradients survive. A
scale that is too high makes gradients overflow: the optimizer then leaves that
step out and halves the scale. What is here keeps such a step from leaving
traces elsewhere.
"""

import contextlib

import keras
import tensorflow as tf


@contextlib.contextmanager
def dtype_policy(name):
    """Within it, new Keras layers have a dtype policy.

    Args:
        name: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Example:

    >>> with dtype_policy("mixed_bfloat16"):
    ...     model = noisymix_tf.models.build("resnet50")
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def policy_of(model):
    """The dtype policy that a model is trained under.

    A functional model that comes out of a file has forgotten its own, its
    layers have not: if any of them computes in half precision, so does it.

    Args:
        model: Any Keras model.
    """
    for layer in (model, *model._flatten_layers()):
        if layer.dtype_policy.compute_dtype in ("float16", "bfloat16"):
            return layer.dtype_policy
    return model.dtype_policy


def name_of(model):
    """Name of the dtype policy of a model; None where it is no Keras model."""
    if not isinstance(model, keras.Model):
        return None
    return policy_of(model).name


def scales_loss(optimizer):
    """Whether an optimizer scales the loss and skips what overflows."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def agree_to_skip(gradients):
    """Makes an overflow on one replica one on all.

    Keras' optimizer asks only the first replica whether its gradients, which
    are summed later, are finite.

    Args:
        gradients: List of tensors or `None`.

    Returns:
        The list; where any replica's gradients are not finite, NaN.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return gradients
    dense = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
    checks = [
        tf.reduce_all(tf.math.is_finite(g)) for g in dense if g is not None
    ]
    bad = 1.0 - tf.cast(tf.reduce_all(tf.stack(checks)), tf.float32)
    bad = context.all_reduce(tf.distribute.ReduceOp.SUM, bad)
    poison = tf.where(bad > 0.0, float("nan"), 0.0)
    return [None if g is None else g + tf.cast(poison, g.dtype) for g in dense]


class Guard:
    """Takes back what an overflow wrote into variables of the forward pass.

    Args:
        variables: Keras variables, such as the moving statistics of batch
            normalisation; those that are no floats are left alone. Their
            values are remembered from now on.
    """

    def __init__(self, variables):
        self._before = [
            (v, tf.identity(v.value))
            for v in variables
            if keras.backend.is_float_dtype(v.dtype)
        ]

    def restore_overflown(self):
        """Puts the old value into each variable that is no longer finite."""
        for variable, before in self._before:
            value = tf.convert_to_tensor(variable)
            is_finite = tf.reduce_all(tf.math.is_finite(value))
            variable.assign(tf.where(is_finite, value, before))


def finite_share(loss, count):
    """A loss and its weight for a running mean; no weight if not finite.

    Args:
        loss: float scalar.
        count: int scalar, the number of examples.

    Returns:
        `(loss, count)`, or zeros.
    """
    is_finite = tf.math.is_finite(loss)
    return tf.where(is_finite, loss, 0.0), tf.where(is_finite, count, 0)
