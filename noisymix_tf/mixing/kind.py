"""What every kind of mixing is, and mixup at the input or at hidden layers."""

import abc
import copy
import dataclasses
from typing import ClassVar, NamedTuple

from noisymix_tf import philox, rng
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import function, serializable, tf
from noisymix_tf.options import SHARE, Options, option
from noisymix_tf.registry import Registry

# The kinds by the name that a flag or an argument gives.
MIXINGS = Registry("mixing")
# What is folded into a step's seed for draws beyond tap, coefficient and
# partners; those stay the same whatever else a kind draws.
_CHANCE, MORE = 1, 2


class MixPlan(NamedTuple):
    """Who is mixed with whom, where and how much, for one step.

    `1 - lam` is the partner's weight, for features and labels alike.
    """

    tap: "tf.Tensor"  # int32 scalar, index of the tap at which to mix.
    # float32, weight of the example itself; `[B]` where examples differ.
    lam: "tf.Tensor"
    permutation: "tf.Tensor"  # int32 `[B]`, the partner of each example.


@dataclasses.dataclass(eq=False)
class Mixing(Options, abc.ABC):
    """A kind of mixing: its options and what it does in a step.

    A step draws a plan (`plan`), lets the kind look at the clean images
    (`settle`), and mixes every view at the plan's tap (`mix`). The labels are
    mixed with the settled plan's `lam`.

    A new kind is a subclass in the registry `MIXINGS`, a dataclass where it has
    options, with a `PREFIX`; nothing else has to know it.
    """

    # Whether it may happen at any tap, or only at the first.
    hidden: ClassVar = False
    # Whether `lam` is `[B]`, one for each example.
    per_example: ClassVar = False

    PREFIX = "mixing_"

    probability: float = option(1.0, "Share of the steps that mix.", SHARE)

    def __post_init__(self):
        super().__post_init__()
        self.num_taps = 1
        self.alpha = 1.0

    def bind(self, num_taps, alpha) -> "Mixing":
        """A copy for a trainer with so many taps.

        `lam ~ Beta(alpha, alpha)`; 0 means no mixing. `alpha` is a number, or a
        function without arguments that returns the one of the moment.
        """
        bound = copy.copy(self)
        bound.num_taps = num_taps if self.hidden else 1
        bound.alpha = alpha
        return bound

    def check(self, shape) -> None:
        """Refuses examples of a shape that cannot be mixed like this."""
        del shape

    def plan(self, seed, batch_size) -> MixPlan:
        """Draws a `MixPlan`, or a tuple that has its fields among others.

        Of a seed, int `[2]`, and the number of examples, static.
        """
        tap_seed, lam_seed, permutation_seed = tf.unstack(rng.split(seed, 3))
        alpha = self.alpha() if callable(self.alpha) else self.alpha
        alpha = tf.convert_to_tensor(alpha, tf.float32)
        lam = rng.beta(lam_seed, [], *[tf.maximum(alpha, 1e-3)] * 2)
        mixes = alpha > 0.0
        if self.probability < 1.0:
            chance = tf.random.stateless_uniform([], folded(seed, _CHANCE))
            mixes &= chance < self.probability
        law = 0, self.num_taps, tf.int32
        return MixPlan(
            tf.random.stateless_uniform([], tap_seed, *law),
            tf.where(mixes, lam, 1.0),
            rng.permutation(permutation_seed, batch_size),
        )

    def settle(self, plan, clean) -> MixPlan:
        """Returns the plan that `mix` takes, with the final `lam`.

        The clean view of the batch has the attributes

            * `images`: float32 `[B, ...]`, as the classifier takes them;
            * `features(images)`: what is at the first tap;
            * `gradient(features)`: float32, the gradient of each example's loss
              there, each up to a positive factor. It costs one pass through the
              network and back;
            * `seed`: int `[2]`, another one on each replica.
        """
        del clean
        return plan

    @abc.abstractmethod
    def mix(self, x, plan) -> "tf.Tensor":
        """Mixes what is at a settled plan's tap, float `[V, B, ...]`."""


