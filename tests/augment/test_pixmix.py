"""PixMix against Pillow and its formulas, and the laws of its draws."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from PIL import Image
from scipy import stats

from noisymix_tf import pictures
from noisymix_tf.augment import (
    ipmix_views,
    mixing_set,
    ops,
    pixmix,
    pixmix_views,
)
from support import augmentation as laws
from support.corruption_oracle import photographs
from support.released_sets import noise, save_image
from support.usage import assert_usage_error

SIDE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures at two depths; one is wide, one grey."""
    root = tmp_path_factory.mktemp("pictures")
    for place, picture in enumerate(photographs(5, 40, 40, seed=3)):
        picture = picture[:30] if place == 1 else picture
        picture = picture[..., 0] if place == 2 else picture
        save_image(root / "ab"[place % 2] / f"{place}.png", picture)
    return str(root)


def drawn(folder, count=6000, **options):
    options = pixmix.PixMixOptions(folder, **options)
    shelf = mixing_set._shelf(folder, SIDE, SIDE)
    how = [count, 2], options, shelf, (SIDE, SIDE)
    draw = tf.function(
        lambda seed: pixmix._draw_plan(seed, *how), jit_compile=True
    )
    return pixmix.Plan(*(part.numpy() for part in draw(tf.constant([3, 1]))))


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_laws_of_the_draws(folder, beta):
    plan = drawn(folder, beta=beta)
    number = plan.done.sum(-1)
    counts = np.bincount(number.ravel())
    assert stats.chisquare(counts).pvalue > laws.P_VALUE and len(counts) == 5
    same(plan.done[..., :-1] >= plan.done[..., 1:], True)
    for share in (plan.product.mean(), plan.own.mean()):
        assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(plan.own.size)
    a, b = plan.powers[..., 0].ravel(), plan.powers[..., 1].ravel()
    strong = a < 1
    assert abs(strong.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(a))
    same(b[strong] >= 0, True), same(b[~strong] <= 0, True)
    near, far = stats.beta(beta, 1).cdf, stats.beta(1, beta).cdf
    for values, law in (
        (a[strong], near),
        (a[~strong] - 1, far),
        (abs(b), far),
    ):
        assert stats.kstest(values, law).pvalue > laws.P_VALUE
    # Of the operations those that are needed: one first, later in the rounds.
    is_used = plan.operation != ops.NOTHING
    assert abs(is_used[..., 0].mean() - 0.5) < 0.02
    same(is_used[..., 1:], plan.own & plan.done)
    kinds = np.bincount(plan.operation[is_used], minlength=9)
    assert stats.chisquare(kinds).pvalue > laws.P_VALUE and len(kinds) == 9
    # Any picture, at any of the places where a crop of 16 in 18 may lie.
    for place, most in enumerate((5, 3, 3)):
        counts = np.bincount(plan.place[..., place].ravel())
        assert len(counts) == most
        assert stats.chisquare(counts).pvalue > laws.P_VALUE


def by_hand(image, own, shelf, view):
    """A view, from operations of Pillow and sums of the paper."""

    def changed(step):
        index = own.operation[view, step]
        if index == ops.NOTHING:
            return image
        operation = ops.OPERATIONS[index]
        number = laws.real(index, own.parameter[view, step], ops.OPERATIONS)
        function = laws.pillow_augmix.ALL_OPERATIONS[operation.name]
        return laws.with_pillow(function, image, number)

    picture, row, column = own.place[view]
    shown = shelf[picture, row : row + SIDE, column : column + SIDE] / 255
    mixed = changed(0) / 255
    for step in range(own.done[view].sum()):
        other = changed(1 + step) / 255 if own.own[view, step] else shown
        a, b = map(float, own.powers[view, step])
        if own.product[view, step]:
            other = np.maximum(2 * other, 1e-37)
            mixed = (2 * mixed) ** a * other**b / 2
        else:
            mixed = (a * (2 * mixed - 1) + b * (2 * other - 1) + 1) / 2
        mixed = mixed.clip(0, 1)
    return 255 * mixed


