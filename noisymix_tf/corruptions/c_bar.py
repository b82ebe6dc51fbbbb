"""The corruptions of CIFAR-10-C-bar and ImageNet-C-bar; here: patterns.

Mintun, Kirillov and Xie (2021), "On Interaction Between Augmentations and
Corruptions in Natural Corruption Robustness": ten corruptions each that look
unlike the fifteen of -C and are as hard. Whoever has learnt robustness, and not
the likeness of -C, does as well on them. Definitions and constants:
github.com/facebookresearch/augmentation-corruption at ba4d5a5, imagenet_c_bar.

Lengths are shares of the shorter side. The families are ours.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS
from noisymix_tf.corruptions.filters import luma

# Octaves of Perlin noise, and its period in pixels of a side of 224.
_OCTAVES, _PERIOD = (1, 2, 4, 8, 16), 32
_LATTICE = 256


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A corruption in two parts: what is random, and what is done with it.

    Attributes:
        draw: `draw(generator, shape, level)`: a tuple, of an image (H, W, C).
        change: `change(image, *draws)`: pixels of 0 to 255, still to be clipped
            and truncated.
    """

    draw: Callable
    change: Callable

    def __call__(self, images, level, streams) -> np.ndarray:
        changed = np.empty_like(images)
        for place, (image, generator) in enumerate(zip(images, streams)):
            draws = self.draw(generator, image.shape, level)
            changed[place] = self.change(image, *draws).clip(0, 255)
        return changed


def bar(draw, **attributes) -> Callable:
    """A decorator of what changes an image: a corruption of C-bar."""

    def file(change):
        add = CORRUPTIONS.register(change.__name__, c_bar=True, **attributes)
        return add(Drawn(draw, change))

    return file


def side(shape) -> int:
    """The shorter side of an image."""
    return min(shape[:2])


def places(shape, start=(0, 0)) -> np.ndarray:
    """Rows and columns of all pixels from a place on, float `[2, H, W]`."""
    return np.indices(shape[:2]) - np.reshape(start, (2, 1, 1)).astype(float)


