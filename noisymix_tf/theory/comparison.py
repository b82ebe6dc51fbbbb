"""Losses beside their expansions, for a list of `eps`."""

import dataclasses

import numpy as np

from noisymix_tf.theory.adversarial import adversarial_gap
from noisymix_tf.theory.divergence import stability
from noisymix_tf.theory.losses import noisymix_loss
from noisymix_tf.theory.terms import regularizers


@dataclasses.dataclass(frozen=True)
class Pair:
    """Something exact, and what the theory says of it.

    Attributes:
        eps: How small things are, `[E]`.
        exact: Values, `[E]`.
        predicted: Values, `[E]`.
    """

    eps: np.ndarray
    exact: np.ndarray
    predicted: np.ndarray

    @property
    def remainder(self):
        """What the prediction leaves, `[E]`."""
        return self.exact - self.predicted

    @property
    def ratio(self):
        """Exact over predicted, `[E]`."""
        return self.exact / self.predicted

    @property
    def slope(self):
        """Order in `eps` of the remainder, between the two smallest."""
        order = np.argsort(self.eps)[:2]
        sizes = np.log(np.abs(self.remainder[order]))
        return float(np.diff(sizes)[0] / np.diff(np.log(self.eps[order]))[0])


def expansion(
    model, x, y, eps, *, tap, additive, multiplicative, jsd_weight=0.0, views
):
    """The loss and its second-order expansion.

    Args:
        model, x, y, tap: As `noisymix_loss` takes them.
        eps: List of `1 - lam`.
        additive, multiplicative: Standard deviations of noise over `eps`.
        jsd_weight: Weight of the divergence.
        views: `noise_per_view`.

    Returns:
        `(Regularizers, Pair)`.
    """
    numbers = {
        "additive": additive,
        "multiplicative": multiplicative,
        "jsd_weight": jsd_weight,
        "noise_per_view": views,
    }
    found = regularizers(model, x, y, tap=tap)
    exact = noisymix_loss(model, x, y, eps, tap=tap, **numbers)
    near = [found.expansion(each, **numbers) for each in eps]
    return found, Pair(*map(np.array, (eps, exact, near)))


def divergence(model, x, eps, *, tap, dimension, seed):
    """The divergence of three views that move in random directions.

    Args:
        model, x, tap: As `stability` takes them.
        eps: List of step sizes.
        dimension: Numbers at the tap.
        seed: Seed of the directions.

    Returns:
        `Pair`.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=[3, len(x), dimension])
    pairs = [stability(model, x, e * directions, tap=tap) for e in eps]
    return Pair(np.array(eps), *map(np.array, zip(*pairs)))


def attack(model, x, y, eps, *, additive, multiplicative):
    """The gap to the loss under attack, and its prediction.

    Args:
        model, x, y, additive, multiplicative: As `adversarial_gap` takes them.
        eps: List of `1 - lam`.

    Returns:
        `Pair`.
    """
    found = [
        adversarial_gap(
            model, x, y, e, additive=additive, multiplicative=multiplicative
        )
        for e in eps
    ]
    gaps, predicted = zip(*((f.gap, f.predicted) for f in found))
    return Pair(*map(np.array, (eps, gaps, predicted)))
