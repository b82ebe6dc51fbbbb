"""What an export is to give: the values of the Keras model itself."""

import numpy as np
import tensorflow as tf

from noisymix_tf.serving.classifier import penultimate

_BATCH = 64


class KerasModel:
    """Calls a Keras classifier in inference, on the CPU.

    Args:
        model: Keras classifier of one image input and one output `[N, C]`.
        images: uint8 `[N, H, W, C]`, by which its output is recognised.

    Attributes:
        is_probability: Whether it puts out probabilities, not logits.
    """

    def __init__(self, model, images):
        self._model = model
        self._features = penultimate(model)
        outputs = self._call(model, images)
        self.is_probability = _are_probabilities(outputs)

    def values(self, images):
        """Dict of float32 arrays: probabilities, logits, features."""
        outputs = self._call(self._model, images).astype(np.float32)
        if self.is_probability:
            values = {"probabilities": outputs}
        else:
            values = {
                "logits": outputs,
                "probabilities": tf.nn.softmax(outputs).numpy(),
            }
        if self._features is not None:
            features = self._call(self._features, images)
            values["features"] = features.astype(np.float32)
        return values

    def probabilities(self, images):
        """float32 `[N, K]`, in batches of bounded size."""
        parts = [
            self.values(images[start : start + _BATCH])["probabilities"]
            for start in range(0, len(images), _BATCH)
        ]
        return np.concatenate(parts)

    def _call(self, function, images):
        # The reloaded model is called there, too: accelerators round otherwise.
        with tf.device("CPU:0"):
            return function(images.astype(np.float32), training=False).numpy()


def _are_probabilities(outputs):
    """Whether every row is a distribution, as far as its precision tells."""
    slack = 1e-4 if outputs.dtype.itemsize >= 4 else 1e-2
    outputs = outputs.astype(np.float32)
    off = np.abs(outputs.sum(axis=-1) - 1)
    return bool(np.all(outputs >= 0) and np.all(off < slack))
