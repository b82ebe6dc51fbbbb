"""A classifier as a function from uint8 images to NumPy outputs."""

import numpy as np

from noisymix_tf.checks import input_dtype
from noisymix_tf.distribution import Replicas
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.probabilities import AUTO, LOGITS, PROBABILITIES, gives_logits


class Predictor:
    """Runs a model at inference, one compiled function for every batch.

    A batch shorter than `batch_size` is padded with zeros, whose outputs are
    cut off again, so that no second shape is ever compiled.

    Args:
        model: Takes pixels 0..255, `[B, H, W, C]`, and gives logits or
            probabilities `[B, K]`: a Keras model, or a function of images with
            an argument `training`.
        num_classes: K.
        probe: uint8 `[b, H, W, C]`, some images of the dataset: by its outputs
            logits are told from probabilities where the model does not tell.
        batch_size: Number of images of a full batch.
        outputs: `"logits"` or `"probabilities"`, what the model is said to
            give; `"auto"` finds out, see `probabilities.gives_logits`.
        replicas: `Replicas` that share the work.
        check_finite: Whether outputs that are not finite are refused.

    Attributes:
        from_logits, kind: Whether outputs are logits, and which of the two
            words they are.

    Raises:
        UsageError: If model and dataset do not fit, or the outputs are not
            what they are said to be.
    """

    def __init__(
        self,
        model,
        num_classes,
        probe,
        batch_size,
        outputs=AUTO,
        replicas=None,
        check_finite=True,
    ):
        replicas = replicas or Replicas()
        self._batch_size = replicas.round_up(batch_size)
        self._num_classes, self._check_finite = num_classes, check_finite
        dtype = input_dtype(model, probe.shape[1:])

        def forward(images):
            outputs = model(tf.cast(images, dtype), training=False)
            return tf.nest.map_structure(
                lambda output: tf.cast(output, tf.float32), outputs
            )

        self._forward = replicas.compile(forward, autograph=True)
        self.from_logits = gives_logits(
            classifier_of(model), self(probe), outputs
        )
        self.kind = LOGITS if self.from_logits else PROBABILITIES

    def __call__(self, images) -> np.ndarray:
        """Outputs float32 `[b, K]` of images `[b, H, W, C]`, any b."""
        starts = range(0, len(images), self._batch_size)
        parts = [self._batch(images[s : s + self._batch_size]) for s in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _batch(self, images):
        number, lacking = len(images), self._batch_size - len(images)
        if lacking:
            padding = [(0, lacking)] + [(0, 0)] * (images.ndim - 1)
            images = np.pad(images, padding)
        outputs = self._forward(images)
        if not isinstance(outputs, np.ndarray):
            raise UsageError(
                f"The model gives a {type(outputs).__name__} of "
                f"{len(tf.nest.flatten(outputs))}, expected one tensor [B, K]: "
                "make a model of the output that is to be measured."
            )
        outputs = outputs[:number]
        if outputs.shape != (number, self._num_classes):
            raise UsageError(
                f"The model gives outputs {list(outputs.shape)} for {number} "
                f"images, the data has {self._num_classes} classes: choose a "
                "model with one output for each. Of more, images of some "
                "classes are measured with test_dir and class_names, the name "
                "of every output, or with shift_dir."
            )
        if self._check_finite and not np.isfinite(outputs).all():
            raise UsageError(
                "The model's outputs are not finite: its weights or its "
                "normalisation are broken, nothing can be measured."
            )
        return outputs


def count_outputs(model, images) -> int | None:
    """K of a model that gives `[B, K]`; None if it gives anything else."""
    images = tf.cast(images, input_dtype(model, images.shape[1:]))
    shape = getattr(model(images, training=False), "shape", ())
    return shape[1] if len(shape) == 2 else None


def restrict(outputs, classes, from_logits) -> np.ndarray:
    """Outputs `[b, k]` of some of the classes out of `[b, K]`.

    Probabilities are divided by their sum: the softmax over the kept logits.
    Where nothing at all is left for these classes, all are equally likely.
    """
    kept = outputs[:, classes]
    if from_logits:
        return kept
    total = kept.sum(axis=-1, keepdims=True)
    shares = kept / np.where(total > 0.0, total, 1.0)
    return np.where(total > 0.0, shares, 1.0 / kept.shape[-1])