def resolve(mixing) -> Mixing:
    """The kind that an argument names: a `Mixing`, or one with its defaults."""
    if isinstance(mixing, Mixing):
        return mixing
    if not isinstance(mixing, str):
        raise UsageError(
            f"mixing={mixing!r} must be one of {', '.join(MIXINGS.names())}, "
            f"or an object of nm.mixing such as nm.mixing.CutMix()."
        )
    return MIXINGS.get(mixing)()


def permute(x, permutation) -> "tf.Tensor":
    """`[v, i]` is `x[v, permutation[i]]`, of a tensor `[V, B, ...]`.

    The gradient of `tf.gather` is a slow scatter-add, as indices might repeat.
    A permutation's do not: its gradient is the gather by the inverse.
    """

    @tf.custom_gradient
    def permuted(x):
        return tf.gather(x, permutation, axis=1), lambda upstream: tf.gather(
            upstream, tf.argsort(permutation), axis=1
        )

    return permuted(x)


def blend(x, permutation, weight) -> "tf.Tensor":
    """`weight x + (1 - weight) x[:, permutation]`, of a tensor `[V, B, ...]`.

    The weight, a scalar, gets no gradient.
    """
    weight = tf.cast(weight, x.dtype)
    if x.dtype != tf.float32 or philox.is_compiled_by_xla():
        return weight * x + (1.0 - weight) * permute(x, permutation)

    @tf.custom_gradient
    def blended(x):
        # Either way it is one pass over the features.
        return _blended(x, permutation, weight, tf.zeros([], tf.uint32)), (
            lambda upstream: blend(upstream, tf.argsort(permutation), weight)
        )

    return blended(x)


@function(jit_compile=True, autograph=False)
def _blended(x, permutation, weight, zero):
    def rounded(product):
        # XLA would round a product and a sum once, other programs do so twice.
        # It does not know that this changes nothing.
        bits = tf.bitwise.bitwise_xor(tf.bitcast(product, tf.uint32), zero)
        return tf.bitcast(bits, tf.float32)

    partner = tf.gather(x, permutation, axis=1)
    return rounded(weight * x) + rounded((1.0 - weight) * partner)


def check_images(kind, shape) -> None:
    """Refuses anything but images for a kind that mixes regions of them."""
    if len(shape) != 3:
        raise UsageError(
            f"{kind} mixes regions of images [H, W, C], but an example has "
            f"shape {list(shape)}; use mixing='input' or mixing='manifold'."
        )


def check_known(kind, shape) -> None:
    """Refuses images of which the batches do not tell the size."""
    if None in shape:
        raise UsageError(
            f"{kind} mixes regions of images, but these are of unknown size, "
            f"{list(shape)}: resize them to one, or use mixing='manifold'."
        )


def folded(seed, number) -> "tf.Tensor":
    """A seed `[2]` for other draws than those of the seed itself."""
    return tf.random.experimental.stateless_fold_in(
        seed, number, alg=rng.GENERATOR
    )


@MIXINGS.register("none")
@serializable
class NoMixing(Mixing):
    """Leaves examples alone; noise, if any, goes in at the first tap."""

    def plan(self, seed, batch_size) -> MixPlan:
        del seed
        return MixPlan(tf.constant(0), tf.constant(1.0), tf.range(batch_size))

    def mix(self, x, plan) -> "tf.Tensor":
        del plan
        return x


@MIXINGS.register("input")
@serializable
class InputMixing(Mixing):
    """Mixup: `lam x + (1 - lam) x[permutation]` at the first tap.

    >>> mixing = InputMixing().bind(num_taps=1, alpha=1.0)
    >>> plan = mixing.plan(rng.stream(0, 0, "mixing"), batch_size=8)
    >>> mixing.mix(tf.zeros([1, 8, 4, 4, 3]), plan).shape
    TensorShape([1, 8, 4, 4, 3])

    Reference: Zhang et al., mixup, arXiv:1710.09412; one coefficient for each
    batch.
    """

    def mix(self, x, plan) -> "tf.Tensor":
        return blend(x, plan.permutation, plan.lam)


@MIXINGS.register("manifold")
@serializable
class ManifoldMixing(InputMixing):
    """The same at any tap: one coefficient, permutation and tap for each step.

    Reference: Verma et al., Manifold Mixup, arXiv:1806.05236, section 2.
    """

    hidden = True
