"""Transport against a restatement of the published matrices."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from noisymix_tf.mixing import transport

BATCH, EPS = 20, 0.8


def _published(saliency, visible, eps):
    """Plans `[B, source, place]`; who was turned away pays one more there."""
    size = saliency.shape[-1]
    count = size * size
    row, column = np.divmod(np.arange(count), size)
    way = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    gain = saliency.reshape(-1, count, 1) * visible.reshape(-1, 1, count)
    cost = eps * way / (size - 1) ** 2 - gain
    for _ in range(size):
        asked = np.zeros_like(cost)
        np.put_along_axis(asked, cost.argmin(-1)[..., None], 1.0, -1)
        best = (asked * cost).argmin(-2)
        won = np.zeros_like(cost)
        np.put_along_axis(won, best[:, None], 1.0, -2)
        won *= asked
        cost = cost + (1 - won) * asked
    return won


@pytest.mark.parametrize("size", [2, 6])
def test_what_is_seen_comes_from_where_it_is_published_to(size):
    sources = tf.function(transport.sources, jit_compile=True)
    rng = np.random.default_rng(0)
    moved = 0
    for concentration in (0.1, 1.0):
        saliency = rng.gamma(concentration, size=(BATCH, size, size)) + 1e-5
        saliency /= saliency.sum((1, 2), keepdims=True)
        visible = rng.random((BATCH, size, size)) < 0.6
        plan = _published(saliency, visible, EPS)
        ours = sources(saliency.astype("float32"), visible, EPS).numpy()
        ours, seen = ours.reshape(BATCH, -1), visible.reshape(BATCH, -1)
        # Every visible place has got one block.
        assert_array_equal(plan.sum(-2)[seen], 1)
        assert_array_equal(ours[seen], plan.argmax(-2)[seen])
        for places, is_seen in zip(ours, seen):
            assert len(set(places[is_seen])) == is_seen.sum()
        moved += (ours != np.arange(size * size))[seen].sum()
    assert moved > 5


def test_blocks_become_pixels():
    """On an image of other sides: blocks of 2 x 3 pixels, 2 down, 3 across."""
    blocks = tf.constant([[[4, 1, 2], [3, 0, 5]], [[0, 1, 2], [3, 4, 5]]])
    image = np.arange(2 * 2 * 4 * 9).reshape(2, 2, 4, 9, 1)
    pixels = transport.pixel_sources(blocks, 4, 9)
    moved = transport.moved(tf.constant(image), pixels).numpy()
    expected = image.copy()
    expected[:, 0, :2, :3] = image[:, 0, 2:, 3:6]
    expected[:, 0, 2:, 3:6] = image[:, 0, :2, :3]
    assert_array_equal(moved, expected)