def test_views_are_the_papers(folder):
    images, plan = photographs(40, SIDE, SIDE), drawn(folder, 40)
    shelf = mixing_set._shelf(folder, SIDE, SIDE)
    views = pixmix._apply_plan(tf.constant(images), plan, shelf, False).numpy()
    same(views[:, 0], images)
    for place, image in enumerate(images):
        own = pixmix.Plan(*(part[place] for part in plan))
        for view in range(2):
            wanted = by_hand(image, own, shelf.numpy(), view)
            close(views[place, 1 + view], wanted, atol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_forms_and_parts_agree(folder, channels):
    images = photographs(4, SIDE, 20, channels)
    own = {"mixing_dir": folder, "num_views": 4}
    views = pixmix_views(images, [3, -4], **own)
    assert (
        views.shape == (4, 4, SIDE, 20, channels) and views.dtype == tf.float32
    )
    if channels == 3:
        dense = pixmix_views(images, [3, -4], dense=True, **own)
        close(dense, views, atol=0.05)
    else:
        part = pixmix_views(images[2:], [3, -4], shard=(1, 2), **own)
        close(part, views[2:], atol=1e-3)
    assert (
        not np.isnan(views).any() and 0 <= np.min(views) <= np.max(views) <= 255
    )


@pytest.mark.parametrize("make", [pixmix_views, ipmix_views])
def test_a_batch_may_be_of_any_size(folder, make):
    own = {"seed": [0, 1], "mixing_dir": folder, "dense": True}
    trace = tf.function(lambda images: make(images, **own), autograph=False)
    images = tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8)
    traced = trace.get_concrete_function(images).structured_outputs
    assert traced.shape.as_list() == [None, 3, SIDE, SIDE, 3]


def test_pictures_are_read_a_little_larger(folder, tmp_path, monkeypatch):
    shelf = mixing_set._shelf(folder, SIDE, 24)
    assert shelf.shape == (5, 18, 27, 3) and shelf.dtype == tf.uint8
    grey = np.ptp(shelf.numpy().astype(int), axis=-1).max((1, 2))
    assert (grey == 0).sum() == 1
    images = photographs(2, SIDE, SIDE)
    call = lambda **own: pixmix_views(images, [0, 0], **own)  # noqa: E731
    assert_usage_error(call, "give mixing_dir", "fractals")
    words = f"No picture to mix with in '{tmp_path}'"
    assert_usage_error(call, words, mixing_dir=str(tmp_path))
    # Hidden ones, as macOS leaves them, do not count.
    for hidden in ("._a.png", ".cache/a.png"):
        save_image(tmp_path / hidden, images[0])
    assert_usage_error(call, words, mixing_dir=str(tmp_path))
    save_image(tmp_path / "a.png", noise(160, 160, 3))
    first, last = (tmp_path / "a.png").read_bytes().rsplit(b"IDAT", 1)
    for bad in (b"no picture", first + b"\0\1\2\3" + last):
        (tmp_path / "a.png").write_bytes(bad)
        words = "a.png' cannot be read"
        assert_usage_error(call, words, mixing_dir=str(tmp_path))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    save_image(tmp_path / "a.png", photographs(1, 8, 8)[0])
    assert_usage_error(call, "a.png' cannot be read", mixing_dir=str(tmp_path))
    monkeypatch.undo()
    # 16 bits, which became white.
    levels = np.linspace(0, 65535, 256).reshape(16, 16)
    Image.fromarray(levels.astype(np.uint16)).save(tmp_path / "deep.png")
    read = pictures.read(tmp_path / "deep.png", "picture")
    same(read[..., 1].ravel(), np.arange(256))
    (tmp_path / "deep.png").unlink()
    monkeypatch.setattr(mixing_set, "_MOST_BYTES", 1500)
    save_image(tmp_path / "b.png", photographs(1, 8, 8)[0])
    words = "holds 2 pictures", "give at most 1."
    assert_usage_error(call, *words, mixing_dir=str(tmp_path))
