"""The parts of NoisyMix as Keras layers, for models and pipelines of any kind.

`FeatureNoise` and `ManifoldMix` go into a model, `AugMix` into a `tf.data`
pipeline or in front of a model. They need no trainer of their own.
"""

from noisymix_tf.layers.augmix import AugMix
from noisymix_tf.layers.features import FeatureNoise, ManifoldMix

__all__ = ["AugMix", "FeatureNoise", "ManifoldMix"]
