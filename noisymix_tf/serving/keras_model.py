"""What an export is to give: the values of the Keras model itself."""

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import AUTO, SIGMOID, ending, gives_logits
from noisymix_tf.serving.classifier import penultimate

_BATCH = 64


class KerasModel:
    """Calls a Keras classifier in inference, on the CPU.

    Args:
        model: Keras classifier of one image input and one output `[N, C]`.
        images: uint8 `[N, H, W, C]`, by which its output is recognised where
            the model does not tell.
        said: What it gives: `"logits"`, `"probabilities"`, or `"auto"`.

    Attributes:
        is_probability: Whether it puts out probabilities, not logits.

    Raises:
        UsageError: What is said cannot be, or there is one logit only.
    """

    def __init__(self, model, images, said=AUTO):
        self._model = model
        self._features = penultimate(model)
        outputs = self._outputs(images)
        self.is_probability = not gives_logits(model, outputs, said)
        if outputs.shape[-1] == 1 and not self.is_probability:
            raise UsageError(
                f"Model {model.name!r} gives one number for an image, of which "
                f"no probabilities of classes can be made: end it in a sigmoid "
                f"or in one output for each class."
            )
        # Those of a sigmoid need not sum to one; and who says it knows better.
        self._is_judged = said == AUTO and ending(model) != SIGMOID

    def values(self, images):
        """Dict of float32 arrays: probabilities, logits, features, outputs.

        `"outputs"` is what the model itself puts out, whatever that was taken
        for; it is there where `reload` is to judge that.
        """
        outputs = self._outputs(images)
        if self.is_probability:
            values = {"probabilities": outputs}
        else:
            values = {
                "logits": outputs,
                "probabilities": tf.nn.softmax(outputs).numpy(),
            }
        if self._is_judged:
            values["outputs"] = outputs
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

    def _outputs(self, images):
        return self._call(self._model, images).astype(np.float32)

    def _call(self, function, images):
        # The reloaded model is called there, too: accelerators round otherwise.
        with tf.device("CPU:0"):
            return function(images.astype(np.float32), training=False).numpy()
