"""IPMix against Pillow and its formulas, and the laws of its draws."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from PIL import ImageOps
from scipy import stats

from noisymix_tf import philox
from noisymix_tf.augment import ipmix, ipmix_views, ops
from noisymix_tf.augment.ipmix import IPMixOptions
from support import augmentation as laws
from support.corruption_oracle import photographs
from support.released_sets import save_image

SIDE = 20
SIZE = (SIDE, SIDE)
PILLOW = laws.POLICY_OPERATIONS | {
    "mirror": lambda image, _: ImageOps.mirror(image)
}
# In AugMix's form, not that of policies.
PILLOW |= laws.pillow_augmix.ALL_OPERATIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for place, picture in enumerate(photographs(4, 40, 40, seed=3)):
        save_image(root / f"{place}.png", picture)
    return str(root)


def drawn(folder, count):
    options = IPMixOptions(folder)
    shelf = options.shelf((1, *SIZE, 3))
    how = [count, 2], options, shelf, SIZE
    draw = tf.function(
        lambda seed: ipmix._draw_plan(seed, *how), jit_compile=True
    )
    plan = draw(tf.constant([3, 1]))
    return ipmix.Plan(*(part.numpy() for part in plan)), shelf.numpy()


def test_laws_of_the_draws(folder):
    plan, _ = drawn(folder, 3000)
    operates = plan.operation != ops.NOTHING
    assert not (operates.any(-1) & plan.patched.any(-1)).any()
    # No step in a quarter of the chains, whichever kind; else either kind.
    number = (operates | plan.patched).sum(-1).ravel()
    assert stats.chisquare(np.bincount(number)).pvalue > laws.P_VALUE
    share = plan.patched.any(-1).sum() / (number > 0).sum()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt((number > 0).sum())
    kinds = np.bincount(plan.operation[operates], minlength=10)
    assert stats.chisquare(kinds).pvalue > laws.P_VALUE and len(kinds) == 10
    assert stats.chisquare(np.bincount(plan.way.ravel())).pvalue > laws.P_VALUE
    top, left, bottom, right = np.moveaxis(plan.box, -1, 0).reshape(4, -1)
    height, width = bottom - top, right - left
    assert min(top.min(), left.min()) == 0
    assert bottom.max() == right.max() == SIDE and height.min() == 2
    # Of 20 pixels sides are 4, 8 and 16; half of the boxes are whole squares.
    is_whole = (height == width) & np.isin(height, (4, 8, 16))
    by_chance = np.mean(
        [
            1 / (side - 1) ** 2
            + sum(1 / (side - 1) ** 2 for s in (4, 8, 16) if s < side)
            for side in (4, 8, 16)
        ]
    )
    expected = 0.5 + 0.5 * by_chance
    assert abs(is_whole.mean() - expected) < 4 * 0.5 / np.sqrt(len(top))
    full = [(height[is_whole] == side).mean() for side in (4, 8, 16)]
    assert np.abs(np.array(full) - 1 / 3).max() < 0.03
    corner = top[(height == 16) & (width == 16)]
    assert stats.chisquare(np.bincount(corner)).pvalue > laws.P_VALUE
    for values, law in (
        (plan.share.ravel(), "uniform"),
        (plan.m.ravel(), "uniform"),
        (plan.weights[..., 0].ravel(), stats.beta(1, 2).cdf),
    ):
        assert stats.kstest(values, law).pvalue > laws.P_VALUE
    strong = plan.powers[..., 0] < 1
    beta = stats.beta(3, 1).cdf
    assert stats.kstest(plan.powers[strong][:, 0], beta).pvalue > laws.P_VALUE


def by_hand(image, own, shelf, view):
    """A view, from operations of Pillow and sums of the paper."""
    picture, row, column = own.place[view]
    shown = shelf[picture, row : row + SIDE, column : column + SIDE] / 255
    total = np.zeros(image.shape)
    for chain, weight in enumerate(own.weights[view]):
        pixels, mixed = image, None
        for step in range(3):
            index = own.operation[view, chain, step]
            if index != ops.NOTHING:
                parameter = own.parameter[view, chain, step]
                number = laws.real(index, parameter, ipmix._OPERATIONS)
                name = ipmix._OPERATIONS[index].name
                pixels = laws.with_pillow(PILLOW[name], pixels, number)
        mixed = pixels / 255
        for step in np.flatnonzero(own.patched[view, chain]):
            top, left, bottom, right = own.box[view, chain, step]
            box = np.s_[top:bottom, left:right]
            a, b = map(float, own.powers[view, chain, step])
            way, x, y = own.way[view, chain, step], mixed[box], shown[box]
            if way == 0:
                found = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
            elif way == 1:
                found = (2 * x) ** a * np.maximum(2 * y, 1e-37) ** b / 2
            else:
                seed = own.seed[view, chain, step][None]
                u = philox.uniforms(tf.constant(seed), image.size)
                u = np.reshape(u, image.shape)
                u = u if way == 3 else np.repeat(u[..., :1], 3, axis=-1)
                found = np.where(u[box] < own.share[view, chain, step], x, y)
            mixed = mixed.copy()
            mixed[box] = found.clip(0, 1)
        total += weight * mixed
    m = own.m[view]
    return (1 - m) * image + 255 * m * total


def test_views_are_the_papers_in_any_part_of_a_batch(folder):
    images = photographs(20, *SIZE)
    plan, shelf = drawn(folder, 20)
    views = ipmix_views(images, [3, 1], mixing_dir=folder).numpy()
    own = {"mixing_dir": folder, "shard": (1, 2)}
    close(ipmix_views(images[10:], [3, 1], **own), views[10:], atol=1e-3)
    assert views.dtype == np.float32
    same(views[:, 0], images)
    for place, image in enumerate(images):
        own = ipmix.Plan(*(part[place] for part in plan))
        for view in range(2):
            wanted = by_hand(image, own, shelf, view)
            close(views[place, 1 + view], wanted, atol=0.05)


@pytest.mark.slow  # What is compiled takes its time.
@pytest.mark.parametrize("channels", [1, 3])
def test_forms_agree(folder, channels):
    images = photographs(4, 16, 20, channels)
    own = {"mixing_dir": folder, "width": 1}
    views = ipmix_views(images, [3, -4], **own)
    assert views.shape == (4, 3, 16, 20, channels)
    close(ipmix_views(images, [3, -4], dense=True, **own), views, atol=0.05)
