"""Manifold mixup as a Keras layer."""

import keras
import tensorflow as tf

from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.layers import parts
from noisymix_tf.mixing import MixPlan
from noisymix_tf.mixing.kind import permute

_ADVICE = "cast images and one-hot labels to float first"


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
        x: Float tensor `[B, ...]`.
        plan: `noisymix_tf.mixing.MixPlan`, or its three tensors in a tuple or
            list: `tap`, int; `lam`, float in [0, 1]; `permutation`, int `[B]`.
            The first two are scalars or, as inputs of a model are, `[B]`, a
            value for each example. None, or three times None, for no mixing.
        training: Python bool: whether to mix. `fit` sets it.

    Returns a tensor of the shape of `x` in the layer's compute dtype. A mask of
    `x` stays that of the example itself.

    Example:

    >>> stem = keras.layers.Conv2D(64, 3, activation="relu")
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
        parts.floats(self, x, _ADVICE)
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
        parts.floats(self, x, _ADVICE)
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
    if not isinstance(plan, (tuple, list)) or len(plan) != 3:
        raise UsageError(
            f"plan={plan!r} must be a MixPlan or its tensors (tap, lam, "
            f"permutation); draw it with mixing.ManifoldMixing().bind(...)"
            f".plan or mixing.with_plan."
        )
    missing = [part is None for part in plan]
    if all(missing):
        return None
    plan = MixPlan(*plan)
    for name, part, ranks in zip(plan._fields, plan, ((0, 1), (0, 1), (1,))):
        if part is None or len(part.shape) not in ranks:
            wanted = "a scalar or [B]" if 0 in ranks else "[B]"
            raise UsageError(
                f"The plan's {name} must have shape {wanted}, got "
                f"{None if part is None else tuple(part.shape)}."
            )
    return plan
