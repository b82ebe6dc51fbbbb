"""What tests of augmentation share, and laws that drawn numbers must have."""

import re

import numpy as np
from PIL import Image, ImageOps
from scipy import stats

from noisymix_tf.augment import fixed
from noisymix_tf.benchmarks import pillow_augmix

# The chance that a normal number is 4 sigma away.
P_VALUE = 6e-5
# The second, fourth and eighth moments.
MOMENTS = {"normal": (1, 3, 105), "uniform": (1 / 3, 1 / 5, 1 / 9)}


def _nearest(place):
    def apply(image, factor):
        coefficients = [1, 0, 0, 0, 1, 0]
        coefficients[place] = factor
        return image.transform(image.size, Image.Transform.AFFINE, coefficients)

    return apply


# Of policies alone, or with the nearest pixel, as policies have them.
NEAREST = {
    "rotate": lambda image, degrees: image.rotate(degrees),
    "shear_x": _nearest(1),
    "shear_y": _nearest(3),
    "invert": lambda image, unused: ImageOps.invert(image),
    "identity": lambda image, unused: image,
}
POLICY_OPERATIONS = pillow_augmix.ALL_OPERATIONS | NEAREST


def with_pillow(operation, image, parameter):
    """An operation of Pillow images on uint8 `[H, W, C]`."""
    grey = image.shape[-1] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    return np.asarray(operation(picture, parameter)).reshape(image.shape)


def sample_images(count, shape, seed):
    """Smooth, noisy, flat, two-valued and low-contrast images by turns."""
    generator = np.random.default_rng(seed)
    height, width, channels = shape
    y, x, _ = np.mgrid[:height, :width, :1]
    images = []
    for index in range(count):
        noise = generator.uniform(size=shape)
        phase = generator.uniform(0, 6, size=channels)
        wave = 0.5 + 0.5 * np.sin(x / 3 + y / 5 + phase)
        kinds = [
            255 * (0.8 * wave + 0.2 * noise),
            256 * noise,
            np.full(shape, generator.integers(256)),
            255 * (noise > 0.5),
            100 + 10 * noise,
            300 * wave,
        ]
        images.append(np.clip(kinds[index % 6], 0, 255).astype(np.uint8))
    return np.stack(images)


def split_key(key):
    """Name and parameter of a golden array such as `rotate__deg-5`."""
    name, parameter = key.split("__")
    number = re.search(r"[-+]?[0-9.]+$", parameter)
    return name, float(number.group()) if number else 0.0


def real(operation, parameter, operations):
    """Fixed-point parameters of operations as Pillow takes them."""
    units = np.array([each.unit for each in operations])
    return parameter / fixed.ONE / units[operation]


def assert_law(values, law):
    """Counts of whole numbers, 4 sigma each, and chi-square over them."""
    count = len(values)
    expected = np.array([law[key] for key in law]) * count
    found = np.array([np.sum(values == float(key)) for key in law])
    assert found.sum() == count, "a value that the law does not have"
    sigma = np.sqrt(expected * (1 - expected / count))
    assert np.all(np.abs(found - expected) <= 4 * sigma + 1e-9)
    if len(law) > 1:
        assert stats.chisquare(found, expected).pvalue > P_VALUE


def assert_moments(law, values):
    """Of N(0, 1), or uniform in [-1, 1]: three moments, within 5 sigma."""
    values = np.asarray(values, "float64")
    assert law != "uniform" or abs(values).max() <= 1
    second, fourth, eighth = MOMENTS[law]
    laws = (1, 0, second), (2, second, fourth), (4, fourth, eighth)
    for power, mean, square in laws:
        sigma = np.sqrt((square - mean**2) / values.size)
        assert abs((values**power).mean() - mean) < 5 * sigma


def assert_even_signs(values):
    assert abs(np.mean(values < 0) - 0.5) < 4 * (0.5 / np.sqrt(len(values)))


def assert_uncorrelated(*rows, sigmas=4):
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(correlations).max() < sigmas / np.sqrt(len(rows[0]))
