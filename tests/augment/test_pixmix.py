"""PixMix and IPMix: their formulas, with Pillow; laws of draws; pictures."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from PIL import Image, ImageOps
from scipy import stats

from noisymix_tf import philox, pictures
from noisymix_tf.augment import ipmix, ipmix_views, ops, pixmix, pixmix_views
from support import augmentation as laws
from support.corruption_oracle import photographs
from support.released_sets import noise, save_image
from support.usage import assert_usage_error

SIDE = 20
SIZE = (SIDE, SIDE)
# AugMix's, not in the form of policies; invert is theirs, mirror IPMix's alone.
PILLOW = laws.POLICY_OPERATIONS | laws.pillow_augmix.ALL_OPERATIONS
PILLOW["mirror"] = lambda image, _: ImageOps.mirror(image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures at two depths; one is wide, one grey."""
    root = tmp_path_factory.mktemp("pictures")
    for place, picture in enumerate(photographs(5, 40, 40, seed=3)):
        picture = picture[:30] if place == 1 else picture
        picture = picture[..., 0] if place == 2 else picture
        save_image(root / "ab"[place % 2] / f"{place}.png", picture)
    return str(root)


def drawn(method, options, count):
    """A plan of two views of each image, and the pictures."""
    shelf = options.shelf((1, *SIZE, 3))
    how = [count, 2], options, shelf, SIZE
    draw = tf.function(
        lambda seed: method._draw_plan(seed, *how), jit_compile=True
    )
    parts = draw(tf.constant([3, 1]))
    return method.Plan(*(part.numpy() for part in parts)), shelf.numpy()


def assert_even(values, count):
    """As many of each of so many whole numbers from 0 on."""
    found = np.bincount(np.ravel(values))
    assert len(found) == count
    assert stats.chisquare(found).pvalue > laws.P_VALUE


def assert_drawn_from(*pairs):
    for values, law in pairs:
        assert stats.kstest(np.ravel(values), law).pvalue > laws.P_VALUE


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_laws_of_the_draws_of_pixmix(folder, beta):
    plan, _ = drawn(pixmix, pixmix.PixMixOptions(folder, beta=beta), 6000)
    assert_even(plan.done.sum(-1), 5)
    same(plan.done[..., :-1] >= plan.done[..., 1:], True)
    for share in (plan.product.mean(), plan.own.mean()):
        assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(plan.own.size)
    a, b = plan.powers[..., 0].ravel(), plan.powers[..., 1].ravel()
    strong = a < 1
    assert abs(strong.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(a))
    same(b[strong] >= 0, True), same(b[~strong] <= 0, True)
    near, far = stats.beta(beta, 1).cdf, stats.beta(1, beta).cdf
    assert_drawn_from((a[strong], near), (a[~strong] - 1, far), (abs(b), far))
    # Of the operations those that are needed: one first, later in the rounds.
    is_used = plan.operation != ops.NOTHING
    assert abs(is_used[..., 0].mean() - 0.5) < 0.02
    same(is_used[..., 1:], plan.own & plan.done)
    assert_even(plan.operation[is_used], 9)
    # Any picture, at any of the places where a crop of 20 in 22 may lie.
    for place, most in enumerate((5, 3, 3)):
        assert_even(plan.place[..., place], most)


def test_laws_of_the_draws_of_ipmix(folder):
    plan, _ = drawn(ipmix, ipmix.IPMixOptions(folder), 3000)
    operates = plan.operation != ops.NOTHING
    assert not (operates.any(-1) & plan.patched.any(-1)).any()
    # No step in a quarter of the chains, whichever kind; else either kind.
    number = (operates | plan.patched).sum(-1).ravel()
    assert_even(number, 4)
    share = plan.patched.any(-1).sum() / (number > 0).sum()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt((number > 0).sum())
    assert_even(plan.operation[operates], 10)
    assert_even(plan.way, 4)
    top, left, bottom, right = np.moveaxis(plan.box, -1, 0).reshape(4, -1)
    height, width = bottom - top, right - left
    assert min(top.min(), left.min()) == 0
    assert bottom.max() == right.max() == SIDE and height.min() == 2
    # Of 20 pixels sides are 4, 8 and 16; half of the boxes are whole squares,
    # and a side of a part is any of 2 to that of its square.
    sides = (4, 8, 16)
    is_whole = (height == width) & np.isin(height, sides)
    squares = [
        sum(s <= side for s in sides) / (side - 1) ** 2 for side in sides
    ]
    expected = 0.5 + 0.5 * np.mean(squares)
    assert abs(is_whole.mean() - expected) < 4 * 0.5 / np.sqrt(len(top))
    full = [(height[is_whole] == side).mean() for side in sides]
    assert np.abs(np.array(full) - 1 / 3).max() < 0.03
    assert_even(top[(height == 16) & (width == 16)], 5)
    strong = plan.powers[plan.powers[..., 0] < 1]
    assert_drawn_from(
        (plan.share, "uniform"),
        (plan.m, "uniform"),
        (plan.weights[..., 0], stats.beta(1, 2).cdf),
        (strong[:, 0], stats.beta(3, 1).cdf),
    )


