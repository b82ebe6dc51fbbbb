"""Batch normalisation of the training graph by TensorFlow's fused kernel.

Keras composes batch normalisation of elementwise operations, which without XLA
take up to a third of a train step on a CPU. The segments of a trained model
call the fused kernel on the same variables instead; the model itself stays as
it is. XLA fuses the elementwise operations better than it expands the kernel.

Half precision goes into the kernel as it is, whose arithmetic is in float32 all
the same: what is kept for the backward pass is then half as large.
"""

import keras
import tensorflow as tf

from noisymix_tf import private
from noisymix_tf.philox import is_compiled_by_xla

_DTYPES = ("float16", "bfloat16", "float32")
# What a layer can be told. An option that a later Keras adds may change what it
# does, and is left to it.
_OPTIONS = frozenset(
    "axis beta_constraint beta_initializer beta_regularizer center dtype "
    "epsilon gamma_constraint gamma_initializer gamma_regularizer momentum "
    "moving_mean_initializer moving_variance_initializer name renorm "
    "renorm_clipping renorm_momentum scale synchronized trainable".split()
)


def applies(operation, args, kwargs):
    """Whether a call of an operation is batch normalisation in training.

    As the kernel does it, that is: of images with channels last.
    """
    return (
        type(operation) is keras.layers.BatchNormalization
        and bool(kwargs.get("training"))
        and kwargs.get("mask") is None
        and len(args) == 1
        and private.get_keras_mask(args[0]) is None
        and len(args[0].shape) == 4
        and operation.axis in (-1, 3)
        and operation.trainable
        and not operation.synchronized
        and not operation.renorm
        and operation.activity_regularizer is None
        and operation.compute_dtype in _DTYPES
        and _OPTIONS.issuperset(operation.get_config())
        and not is_compiled_by_xla()
    )


def batch_normalization(layer, x):
    """What a built layer makes of `[B, H, W, C]` in training, fused."""
    # As Keras: inputs in the compute dtype, arithmetic in float32.
    x = tf.cast(x, layer.compute_dtype)
    if not takes(layer.compute_dtype, layer.moving_mean.value.device):
        x = tf.cast(x, tf.float32)
    channels = [x.shape[-1]]
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x,
        _float32(layer.gamma) if layer.scale else tf.ones(channels),
        _float32(layer.beta) if layer.center else tf.zeros(channels),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel's variance is the unbiased one; Keras keeps the biased.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance *= (count - 1.0) / count
    statistics = layer.moving_mean, layer.moving_variance
    for moving, value in zip(statistics, (mean, variance)):
        moving.assign(
            _float32(moving) * layer.momentum + value * (1.0 - layer.momentum)
        )
    return tf.cast(y, layer.compute_dtype)


def takes(dtype, device):
    """Whether a device's kernel gets a dtype as it is.

    On CPUs the one for float16 is slower than the casts.
    """
    return dtype != "float16" or ":GPU:" in device


def _float32(variable):
    return tf.cast(tf.convert_to_tensor(variable), tf.float32)
