"""An autoencoder that is another one for every batch."""

import numpy as np
import tensorflow as tf

from noisymix_tf.deep_augment import activations, weights
from noisymix_tf.deep_augment.autoencoder import padded


class PerturbedNetwork:
    """Sends images through an autoencoder with perturbed weights and code.

    Of the residual blocks, whose input goes on beside them, a few convolutions
    are chosen and each perturbed in a random way (`weights.PERTURBATIONS`);
    then the code is, in one random way (`activations.PERTURBATIONS`).

    Args:
        autoencoder: Of `autoencoder.build`.
        strength: From the plain autoencoder (0) to 1.
        weight_perturbations: How many convolutions are chosen.

    Example:

    >>> network = PerturbedNetwork(autoencoder)
    >>> made = network(images, np.random.default_rng([0, 3]))
    """

    def __init__(self, autoencoder, strength=1.0, weight_perturbations=3):
        self._encoder = autoencoder.get_layer("encoder")
        self._decoder = autoencoder.get_layer("decoder")
        self._strength = strength
        self._kernels = [
            layer.kernel
            for half in (self._encoder, self._decoder)
            for layer in half.layers
            if "_block" in layer.name and hasattr(layer, "kernel")
        ]
        self._plain = [kernel.numpy() for kernel in self._kernels]
        self._number = min(weight_perturbations, len(self._kernels))
        self._encode = _compiled(self._encoder)
        self._decode = _compiled(self._decoder)

    def __call__(self, images, generator):
        """Distorts a batch; a function of its arguments.

        Args:
            images: uint8 `[B, h, w, 3]`.
            generator: `numpy.random.Generator`.

        Returns:
            NumPy uint8 `[B, h, w, 3]`.
        """
        self._perturb_weights(generator)
        try:
            code = self._encode(padded(images).astype(np.float32)).numpy()
            kind = generator.integers(len(activations.PERTURBATIONS))
            perturb = activations.PERTURBATIONS[kind]
            code = perturb(code, generator, self._strength)
            made = self._decode(code.astype(np.float32)).numpy()
        finally:
            for kernel, plain in zip(self._kernels, self._plain):
                kernel.assign(plain)
        height, width = images.shape[1:3]
        made = np.clip(np.round(made[:, :height, :width]), 0, 255)
        return made.astype(np.uint8)

    def _perturb_weights(self, generator):
        chosen = generator.choice(
            len(self._kernels), self._number, replace=False
        )
        for place in chosen:
            kind = generator.integers(len(weights.PERTURBATIONS))
            perturb = weights.PERTURBATIONS[kind]
            kernel = perturb(self._plain[place], generator, self._strength)
            self._kernels[place].assign(kernel.astype(np.float32))


def _compiled(model):
    """One function for images of all sizes."""
    channels = model.inputs[0].shape[-1]
    pixels = tf.TensorSpec([None, None, None, channels], tf.float32)
    return tf.function(model, input_signature=[pixels])
