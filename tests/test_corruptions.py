"""Corruptions against the benchmark's own pixels, closed forms and seeds."""

import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import core
from noisymix_tf.corruptions.blur import zoom_axis
from noisymix_tf.errors import UsageError

COMMON = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
)
EXTRA = ("speckle_noise", "gaussian_blur", "saturate")
STOCHASTIC = tuple(n for n in COMMON + EXTRA if n.endswith("noise"))
DETERMINISTIC = tuple(n for n in COMMON + EXTRA if n not in STOCHASTIC)

# Of the values, this share may differ, by one level: where the exact result is
# a whole number, the last bit of a float decides what truncation makes of it.
ROUNDING_SHARE = {
    "zoom_blur": 0.005,
    "brightness": 0.005,
    "saturate": 0.05,
    "defocus_blur": 0.005,
}


def photographs(batch=4, height=32, width=32, channels=3, seed=0):
    """Smooth random images with some texture, uint8."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, [batch, 1, 1, channels])
    wave = np.sin(x[..., None] / 5 + phase) + np.cos(y[..., None] / 7 - phase)
    noise = generator.normal(0, 0.1, [batch, height, width, channels])
    return np.clip(127 + 55 * (wave + noise), 0, 255).astype(np.uint8)


# --- what is registered ------------------------------------------------------


def test_names_by_tag():
    assert set(COMMON) <= set(corruptions.names("common"))
    assert set(EXTRA) <= set(corruptions.names("extra"))
    both = corruptions.names("common") + corruptions.names("extra")
    assert corruptions.names() == both
    by_family = [corruptions.names(f) for f in corruptions.FAMILIES]
    assert sorted(sum(by_family, ())) == sorted(both)
    assert "brightness" in corruptions.names("weather")
    assert "saturate" in corruptions.names("digital")


def test_common_names_are_in_the_order_of_the_benchmark():
    ours = [n for n in corruptions.names("common") if n in COMMON]
    assert ours == list(COMMON)


def test_a_new_corruption_plugs_in(monkeypatch):
    monkeypatch.setattr(
        core.CORRUPTIONS, "_entries", dict(core.CORRUPTIONS._entries)
    )

    @corruptions.corruption(
        "darken",
        family="weather",
        cifar=(0.9, 0.8, 0.7, 0.6, 0.5),
        imagenet=(0.5, 0.4, 0.3, 0.2, 0.1),
        extra=True,
    )
    def darken(images, factor, streams):
        return images / 255.0 * factor

    images = np.full([1, 32, 32, 3], 200, np.uint8)
    assert "darken" in corruptions.names("extra")
    assert (corruptions.corrupt(images, "darken", 5) == 100).all()
    dark = corruptions.corrupt(images, "darken", 5, table="imagenet")
    assert (dark == 20).all()


# --- the benchmark's pixels --------------------------------------------------


@pytest.mark.parametrize("severity", corruptions.SEVERITIES)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_cifar_pixels(golden, name, severity):
    file = golden("cifar_c_deterministic.npz")
    ours = corruptions.corrupt(file["input"], name, severity)
    _assert_same_pixels(ours, file[f"{name}__{severity}"], name)


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_imagenet_pixels(golden, name, severity):
    file = golden("imagenet_c_224.npz")
    wanted = file[f"{name}__{severity}"][:2]
    ours = corruptions.corrupt(file["input"][:2], name, severity)
    _assert_same_pixels(ours, wanted, name)


def _assert_same_pixels(ours, wanted, name):
    error = np.abs(ours.astype(int) - wanted)
    assert error.max() <= 1
    assert (error > 0).mean() <= ROUNDING_SHARE.get(name, 0.0)


@pytest.fixture(scope="module")
def cifar_test_images(golden, cifar10_test):
    """The first 1,000 CIFAR-10 test images, in the official order."""
    images = cifar10_test[0][:1000]
    file = golden("cifar_c_deterministic.npz")
    np.testing.assert_array_equal(
        images[file["cifar10_test_index"]], file["input"]
    )
    return images


@pytest.mark.parametrize("severity", corruptions.SEVERITIES)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_cifar_distances(golden, cifar_test_images, name, severity):
    wanted = golden("cifar_c_distances.json")["table"][f"{name}_{severity}"]
    images = cifar_test_images
    ours = corruptions.corrupt(images, name, severity)
    difference = ours.astype(float) - images
    l2 = np.sqrt(np.square(difference / 255).sum(axis=(1, 2, 3))).mean()
    assert l2 == pytest.approx(wanted["l2_unit"]["mean"], rel=0.02)
    mad = np.abs(difference).mean()
    assert mad == pytest.approx(wanted["mad_255"]["mean"], rel=0.02)
    # The sign tells truncation (half a level down) from rounding.
    signed = wanted["signed_diff_255"]["mean"]
    assert difference.mean() == pytest.approx(signed, abs=0.1)
    changed = wanted["frac_pixels_changed"]
    assert (difference != 0).mean() == pytest.approx(changed, abs=0.005)


@pytest.mark.parametrize("severity", corruptions.SEVERITIES)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_imagenet_distances(golden, name, severity):
    images = golden("imagenet_c_224.npz")["input"][:2]
    table = golden("imagenet_c_224_distances.json")["table"]
    entry = table[f"{name}_{severity}"]["per_seed_per_image"]
    wanted_l2 = np.mean([image[:2] for image in entry["l2_unit"]])
    wanted_mad = np.mean([image[:2] for image in entry["mad_255"]])
    difference = corruptions.corrupt(images, name, severity).astype(float)
    difference -= images
    l2 = np.sqrt(np.square(difference / 255).sum(axis=(1, 2, 3))).mean()
    assert l2 == pytest.approx(wanted_l2, rel=0.02)
    assert np.abs(difference).mean() == pytest.approx(wanted_mad, rel=0.02)


# --- closed forms ------------------------------------------------------------


def test_brightness_of_grey_adds():
    images = np.full([1, 8, 8, 3], 100, np.uint8)
    images[0, 0, 0] = 0
    images[0, 0, 1] = 250
    bright = corruptions.corrupt(images, "brightness", 5)
    assert (bright[0, 1:] == 176).all()  # 100 + 0.3 * 255 = 176.5, truncated
    assert (bright[0, 0, 0] == 76).all()
    assert (bright[0, 0, 1] == 255).all()


def test_saturate_of_grey_turns_red():
    images = np.full([1, 8, 8, 3], 200, np.uint8)
    unchanged = corruptions.corrupt(images, "saturate", 3)
    assert np.abs(unchanged.astype(int) - 200).max() <= 1
    red = corruptions.corrupt(images, "saturate", 5)
    assert red[0, 0, 0].tolist() == [200, 160, 160]


def test_impulse_noise_is_black_or_white_in_equal_parts():
    images = np.full([40, 32, 32, 3], 100, np.uint8)
    noisy = corruptions.corrupt(images, "impulse_noise", 5)
    assert set(np.unique(noisy)) == {0, 100, 255}
    for value in (0, 255):
        share, wanted = (noisy == value).mean(), 0.07 / 2
        assert abs(share - wanted) < 4 * np.sqrt(wanted / noisy.size)


def test_gaussian_noise_moments():
    images = np.full([40, 32, 32, 3], 128, np.uint8)
    noisy = corruptions.corrupt(images, "gaussian_noise", 1).astype(float)
    deviation = 0.04 * 255
    # Truncation subtracts half a level on average, and adds 1/12 of variance.
    sigma = deviation / np.sqrt(noisy.size)
    assert abs(noisy.mean() - 127.5) < 4 * sigma
    wanted = np.sqrt(deviation**2 + 1 / 12)
    assert abs(noisy.std() - wanted) < 4 * sigma / np.sqrt(2)


def test_noise_of_neighbours_channels_and_images_is_independent():
    images = np.full([40, 32, 32, 3], 128, np.uint8)
    noise = corruptions.corrupt(images, "gaussian_noise", 5).astype(float)
    noise = (noise - noise.mean()) / noise.std()
    pairs = (
        (noise[:, 1:], noise[:, :-1]),
        (noise[:, :, 1:], noise[:, :, :-1]),
        (noise[..., 1:], noise[..., :-1]),
        (noise[1:], noise[:-1]),
    )
    for one, other in pairs:
        assert abs((one * other).mean()) < 4 / np.sqrt(one.size)


@pytest.mark.parametrize("size", [8, 28, 32, 33, 224])
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.06, 1.25, 1.3])
def test_zoom_is_what_scipy_makes(size, factor):
    from scipy import ndimage

    line = np.random.default_rng(0).random(size)
    kept = int(np.ceil(size / factor))
    top = (size - kept) // 2
    zoomed = ndimage.zoom(line[top : top + kept], factor, order=1)
    trim = (len(zoomed) - size) // 2
    np.testing.assert_allclose(
        zoom_axis(size, factor) @ line, zoomed[trim : trim + size], atol=1e-12
    )


@pytest.mark.parametrize("table", corruptions.TABLES)
@pytest.mark.parametrize("name", ["defocus_blur", "zoom_blur", "gaussian_blur"])
def test_blurs_leave_flat_images(name, table):
    images = np.full([2, 40, 24, 3], 77, np.uint8)
    for severity in corruptions.SEVERITIES:
        blurred = corruptions.corrupt(images, name, severity, table=table)
        assert np.abs(blurred.astype(int) - 77).max() <= 1


def test_contrast_keeps_means():
    images = photographs()
    faint = corruptions.corrupt(images, "contrast", 5).astype(float)
    mean = images.mean(axis=(1, 2))
    assert np.abs(faint.mean(axis=(1, 2)) - (mean - 0.5)).max() < 0.5
    ratio = faint.std(axis=(1, 2)) / images.std(axis=(1, 2))
    np.testing.assert_allclose(ratio, 0.15, atol=0.01)


# --- seeds -------------------------------------------------------------------


@pytest.mark.parametrize("name", corruptions.names())
def test_batch_size_and_order_do_not_matter(name):
    images = photographs(batch=7)
    whole = corruptions.corrupt(images, name, 3, seed=5)
    for start in range(0, 7, 3):
        part = slice(start, start + 3)
        some = corruptions.corrupt(
            images[part], name, 3, seed=5, indices=np.arange(7)[part]
        )
        np.testing.assert_array_equal(some, whole[part])
    order = np.array([4, 0, 6, 2])
    shuffled = corruptions.corrupt(
        images[order], name, 3, seed=5, indices=order
    )
    np.testing.assert_array_equal(shuffled, whole[order])


@pytest.mark.parametrize("name", corruptions.names())
def test_blocks_do_not_matter(name, monkeypatch):
    images = photographs(batch=5)
    whole = corruptions.corrupt(images, name, 4)
    monkeypatch.setattr(core, "_BLOCK_VALUES", 2 * images[0].size)
    np.testing.assert_array_equal(corruptions.corrupt(images, name, 4), whole)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_everything_in_the_seed_counts(name):
    images = np.repeat(photographs(batch=1), 2, axis=0)
    base = corruptions.corrupt(images, name, 3, seed=1)
    again = corruptions.corrupt(images, name, 3, seed=1)
    np.testing.assert_array_equal(base, again)
    assert (base[0] != base[1]).any()
    assert (corruptions.corrupt(images, name, 3, seed=2) != base).any()


def test_streams_of_severities_and_corruptions_differ():
    draws = [
        generator.random()
        for name in ("gaussian_noise", "speckle_noise")
        for severity in (1, 2)
        for seed in (0, 1)
        for generator in core.Streams(
            core.stream_key(seed, name, severity), [0, 1, 2**40]
        )
    ]
    assert len(set(draws)) == len(draws)


def test_input_is_left_alone_and_the_global_state_too():
    images = photographs()
    copy = images.copy()
    images.flags.writeable = False
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for name in corruptions.names():
        corruptions.corrupt(images, name, 5)
    np.testing.assert_array_equal(images, copy)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# --- shapes and tables -------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32, 1), (20, 37, 3), (9, 8, 1)])
@pytest.mark.parametrize("table", corruptions.TABLES)
@pytest.mark.parametrize("name", corruptions.names())
def test_any_shape(name, table, shape):
    images = photographs(2, *shape)
    for severity in (1, 5):
        out = corruptions.corrupt(images, name, severity, table=table)
        assert out.shape == images.shape
        assert out.dtype == np.uint8


@pytest.mark.parametrize("name", [n for n in DETERMINISTIC if n != "saturate"])
def test_grey_is_one_channel_of_a_grey_rgb_image(name):
    grey = photographs(channels=1)
    rgb = np.repeat(grey, 3, axis=-1)
    one = corruptions.corrupt(grey, name, 3)[..., 0].astype(int)
    three = corruptions.corrupt(rgb, name, 3)[..., 0]
    # JPEG converts RGB to luma and back, with rounding.
    assert np.abs(one - three).max() <= (1 if "jpeg" in name else 0)


def test_the_table_follows_the_size():
    small, large = photographs(1, 63, 80), photographs(1, 64, 80)
    for images, table in ((small, "cifar"), (large, "imagenet")):
        auto = corruptions.corrupt(images, "contrast", 2)
        chosen = corruptions.corrupt(images, "contrast", 2, table=table)
        np.testing.assert_array_equal(auto, chosen)
    other = corruptions.corrupt(small, "contrast", 2, table="imagenet")
    assert (other != corruptions.corrupt(small, "contrast", 2)).any()


# --- bad input ---------------------------------------------------------------

GOOD = np.zeros([2, 32, 32, 3], np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "rain"}, r"'rain'.*Known: .*gaussian_noise"),
        ({"severity": 0}, "Severity 0.*1, 2, 3, 4 or 5"),
        ({"severity": 6}, "Severity 6"),
        ({"severity": True}, "Severity True"),
        ({"severity": 2.5}, "Severity 2.5"),
        ({"images": GOOD.astype(np.float32)}, "float32.*cast to uint8"),
        ({"images": GOOD[0]}, r"\[32, 32, 3\].*missing axis"),
        ({"images": GOOD[..., :2]}, "C = 1 or 3"),
        ({"images": GOOD[:0]}, "at least one image"),
        ({"images": GOOD[:, :0]}, "at least one image"),
        ({"table": "mnist"}, "'mnist'.*auto, cifar, imagenet"),
        ({"seed": -1}, "at least 0, got -1"),
        ({"seed": 0.5}, "got 0.5"),
        ({"indices": [0]}, "2 ints"),
        ({"indices": [0, -1]}, "at least 0"),
        ({"indices": [0.0, 1.0]}, "float64"),
    ],
)
def test_bad_input(arguments, message):
    call = {"images": GOOD, "name": "contrast", "severity": 1, **arguments}
    with pytest.raises(UsageError) as caught:
        corruptions.corrupt(**call)
    text = str(caught.value)
    assert re.search(message, text)
    assert "\n" not in text


def test_bad_tag():
    with pytest.raises(UsageError, match=r"'loud'.*common, extra, noise"):
        corruptions.names("loud")
