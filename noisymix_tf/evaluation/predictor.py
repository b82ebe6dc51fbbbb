"""A Keras classifier as a function from uint8 images to NumPy outputs."""

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import are_probabilities


class Predictor:
    """Runs a model at inference, one compiled function for every batch.

    A batch shorter than `batch_size` is padded with zeros, whose outputs are
    cut off again, so that no second shape is ever compiled.

    Args:
        model: Keras classifier that takes pixels 0..255, `[B, H, W, C]`, and
            gives logits or probabilities `[B, K]`.
        num_classes: K.
        probe: uint8 `[b, H, W, C]`, some images of the dataset: on its outputs
            logits are told from probabilities.
        batch_size: Number of images of a full batch.

    Attributes:
        from_logits: False if all outputs of the probe are non-negative and all
            rows sum to one, as those of a softmax do; else True.

    Raises:
        UsageError: If model and dataset do not fit.
    """

    def __init__(self, model, num_classes, probe, batch_size):
        self._batch_size = batch_size
        self._num_classes = num_classes
        dtype = _input_dtype(model, probe)

        @tf.function(reduce_retracing=True)
        def forward(images):
            outputs = model(tf.cast(images, dtype), training=False)
            return tf.cast(outputs, tf.float32)

        self._forward = forward
        self.from_logits = not are_probabilities(self(probe))

    def __call__(self, images):
        """Outputs float32 `[b, K]` of uint8 images `[b, H, W, C]`."""
        missing = self._batch_size - len(images)
        if missing > 0:
            padding = [(0, missing)] + [(0, 0)] * (images.ndim - 1)
            outputs = self._forward(tf.constant(np.pad(images, padding)))
        else:
            outputs = self._forward(tf.constant(images))
        outputs = outputs.numpy()[: len(images)]
        if outputs.shape != (len(images), self._num_classes):
            raise UsageError(
                f"The model gives outputs of shape {list(outputs.shape)} for "
                f"{len(images)} images of {self._num_classes} classes: "
                "choose a model with one output per class."
            )
        if not np.isfinite(outputs).all():
            raise UsageError(
                "The model's outputs are not finite: its weights or its "
                "normalisation are broken, nothing can be measured."
            )
        return outputs


def _input_dtype(model, probe):
    """Type of the pixels a model wants; checks the size of the images."""
    try:
        (wanted,) = model.inputs
    except (AttributeError, TypeError, ValueError):
        return tf.float32  # A subclassed model says nothing.
    shape = tuple(wanted.shape)
    fits = len(shape) == 4 and all(
        want in (None, have) for want, have in zip(shape[1:], probe.shape[1:])
    )
    if not fits:
        raise UsageError(
            f"The model takes images {list(shape[1:])}, the dataset has "
            f"{list(probe.shape[1:])}: choose a model and a dataset that fit."
        )
    return tf.as_dtype(wanted.dtype)
