"""Mixup at the input or at a randomly chosen hidden layer.

Manifold Mixup: Verma et al., arXiv:1806.05236. Mixup: Zhang et al.,
arXiv:1710.09412, which is the case of a single tap at the input.
"""

from noisymix_tf.lazy import serializable, tf
from noisymix_tf.mixing.kind import MIXINGS, Mixing, MixPlan, blend


@MIXINGS.register("none")
@serializable
class NoMixing(Mixing):
    """Leaves examples alone; noise, if any, goes in at the first tap."""

    def plan(self, seed, batch_size):
        del seed
        return MixPlan(tf.constant(0), tf.constant(1.0), tf.range(batch_size))

    def mix(self, x, plan):
        del plan
        return x


@MIXINGS.register("input")
@serializable
class InputMixing(Mixing):
    """Mixup: `lam x + (1 - lam) x[permutation]` at the first tap.

    Example:

    >>> mixing = InputMixing().bind(num_taps=1, alpha=1.0)
    >>> plan = mixing.plan(rng.stream(0, 0, "mixing"), batch_size=8)
    >>> mixed = mixing.mix(tf.zeros([1, 8, 32, 32, 3]), plan)

    Reference: Zhang et al., mixup, arXiv:1710.09412; one coefficient for each
    batch.
    """

    def mix(self, x, plan):
        return blend(x, plan.permutation, plan.lam)


@MIXINGS.register("manifold")
@serializable
class ManifoldMixing(InputMixing):
    """The same at any tap: one coefficient, permutation and tap for each step.

    Reference: Verma et al., Manifold Mixup, arXiv:1806.05236, section 2.
    """

    hidden = True
