"""Noise and mixing inside of a model as Keras layers; what these count."""

import keras
import tensorflow as tf

from noisymix_tf import distribution, rng
from noisymix_tf.adjustable import Adjustable
from noisymix_tf.checks import checked_seed, whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MixPlan, noise
from noisymix_tf.mixing.kind import permute

_ARGUMENTS = "additive_noise", "multiplicative_noise", "noise_sparsity", "seed"
_ARGUMENTS += ("noise_scale",)
_SCALE = "scale images first, as with keras.layers.Rescaling(1 / 127.5, -1)"
_CAST = "cast images and one-hot labels to float first"


@keras.saving.register_keras_serializable("noisymix_tf")
class FeatureNoise(keras.Layer):
    """Adds sparse additive and multiplicative noise of random amplitude.

        y = x * (1 + sigma_m * xi_m) + sigma_a * xi_a

    For every call in training the layer draws two amplitudes anew,
    `sigma_a = additive_noise * Beta(2, 5)` and `sigma_m = multiplicative_noise
    * Beta(2, 5)`. `xi_a` is standard normal and `xi_m` uniform in [-1, 1]; each
    is zero for a share `noise_sparsity` of the entries. At inference `y = x`.

    The layer can stand anywhere in a model, several times too. Additive noise
    is in the units of `x`, behind the normalisation best, unless it goes by the
    standard deviation.

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
        noise_scale: The unit of `additive_noise`: `"absolute"`, that of `x`, or
            `"std"`, the standard deviation of `x` in training, a running one
            that is saved with the weights (in the first call the batch's own)
            and the mean over replicas. Multiplicative noise is relative as it
            is.

    Call arguments:
        inputs: Float tensor `[B, ...]`, and so is what is returned, in the
            layer's compute dtype.
        training: Python bool: whether to add noise. `fit` sets it.

    >>> model = keras.Sequential([
    ...     keras.layers.Rescaling(1 / 127.5, -1.0),
    ...     FeatureNoise(name="input_noise"),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     FeatureNoise(additive_noise=0.2, name="hidden_noise"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10),
    ... ])
    >>> model(tf.zeros([4, 32, 32, 3]), training=True).shape
    TensorShape([4, 10])

    Reference: Erichson et al., NoisyMix, arXiv:2202.01263, section 3.1;
    amplitudes and sparsity as in its implementation.
    """

    additive_noise = Adjustable()
    multiplicative_noise = Adjustable()
    noise_sparsity = Adjustable(high=1.0, meaning="a share of the entries")

    def __init__(
        self,
        additive_noise=0.5,
        multiplicative_noise=0.5,
        noise_sparsity=0.65,
        seed=0,
        noise_scale="absolute",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.additive_noise = additive_noise
        self.multiplicative_noise = multiplicative_noise
        self.noise_sparsity = noise_sparsity
        self.seed = checked_seed(seed)
        self.noise_scale = noise.checked_scale(noise_scale)
        self.supports_masking = True
        self.calls = call_counter(self)
        if noise_scale == "std":
            self.noise_variance = running(self, "noise_variance")
        self.built = True

    def call(self, inputs, training=None):
        _check_floats(self, inputs, _SCALE)
        if not training:
            return inputs
        name, replica = f"feature_noise/{self.name}", distribution.replica()[0]
        seed = rng.stream(self.seed, self.calls, name, replica)
        self.calls.assign_add(1)
        noisy = noise.feature_noise(
            tf.expand_dims(inputs, 0),
            seed,
            [self._additive(inputs)],
            [FeatureNoise.multiplicative_noise.tensor(self)],
            FeatureNoise.noise_sparsity.tensor(self),
        )
        return tf.squeeze(noisy, 0)

    def _additive(self, x):
        level = FeatureNoise.additive_noise.tensor(self)
        if self.noise_scale == "absolute":
            return level
        batch = distribution.replica_mean(noise.variance(x))
        before = tf.convert_to_tensor(self.noise_variance)
        self.noise_variance.assign(noise.moved(before, batch))
        return level * noise.deviation(before, batch)

    def compute_output_spec(self, inputs, training=None):
        _check_floats(self, inputs, _SCALE)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {name: getattr(self, name) for name in _ARGUMENTS}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("noisymix_tf")
class ManifoldMix(keras.Layer):
    """Mixes the examples of a batch where a plan says so.

        y = lam * x + (1 - lam) * x[permutation]     if plan.tap == tap

    and `y = x` for another tap, at inference, or without a plan. A model has
    one such layer for each tap; the plan of a step chooses one of them. The
    loss belongs to labels mixed alike, in which cross-entropy is linear.

    `noisymix_tf.mixing.with_plan` makes plans and mixed labels in the input
    pipeline, so that an ordinary `fit` trains the model. Without that, the
    labels can be mixed by the layer, too: `mix(one_hot, plan, training=True)`.

    Args:
        tap: The layer's number among the taps, from 0.

    Call arguments:
        x: Float tensor `[B, ...]`, and so is what is returned, in the layer's
            compute dtype. A mask of `x` stays that of the example itself.
        plan: `noisymix_tf.mixing.MixPlan`, or its three tensors in a tuple or
            list: `tap`, int; `lam`, float in [0, 1]; `permutation`, int `[B]`.
            The first two are scalars or, as inputs of a model are, `[B]`, a
            value for each example. None, or three times None, for no mixing.
        training: Python bool: whether to mix. `fit` sets it.

    >>> stem = keras.layers.Conv2D(8, 3, activation="relu")
    >>> head = keras.layers.Dense(10)
    >>> def network(images, plan=None):
    ...     x = ManifoldMix(0)(images, plan)
    ...     x = ManifoldMix(1)(stem(x), plan)
    ...     return head(keras.layers.GlobalAveragePooling2D()(x))

    >>> images = keras.Input((32, 32, 3))
    >>> dtypes = "int32", "float32", "int32"
    >>> plan = [keras.Input([], dtype=dtype) for dtype in dtypes]
    >>> model = keras.Model([images, *plan], network(images, plan))
    >>> classifier = keras.Model(images, network(images))

    `model` trains on what `with_plan(2, ...)` gives; `classifier` has the same
    weights and needs no plan.

    Reference: Verma et al., Manifold Mixup, arXiv:1806.05236, section 2.
    """

    def __init__(self, tap=0, **kwargs):
        super().__init__(**kwargs)
        self.tap = whole_number("tap", tap, 0)
        self.supports_masking = True
        self.built = True

    def call(self, x, plan=None, training=None):
        _check_floats(self, x, _CAST)
        plan = _checked(plan)
        if plan is None or not training:
            return x
        chosen = tf.equal(plan.tap, self.tap)
        return tf.cond(
            tf.reduce_any(chosen),
            lambda: _mix(x, tf.where(chosen, plan.lam, 1.0), plan.permutation),
            lambda: x,
        )

    def compute_output_spec(self, x, plan=None, training=None):
        _check_floats(self, x, _CAST)
        _checked(plan)
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "tap": self.tap}


