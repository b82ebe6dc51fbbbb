"""DeepAugment: images through a perturbed image-to-image network.

Hendrycks et al. (2021), "The many faces of robustness", arXiv:2006.16241, send
ImageNet through a published compressive autoencoder and a published
super-resolution network whose weights and activations they distort. Here the
network is a small autoencoder that is trained on the same images, and the
perturbations are a subset of theirs, see `weights` and `activations`.
"""

from noisymix_tf.deep_augment import activations, weights
from noisymix_tf.deep_augment.autoencoder import build, trained
from noisymix_tf.deep_augment.perturbed import PerturbedNetwork

__all__ = ["PerturbedNetwork", "activations", "build", "trained", "weights"]