def changed(image, index, parameter, operations):
    """What Pillow makes of an image by an operation, or by none."""
    if index == ops.NOTHING:
        return image
    number = laws.real(index, parameter, operations)
    return laws.with_pillow(PILLOW[operations[index].name], image, number)


def mixed(x, y, powers, is_product):
    """The sums of the paper of PixMix."""
    a, b = map(float, powers)
    if is_product:
        found = (2 * x) ** a * np.maximum(2 * y, 1e-37) ** b / 2
    else:
        found = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
    return found.clip(0, 1)


def pixmix_by_hand(image, own, shown, view):
    steps = zip(own.operation[view], own.parameter[view])
    first, *others = (changed(image, *step, ops.OPERATIONS) for step in steps)
    result = first / 255
    for step in range(own.done[view].sum()):
        other = others[step] / 255 if own.own[view, step] else shown
        how = own.powers[view, step], own.product[view, step]
        result = mixed(result, other, *how)
    return 255 * result


def ipmix_by_hand(image, own, shown, view):
    total = np.zeros(image.shape)
    for chain, weight in enumerate(own.weights[view]):
        pixels = image
        for step in zip(own.operation[view, chain], own.parameter[view, chain]):
            pixels = changed(pixels, *step, ipmix._OPERATIONS)
        result = pixels / 255
        for step in np.flatnonzero(own.patched[view, chain]):
            place = view, chain, step
            top, left, bottom, right = own.box[place]
            box, way = np.s_[top:bottom, left:right], own.way[place]
            x, y = result[box], shown[box]
            if way < 2:
                found = mixed(x, y, own.powers[place], way == 1)
            else:
                seed = tf.constant(own.seed[place][None])
                u = np.reshape(philox.uniforms(seed, image.size), image.shape)
                u = u if way == 3 else np.repeat(u[..., :1], 3, axis=-1)
                found = np.where(u[box] < own.share[place], x, y)
            result[box] = found
        total += weight * result
    m = own.m[view]
    return (1 - m) * image + 255 * m * total


@pytest.mark.parametrize(
    "method, views, options, by_hand",
    [
        (pixmix, pixmix_views, pixmix.PixMixOptions, pixmix_by_hand),
        pytest.param(
            *(ipmix, ipmix_views, ipmix.IPMixOptions, ipmix_by_hand),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["pixmix", "ipmix"],
)
def test_views_are_the_papers(folder, method, views, options, by_hand):
    images = photographs(20, *SIZE)
    plan, shelf = drawn(method, options(folder), 20)
    made = views(images, [3, 1], mixing_dir=folder).numpy()
    assert made.dtype == np.float32 and made.shape == (20, 3, *SIZE, 3)
    same(made[:, 0], images)
    for place, image in enumerate(images):
        own = method.Plan(*(part[place] for part in plan))
        for view in range(2):
            picture, row, column = own.place[view]
            shown = shelf[picture, row : row + SIDE, column : column + SIDE]
            wanted = by_hand(image, own, shown / 255, view)
            close(made[place, 1 + view], wanted, atol=0.05)
    assert 0 <= np.min(made) <= np.max(made) <= 255.001


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "make, options",
    [
        (pixmix_views, {"num_views": 4}),
        (ipmix_views, {"width": 1}),
    ],
)
def test_forms_and_parts_agree(folder, make, options, channels):
    images = photographs(4, 16, 20, channels)
    own = {"mixing_dir": folder, **options}
    views = make(images, [3, -4], **own)
    assert views.shape == (4, own.get("num_views", 3), 16, 20, channels)
    close(make(images, [3, -4], dense=True, **own), views, atol=0.05)
    part = make(images[2:], [3, -4], shard=(1, 2), **own)
    close(part, views[2:], atol=1e-3)


@pytest.mark.parametrize("make", [pixmix_views, ipmix_views])
def test_a_batch_may_be_of_any_size(folder, make):
    own = {"seed": [0, 1], "mixing_dir": folder, "dense": True}
    trace = tf.function(lambda images: make(images, **own), autograph=False)
    images = tf.TensorSpec([None, 16, 16, 3], tf.uint8)
    traced = trace.get_concrete_function(images).structured_outputs
    assert traced.shape.as_list() == [None, 3, 16, 16, 3]


def test_pictures_are_read_a_little_larger(folder, tmp_path, monkeypatch):
    shelf = pixmix._shelf(folder, 16, 24)
    assert shelf.shape == (5, 18, 27, 3) and shelf.dtype == tf.uint8
    grey = np.ptp(shelf.numpy().astype(int), axis=-1).max((1, 2))
    assert (grey == 0).sum() == 1
    images = photographs(2, 16, 16)
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
    monkeypatch.setattr(pixmix, "_MOST_BYTES", 1500)
    save_image(tmp_path / "b.png", photographs(1, 8, 8)[0])
    words = "holds 2 pictures", "give at most 1."
    assert_usage_error(call, *words, mixing_dir=str(tmp_path))
