"""Style transfer by feature statistics: the textures of paintings on images.

Geirhos et al. (2019), "ImageNet-trained CNNs are biased towards texture;
increasing shape bias improves accuracy and robustness", arXiv:1811.12231, made
Stylized ImageNet with the decoder of Huang and Belongie (2017), "Arbitrary
style transfer in real-time with adaptive instance normalization",
arXiv:1703.06868. Here no trained decoder is needed: the loss that it was
trained with is minimised for each image, as in Gatys et al. (2015),
arXiv:1508.06576.
"""

from noisymix_tf.stylizing.moments import Moments, adapt, moments
from noisymix_tf.stylizing.networks import feature_network
from noisymix_tf.stylizing.styles import Styles
from noisymix_tf.stylizing.transfer import Transfer

__all__ = [
    "Moments",
    "Styles",
    "Transfer",
    "adapt",
    "feature_network",
    "moments",
]