def _phases(generator, shape):
    """Phases of one channel that are equal at opposite frequencies."""
    height, width = shape[:2]
    half = generator.uniform(0, 2 * np.pi, (height, width // 2))
    column = generator.uniform(0, 2 * np.pi, (height // 2, width % 2))
    middle = np.zeros((height % 2, width % 2))
    return opposite(half, np.concatenate([column, middle, column[::-1]]))


def opposite(half, *middle) -> np.ndarray:
    """Joins a half of the columns, a middle one if any, and the half turned."""
    return np.concatenate([half, *middle, half[::-1, ::-1]], axis=1)


def coloured(power, phases) -> np.ndarray:
    """Noise of unit deviation `[H, W]` of amplitudes and phases, centred."""
    centred = power * np.exp(1j * phases)
    half = [size // 2 for size in power.shape]
    noise = np.fft.ifft2(np.roll(centred, half, axis=(0, 1))).real
    return noise / (noise.std() or 1.0)  # A single pixel has none.


@functools.lru_cache(8)
def _from_middle(height, width):
    return np.hypot(*places((height, width), (height / 2, width / 2)))


@bar(
    lambda generator, shape, level: (
        _phases(generator, shape),
        0.3 * level - 2.5,
    ),
    family="noise",
    cifar=(0.7, 1.4, 2.1, 3.5, 4.2),
    imagenet=(0.8, 1.6, 2.4, 4.0, 5.6),
)
def blue_noise_sample(image, phases, threshold) -> np.ndarray:
    """Keeps pixels where noise of high frequencies is above a threshold."""
    noise = coloured(_from_middle(*image.shape[:2]), phases)
    return image * (noise > threshold)[..., None]


@bar(
    lambda generator, shape, level: (
        np.stack([_phases(generator, shape) for _ in range(shape[-1])]),
        6.4 * level,
    ),
    family="noise",
    cifar=(2.5, 4.0, 5.5, 6.5, 7.0),
    imagenet=(1.0, 2.0, 3.0, 4.0, 5.0),
)
def brownish_noise(image, phases, intensity) -> np.ndarray:
    """Adds noise of low frequencies, of each channel `[C, H, W]` another."""
    power = 1.0 / (_from_middle(*image.shape[:2]) ** 2 + 1)
    noise = np.stack([coloured(power, own) for own in phases], axis=-1)
    return image + intensity * noise


def _perlin(generator, shape, level):
    gradients = generator.integers(-_LATTICE, _LATTICE, (_LATTICE, 2))
    return generator.permutation(_LATTICE), gradients, 0.05 * level


@bar(_perlin, family="noise", imagenet=(4.6, 5.2, 5.8, 7.6, 8.8))
def perlin_noise(image, order, gradients, share) -> np.ndarray:
    """Mixes in turbulence: Perlin's noise of five octaves.

    order, gradients: Of the points of a lattice that tiles, int `[256]` and
        `[256, 2]`, of which only the directions count.
    """
    length = np.hypot(*gradients.T)[:, None]
    gradients = gradients / np.maximum(length, 1e-9)
    points = places(image.shape) / (_PERIOD * side(image.shape) / 224)
    octaves = (
        abs(_perlin_noise(f * points, order, gradients)) / f for f in _OCTAVES
    )
    turbulence = np.clip(0.5 * sum(octaves) + 0.5, 0.0, 1.0)[..., None]
    return (1 - share) * image + 255 * share * turbulence


def _perlin_noise(points, order, gradients):
    """Perlin's noise at places `[2, H, W]`."""
    first = points.astype(int) % _LATTICE
    near = points % 1
    rows, columns = near * near * (3.0 - 2.0 * near)
    corner = []
    for down in (0, 1):
        row = order[(first[0] + down) % _LATTICE]
        for right in (0, 1):
            column = (row + (first[1] + right) % _LATTICE) % _LATTICE
            slope = gradients[order[column]]
            away = near[0] - down, near[1] - right
            corner.append(slope[..., 0] * away[0] + slope[..., 1] * away[1])
    left = corner[0] + rows * (corner[2] - corner[0])
    right = corner[1] + rows * (corner[3] - corner[1])
    return 1.5 * (left + columns * (right - left))


@bar(
    lambda generator, shape, level: (
        generator.uniform(0, 6 * np.pi),
        generator.integers(4, 7),
        generator.uniform(0.5, 1.0),
        generator.uniform(0.075, 0.2) * side(shape),
        6.4 * level,
    ),
    family="noise",
    imagenet=(4.75, 7.0, 8.5, 9.25, 10.0),
)
def plasma_noise(image, time, steps, sharpness, scale, intensity):
    """Mixes in coloured waves that bend each other."""
    y, x = places(image.shape) / scale
    frequency = bend = weight = 1.0
    for _ in range(steps):
        down = np.cos(y * frequency + time / bend) / weight
        right = np.sin(x * frequency + time / bend) / weight
        x, y = x + down - 0.3 * right, y + right + 0.3 * down
        frequency, bend = frequency * 1.93, bend * 1.15
        weight *= 2.25 - sharpness
    mixed = np.sin((x + y + np.sin(time)) * 0.5)
    waves = np.stack([np.sin(x - time), mixed, np.sin(y + time)], axis=-1)
    if image.shape[-1] == 1:
        waves = luma(waves)
    return (1 - intensity / 255) * image + intensity * waves


@bar(
    lambda generator, shape, level: (
        generator.uniform(0, shape[:2]),
        generator.uniform(0, 10),
        *generator.uniform(0, side(shape) / 10, 2),
        12.8 * level,
    ),
    family="noise",
    imagenet=(3.0, 5.0, 8.0, 9.0, 10.0),
)
def cocentric_sine_waves(image, centre, frequency, amplitude, width, intensity):
    """Adds rings around a point, whose outline is a wave."""
    down, right = places(image.shape, centre)
    wave = np.sin(np.arctan2(right, down) * frequency) * amplitude
    rings = (np.hypot(down, right) + wave) % width / width - 0.5
    return image + intensity * rings[..., None]


def _one_frequency(generator, shape, level):
    first = generator.uniform(-np.pi, np.pi)
    second = generator.uniform(-abs(first), abs(first))
    both = generator.permutation([first, second])
    return both, generator.uniform(0, 2 * np.pi), 19.6 * level


@bar(_one_frequency, family="noise", imagenet=(1.0, 1.5, 2.0, 4.5, 5.0))
def single_frequency_greyscale(image, frequencies, phase, intensity):
    """Adds one grey wave; the frequencies are those along rows and columns."""
    rows, columns = places(image.shape)
    across, down = frequencies
    wave = np.sin(columns * across + rows * down + phase)
    return image + intensity * wave[..., None]
