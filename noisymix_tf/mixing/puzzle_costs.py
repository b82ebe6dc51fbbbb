"""What PuzzleMix's masks cost: saliency lost, seams, and an odd share.

A mask says for each block of an image how much of it is the image's own: 1, 0,
or levels between. It costs (Kim et al., PuzzleMix, arXiv:2009.06962, section
4, with the constants and scales of the published code)

* the saliency of what it hides, of the image and of its partner;
* at each border of two blocks, how much the two pixels that come to lie there
  differ, and a constant where the blocks differ in their levels;
* minus the logarithm of the binomial probability of each block's level, whose
  mean is the step's coefficient.
"""

import itertools
import math
from typing import NamedTuple

from noisymix_tf.lazy import tf

# Keeps the logarithm of a level without probability finite, as published.
_TINY = 1e-8


def costs(options, grid, saliency, pixels, permutation, lam) -> tuple:
    """A problem for `grid_labels.solve`: the masks of a batch of pairs.

    Args:
        options: A `PuzzleMix`. A patch is at most as large as a block, of which
            its side is made a divisor.
        grid: Number `n` of blocks down and across; it divides H and W.
        saliency: float32 `[B, H, W]`, not negative.
        pixels: float32 `[B, H, W, C]` in [0, 1].
        permutation: int32 `[B]`, the partner of each image.
        lam: float32 scalar, the mean of a level without other costs.

    Returns:
        `unary` `[B, n, n, L]`, of label l for the level l / (L - 1), and the
        weights of neighbours `[B, n - 1, n]` and `[B, n, n - 1]`.
    """
    own = shares(saliency, grid, grid)
    hidden = _Sides(own, tf.gather(own, permutation))
    height, width = pixels.shape[1:3]
    side = divisor(height // grid, width // grid, options.neigh_size)
    pooled = _means(pixels, height // side, width // side)
    sides = _Sides(pooled, tf.gather(pooled, permutation))
    seams = grid, options.beta / grid / 16.0, options.gamma
    vertical, hidden = _seams(sides, hidden, *seams)
    turned = (_Sides(*map(_transposed, each)) for each in (sides, hidden))
    horizontal, hidden = _seams(*turned, *seams)
    hidden, labels = _Sides(*map(_transposed, hidden)), options.labels
    level = tf.range(labels, dtype=tf.float32) / (labels - 1)
    # Who shows the image hides its partner.
    unary = (
        level * hidden.partner[..., tf.newaxis]
        + (1.0 - level) * hidden.own[..., tf.newaxis]
        - options.eta / grid**2 * _log_probabilities(lam, labels)
    )
    return unary, vertical, _transposed(horizontal)


class _Sides(NamedTuple):
    """Something of the image itself and of its partner."""

    own: "tf.Tensor"
    partner: "tf.Tensor"


def shares(saliency, rows, columns) -> "tf.Tensor":
    """Each block's share of the saliency `[B, H, W]`: `[B, rows, columns]`.

    Shares are equal where an image has no saliency at all.
    """
    blocks = _means(saliency[..., tf.newaxis], rows, columns)[..., 0]
    total = tf.reduce_sum(blocks, [1, 2], keepdims=True)
    found = tf.math.divide_no_nan(blocks, total)
    return tf.where(total > 0.0, found, 1.0 / (rows * columns))


def divisor(height, width, limit) -> int:
    """The largest side, up to a limit, of squares that fill a rectangle."""
    common = math.gcd(height, width)
    return max(s for s in range(1, limit + 1) if common % s == 0)


def _means(x, rows, columns):
    """Means over blocks of `[B, H, W, C]`: `[B, rows, columns, C]`."""
    _, height, width, channels = x.shape
    blocks = [-1, rows, height // rows, columns, width // columns, channels]
    return tf.reduce_mean(tf.reshape(x, blocks), [2, 4])


def _transposed(x):
    return tf.transpose(x, [0, 2, 1, *range(3, len(x.shape))])


def _seams(pooled, hidden, grid, weight, gamma):
    """The borders between blocks and those below them.

    A border costs `weight gamma d(upper, lower)`, where `d` is the difference
    of the pixels `pooled` `[B, n k, n k, C]` that meet there, plus `weight`
    where the levels differ. For four differences, of two images above and two
    below, this is split in what depends on one block and in a weight of
    differing levels. Returns the weights `[B, n - 1, n]`, and `hidden` `[B, n,
    n]`, what showing the other image costs, with the seams' costs.
    """

    def seam(upper, lower):
        return weight * gamma * _border(upper, lower, grid)

    pairs = itertools.starmap(seam, itertools.product(pooled, repeat=2))
    own_own, own_partner, partner_own, partner_partner = pairs
    mixed = own_partner + partner_own - own_own - partner_partner
    # What hides the partner shows the image, above the border and below it.
    partner = hidden.partner + _around(
        own_own + own_partner, own_own + partner_own
    )
    own = hidden.own + _around(
        partner_partner + partner_own, partner_partner + own_partner
    )
    return weight + mixed / 2.0, _Sides(own, partner)


def _around(upper, lower):
    """Halves of what borders cost, at the blocks above and below them."""
    return 0.5 * (
        tf.pad(upper, [[0, 0], [0, 1], [0, 0]])
        + tf.pad(lower, [[0, 0], [1, 0], [0, 0]])
    )


def _border(upper, lower, grid):
    """Mean difference across the borders of blocks, `[B, n - 1, n]`."""
    size = upper.shape[1] // grid
    last = upper[:, size - 1 :: size][:, : grid - 1]
    first = lower[:, size::size]
    difference = tf.reduce_mean(tf.abs(last - first), -1, keepdims=True)
    return _means(difference, grid - 1, grid)[..., 0]


def _log_probabilities(lam, labels):
    """Logarithm of each level's binomial probability, `[L]`."""
    most = labels - 1
    shares = [
        math.comb(most, k) * lam**k * (1.0 - lam) ** (most - k)
        for k in range(labels)
    ]
    return tf.stack([tf.math.log(share + _TINY) for share in shares])
