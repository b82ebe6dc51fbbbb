"""Batch normalisation of the training graph by TensorFlow's fused kernel.

Keras composes batch normalisation of elementwise operations, which without XLA
take a third of a train step on a CPU. The segments of a trained model call the
fused kernel on the same variables instead; the model itself stays as it is.
"""

import keras
import tensorflow as tf


class FusedNormModel(keras.Model):
    """A functional model whose batch normalisations train fused.

    Its values are those of the plain model, moving statistics included.

    Example:

    >>> segment = FusedNormModel(model.inputs[0], model.get_layer("a").output)
    >>> features = segment(x, training=True)
    """

    _is_training = False

    def _run_through_graph(
        self, inputs, operation_fn=lambda operation: operation, call_fn=None
    ):
        def fused(operation):
            call = operation_fn(operation)
            if not (self._is_training and _is_fusible(operation)):
                return call
            return lambda x, **kwargs: (
                batch_normalization(operation, x)
                if kwargs.get("mask") is None
                else call(x, **kwargs)
            )

        return super()._run_through_graph(inputs, fused, call_fn)

    def call(self, inputs, training=None, mask=None):
        self._is_training = training
        return super().call(inputs, training=training, mask=mask)


def batch_normalization(layer, x):
    """Does what a `BatchNormalization` layer does in training, fused.

    Args:
        layer: Built `keras.layers.BatchNormalization` of the last axis.
        x: Float `[B, H, W, C]`.

    Returns:
        Tensor of the shape of `x`, in the layer's compute dtype.
    """
    # As Keras: inputs in the compute dtype, arithmetic in float32.
    x = tf.cast(tf.cast(x, layer.compute_dtype), tf.float32)
    channels = [x.shape[-1]]
    scale = layer.gamma if layer.scale else tf.ones(channels)
    offset = layer.beta if layer.center else tf.zeros(channels)
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x,
        tf.convert_to_tensor(scale),
        tf.convert_to_tensor(offset),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel's variance is the unbiased one; Keras keeps the biased.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance *= (count - 1.0) / count
    for moving, value in (
        (layer.moving_mean, mean),
        (layer.moving_variance, variance),
    ):
        moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
    return tf.cast(y, layer.compute_dtype)


def _is_fusible(operation):
    """Whether an operation is batch normalisation as the kernel does it."""
    return (
        type(operation) is keras.layers.BatchNormalization
        and operation.trainable
        and not operation.synchronized
        and not operation.renorm
        and len(operation.input.shape) == 4
        and operation.axis in (-1, 3)
    )
