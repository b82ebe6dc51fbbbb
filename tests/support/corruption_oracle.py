"""The benchmark's draws restated, and images for tests of corruptions."""

import numpy as np

from noisymix_tf.corruptions import (
    core,
    glass,
    motion,
    plasma,
    snow,
    spatter,
    warp,
)

ORDER = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
)
COMMON, EXTRA = ORDER[:15], ORDER[15:]
DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)
STOCHASTIC = tuple(name for name in ORDER if name not in DETERMINISTIC)
# Their pixels follow from draws that NumPy's old generator repeats.
REPEATABLE = (
    "glass_blur",
    "motion_blur",
    "snow",
    "fog",
    "elastic_transform",
    "spatter",
)


def photographs(batch=4, height=32, width=32, channels=3, seed=0):
    """Smooth random images with some texture, uint8."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, [batch, 1, 1, channels])
    wave = np.sin(x[..., None] / 5 + phase) + np.cos(y[..., None] / 7 - phase)
    noise = generator.normal(0, 0.1, [batch, height, width, channels])
    return np.clip(127 + 55 * (wave + noise), 0, 255).astype(np.uint8)


def l2(images, others):
    """Euclidean distances in units of the full range, `[B]`."""
    difference = (images.astype(float) - others) / 255
    return np.sqrt(np.square(difference).sum(axis=(1, 2, 3)))


def repeated(name, severity, images, indices, table):
    """Corrupts with the very draws that made the oracle's images."""
    rule = ORDER.index(name) * 100003 + severity * 10007
    draws = [np.random.RandomState((rule + int(i)) % 2**32) for i in indices]
    constant = core.CORRUPTIONS.get(name).constant(severity, table)
    return core.to_uint8(_REPEATED[name](images, constant, draws))


def _glass_blur(images, pane, draws):
    deviation, reach, passes = pane
    height, width = (size - 2 * reach for size in images.shape[1:3])
    shape = [passes, height, width, 2]
    offsets = np.stack([each.randint(-reach, reach, shape) for each in draws])
    # The oracle draws (x, y), from the last pixel to the first.
    offsets = offsets[:, :, ::-1, ::-1, ::-1]
    return glass.behind_glass(images, deviation, reach, offsets)


def _motion_blur(images, line, draws):
    angles = [each.uniform(-45, 45) for each in draws]
    return motion.motion_blur(images, *line, angles)


def _snow(images, flakes, draws):
    mean, deviation, *rest = flakes
    noise, angles = zip(
        *(
            (
                each.normal(mean, deviation, images.shape[1:3]),
                each.uniform(-135, -45),
            )
            for each in draws
        )
    )
    return snow.snowfall(images, np.stack(noise), angles, *rest)


def _fog(images, clouds, draws):
    thickness, smoothness = clouds
    side = 32 if images.shape[1] == 32 else 256
    uniform = np.stack([each.random_sample(side * side - 1) for each in draws])
    layer = plasma.plasma(uniform, smoothness)
    return plasma.foggy(images, layer, thickness)


def _elastic_transform(images, shares, draws):
    size = images.shape[1:3]
    strength, smoothness, shift = (share * min(size) for share in shares)
    shifts, noise = zip(
        *(
            (
                each.uniform(-shift, shift, [3, 2]),
                each.uniform(-1, 1, [2, *size]),
            )
            for each in draws
        )
    )
    return warp.stretched(
        images, np.stack(shifts), np.stack(noise), strength, smoothness
    )


def _spatter(images, drops, draws):
    mean, deviation, *rest = drops
    shape = images.shape[1:3]
    noise = np.stack([each.normal(mean, deviation, shape) for each in draws])
    return spatter.splashed(images, noise, *rest)


_REPEATED = {
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "snow": _snow,
    "fog": _fog,
    "elastic_transform": _elastic_transform,
    "spatter": _spatter,
}