def _mix(x, lam, permutation):
    # A partner outside of the batch, as after splitting a batch among replicas,
    # shows as a loss that is not a number, also where `tf.gather` is silent.
    present = (permutation >= 0) & (permutation < tf.shape(x)[0])
    lam = tf.where(present, tf.cast(lam, x.dtype), float("nan"))
    lam = tf.reshape(lam, [-1] + [1] * (len(x.shape) - 1))
    return lam * x + (1.0 - lam) * permute(x[tf.newaxis], permutation)[0]


def _checked(plan):
    """The plan as a `MixPlan`, or None where there is none."""
    if plan is None:
        return None
    is_plan = isinstance(plan, tuple | list) and len(plan) == 3
    if is_plan and all(part is None for part in plan):
        return None
    shapes = [getattr(part, "shape", None) for part in plan] if is_plan else []
    ranks = [None if shape is None else len(shape) for shape in shapes]
    if not {*ranks[:2]} <= {0, 1} or ranks[2:] != [1]:
        found = f"shapes {', '.join(map(str, shapes))}"
        raise UsageError(
            f"A plan must be a MixPlan or its tensors, tap and lam of shape () "
            f"or (B,), permutation of shape (B,); got "
            f"{found if is_plan else type(plan).__name__}. Draw it with mixing."
            f"ManifoldMixing().bind(...).plan or mixing.with_plan."
        )
    return MixPlan(*plan)


def _check_floats(layer, x, advice):
    if not keras.backend.is_float_dtype(x.dtype):
        dtype = keras.backend.standardize_dtype(x.dtype)
        name = type(layer).__name__
        raise UsageError(f"{name} takes floats, got {dtype}; {advice}.")


def call_counter(layer, shape=(), name="calls") -> keras.Variable:
    """A variable that counts the calls of a layer, saved with its weights."""
    return layer.add_weight(
        name=name,
        shape=shape,
        dtype="int64",
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
    )


def running(layer, name, shape=(), dtype="float32") -> keras.Variable:
    """A variable of what all replicas assign alike, saved with the weights."""
    return layer.add_weight(
        name=name,
        shape=shape,
        dtype=dtype,
        initializer="zeros",
        trainable=False,
        autocast=False,
        aggregation="none",
    )
