"""PuzzleMix's costs against their definition, pair by pair and cell by cell."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf.mixing import grid_labels, puzzle_costs

BETA, GAMMA, ETA, LAM = 1.2, 0.5, 0.2, 0.3
PERMUTATION = np.array([2, 0, 1])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    saliency = rng.gamma(0.5, size=(3, 8, 12)).astype("float32")
    return saliency, rng.random((3, 8, 12, 2)).astype("float32")


def _costs(batch, **options):
    options |= {"beta": BETA, "gamma": GAMMA, "eta": ETA}
    order = tf.constant(PERMUTATION, tf.int32)
    lam = tf.constant(LAM)
    return puzzle_costs.costs(*map(tf.constant, batch), order, lam, **options)


def _seams(mask, pixels, grid, side):
    """What the borders between blocks and those below them cost."""
    height, width = (size // grid for size in pixels[0].shape[:2])
    for i, j in itertools.product(range(grid - 1), range(grid)):
        above, below = mask[i, j], mask[i + 1, j]
        edge = (i + 1) * height
        # Mean difference of the patches above and below the border.
        terms = []
        for column in range(j * width, (j + 1) * width, side):
            patch = slice(column, column + side)
            a = pixels[above][edge - side : edge, patch].mean((0, 1))
            b = pixels[below][edge : edge + side, patch].mean((0, 1))
            terms.append(abs(a - b).mean())
        cost = (above != below) + GAMMA * np.mean(terms)
        yield BETA / grid / 16 * cost


def _energy(mask, saliency, pixels, labels, grid, side):
    """What a mask of blocks that are either own (1) or not (0) costs.

    `saliency` and `pixels` are pairs: the partner's, and the image's own.
    """
    rows, columns = saliency[0].shape
    blocks = [
        s.reshape(grid, rows // grid, grid, columns // grid).mean((1, 3))
        for s in saliency
    ]
    hidden = [b / b.sum() for b in blocks]
    total = sum(_seams(mask, pixels, grid, side))
    turned = [p.swapaxes(0, 1) for p in pixels]
    total += sum(_seams(mask.T, turned, grid, side))
    for i, j in itertools.product(range(grid), range(grid)):
        total += hidden[1 - mask[i, j]][i, j]
        share = LAM if mask[i, j] else 1 - LAM
        total -= ETA / grid**2 * np.log(share ** (labels - 1) + 1e-8)
    return total


@pytest.mark.parametrize(
    ("grid", "labels", "neigh_size", "side"), [(2, 2, 4, 2), (4, 3, 1, 1)]
)
def test_energies_of_masks_are_those_of_the_definition(
    batch, grid, labels, neigh_size, side
):
    """Up to what is the same for every mask of a pair."""
    saliency, pixels = batch
    problem = _costs(batch, grid=grid, labels=labels, neigh_size=neigh_size)
    masks = np.random.default_rng(1).integers(0, 2, (6, grid, grid))
    masks[0], masks[1] = 0, 1
    ours, theirs = [], []
    for mask in masks:
        chosen = tf.tile(mask[None] * (labels - 1), [3, 1, 1])
        ours.append(grid_labels.energy(chosen, *problem).numpy())
        theirs.append(
            [
                _energy(mask, saliency[pair], pixels[pair], labels, grid, side)
                for pair in np.stack([PERMUTATION, range(3)], 1)
            ]
        )
    ours, theirs = np.array(ours), np.array(theirs)
    assert_allclose(ours - ours[0], theirs - theirs[0], atol=2e-6, rtol=1e-5)


def test_levels_between_share_what_they_hide_and_have_their_prior(batch):
    unary = _costs(batch, grid=2, labels=3).unary.numpy()
    prior = np.array([(1 - LAM) ** 2, 2 * LAM * (1 - LAM), LAM**2])
    bare = unary + ETA / 4 * np.log(prior + 1e-8)
    assert_allclose(bare[..., 1], (bare[..., 0] + bare[..., 2]) / 2, rtol=1e-5)


def test_no_edge_attracts_different_levels(batch):
    """Weights are positive for any pixels: the solver relies on it."""
    saliency, pixels = batch
    for extreme in (pixels, np.round(pixels)):
        for weight in _costs((saliency, extreme), grid=4)[1:]:
            assert weight.numpy().min() > 0


def test_images_without_saliency_count_alike_everywhere():
    shares = puzzle_costs.shares(tf.zeros([2, 4, 8]), 2, 4)
    assert_array_equal(shares, np.full((2, 2, 4), 1 / 8))


def test_sides_of_patches_divide_blocks():
    """As published where they do: 4 for blocks of 32 pixels, 2 for 224."""
    sizes = (16, 16, 4), (14, 14, 4), (2, 2, 4), (6, 4, 4), (7, 3, 9)
    assert [puzzle_costs.divisor(*size) for size in sizes] == [4, 2, 2, 2, 1]
