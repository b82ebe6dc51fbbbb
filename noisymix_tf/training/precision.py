"""Arithmetic in half precision, and steps that are skipped because of it.

Under `mixed_float16` Keras scales the loss so that small gradients survive. A
scale that is too high makes gradients overflow: the optimizer then leaves that
step out and halves the scale. What is here keeps such a step from leaving
traces elsewhere.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from noisymix_tf import distribution


@contextlib.contextmanager
def dtype_policy(name) -> Iterator[None]:
    """Within it, new Keras layers have a dtype policy such as `"float32"`.

    >>> with dtype_policy("mixed_bfloat16"):
    ...     keras.layers.Dense(3).compute_dtype
    'bfloat16'
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def policy_of(model) -> keras.DTypePolicy:
    """The dtype policy that a Keras model is trained under.

    A functional model that comes out of a file has forgotten its own, its
    layers have not: if any of them computes in half precision, so does it.
    """
    for layer in (model, *model._flatten_layers()):
        if layer.dtype_policy.compute_dtype in ("float16", "bfloat16"):
            return layer.dtype_policy
    return model.dtype_policy


def name_of(model) -> str | None:
    """Name of the dtype policy of a model; None where it is no Keras model."""
    return policy_of(model).name if isinstance(model, keras.Model) else None


def floats_of(variables) -> list:
    """Those of some variables that are floats, each once."""
    return [
        variable
        for variable in {id(v): v for v in variables}.values()
        if keras.backend.is_float_dtype(variable.dtype)
    ]


def scales_loss(optimizer) -> bool:
    """Whether an optimizer scales the loss and skips what overflows."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


@contextlib.contextmanager
def overflow_undone(variables) -> Iterator[None]:
    """Behind it, variables that are no longer finite have their old values.

    An overflow would else stay in the moving statistics of batch normalisation.
    """
    floats = floats_of(variables)
    before = [tf.identity(variable.value) for variable in floats]
    yield
    for variable, old in zip(floats, before):
        value = tf.convert_to_tensor(variable)
        is_finite = tf.reduce_all(tf.math.is_finite(value))
        variable.assign(tf.where(is_finite, value, old))


def agree_to_skip(gradients) -> list:
    """Gradients (or None); where any replica's are not finite, NaN on all.

    Keras' optimizer asks only the first replica whether its gradients, which
    are summed later, are finite.
    """
    if distribution.replica()[1] == 1:
        return gradients
    dense = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
    checks = [tf.math.is_finite(g) for g in dense if g is not None]
    good = tf.reduce_all([tf.reduce_all(check) for check in checks])
    bad = distribution.replica_mean(1.0 - tf.cast(good, tf.float32))
    poison = tf.where(bad > 0.0, float("nan"), 0.0)
    return [None if g is None else g + tf.cast(poison, g.dtype) for g in dense]


def finite_share(loss, count) -> tuple[tf.Tensor, tf.Tensor]:
    """A loss and its weight for a running mean; zeros if it is not finite."""
    is_finite = tf.math.is_finite(loss)
    return tf.where(is_finite, loss, 0.0), tf.where(is_finite, count, 0)
