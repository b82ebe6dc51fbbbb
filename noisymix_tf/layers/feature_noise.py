"""Noise injection as a Keras layer."""

import keras
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.adjustable import Adjustable
from noisymix_tf.layers import parts
from noisymix_tf.mixing import feature_noise

_ARGUMENTS = "additive_noise", "multiplicative_noise", "noise_sparsity", "seed"
_ADVICE = "scale images first, as with keras.layers.Rescaling(1 / 127.5, -1)"


@keras.saving.register_keras_serializable("noisymix_tf")
class FeatureNoise(keras.Layer):
    """Adds sparse additive and multiplicative noise of random amplitude.

        y = x * (1 + sigma_m * xi_m) + sigma_a * xi_a

    For every call in training the layer draws two amplitudes anew,
    `sigma_a = additive_noise * Beta(2, 5)` and `sigma_m = multiplicative_noise
    * Beta(2, 5)`. `xi_a` is standard normal and `xi_m` uniform in [-1, 1]; each
    is zero for a share `noise_sparsity` of the entries. At inference `y = x`.

    The layer can stand anywhere in a model, several times too. Noise is in the
    units of `x`: put it behind the normalisation, not before.

    The draws are a pure function of `seed`, the layer's name, the number of
    calls so far, which is saved with the weights, and the replica. Give the
    layer a name where a model that is built again is to repeat its run. XLA has
    a generator of its own: a run with `jit_compile=True` repeats itself, not
    one without.

    Args:
        additive_noise, multiplicative_noise: Levels, at least 0.
        noise_sparsity: Share of entries without noise, in [0, 1]. These three
            may be assigned at any time, also during `fit`, without a new trace.
        seed: Seed of the noise, a Python int.

    Call arguments:
        inputs: Float tensor of rank 1 or more, `[B, ...]`.
        training: Python bool: whether to add noise. `fit` sets it.

    Returns a tensor of the shape of `inputs` in the layer's compute dtype.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((32, 32, 3)),
    ...     keras.layers.Rescaling(1 / 127.5, -1.0),
    ...     FeatureNoise(name="input_noise"),
    ...     keras.layers.Conv2D(64, 3, activation="relu"),
    ...     FeatureNoise(additive_noise=0.2, name="hidden_noise"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10),
    ... ])

    Reference: Erichson et al., NoisyMix, arXiv:2202.01263, section 3.1;
    amplitudes and sparsity as in its implementation.
    """

    additive_noise = Adjustable(meaning="the level of additive noise")
    multiplicative_noise = Adjustable(
        meaning="the level of multiplicative noise"
    )
    noise_sparsity = Adjustable(
        high=1.0, meaning="the share of entries without noise"
    )

    def __init__(
        self,
        additive_noise=0.5,
        multiplicative_noise=0.5,
        noise_sparsity=0.65,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.additive_noise = additive_noise
        self.multiplicative_noise = multiplicative_noise
        self.noise_sparsity = noise_sparsity
        self.seed = parts.seed(seed)
        self.supports_masking = True
        self.calls = parts.counter(self)
        self.built = True

    def call(self, inputs, training=None):
        parts.floats(self, inputs, _ADVICE)
        if not training:
            return inputs
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        name = f"feature_noise/{self.name}"
        seed = rng.stream(self.seed, self.calls, name, replica)
        self.calls.assign_add(1)
        noisy = feature_noise(
            tf.expand_dims(inputs, 0),
            seed,
            [FeatureNoise.additive_noise.tensor(self)],
            [FeatureNoise.multiplicative_noise.tensor(self)],
            FeatureNoise.noise_sparsity.tensor(self),
        )
        return tf.squeeze(noisy, 0)

    def compute_output_spec(self, inputs, training=None):
        parts.floats(self, inputs, _ADVICE)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {name: getattr(self, name) for name in _ARGUMENTS}
        return {**super().get_config(), **own}
