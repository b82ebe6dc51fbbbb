"""AugMix with Pillow and NumPy, one image at a time.

Written from Hendrycks et al. (2020), Algorithm 1: the compiled version must
give the same pixels for the same draws, and is timed against this one. It is
not slowed down: translations by whole pixels skip the interpolation, too.
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_BILINEAR = Image.Resampling.BILINEAR
_NEAREST = Image.Resampling.NEAREST


def _affine(image, *coefficients, resample=_BILINEAR):
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, resample
    )


def _translate(image, x, y):
    return _affine(image, 1, 0, x, 0, 1, y, resample=_NEAREST)


# Functions of a Pillow image and a parameter.
OPERATIONS = {
    "autocontrast": lambda image, unused: ImageOps.autocontrast(image),
    "equalize": lambda image, unused: ImageOps.equalize(image),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "rotate": lambda image, degrees: image.rotate(degrees, _BILINEAR),
    "solarize": lambda image, limit: ImageOps.solarize(image, int(limit)),
    "shear_x": lambda image, factor: _affine(image, 1, factor, 0, 0, 1, 0),
    "shear_y": lambda image, factor: _affine(image, 1, 0, 0, factor, 1, 0),
    "translate_x": lambda image, pixels: _translate(image, pixels, 0),
    "translate_y": lambda image, pixels: _translate(image, 0, pixels),
}
EXTRA_OPERATIONS = {
    "color": lambda image, f: ImageEnhance.Color(image).enhance(f),
    "contrast": lambda image, f: ImageEnhance.Contrast(image).enhance(f),
    "brightness": lambda image, f: ImageEnhance.Brightness(image).enhance(f),
    "sharpness": lambda image, f: ImageEnhance.Sharpness(image).enhance(f),
}
ALL_OPERATIONS = OPERATIONS | EXTRA_OPERATIONS
# What level 10 adds to or takes from the start, truncated but for shears.
_LEVELS = {"posterize": 4, "rotate": 30, "solarize": 256}


def parameter(name, level, size) -> float:
    """The parameter of an operation at a level of 0.1 to 10, without its sign;
    the size of the image is `(width, height)`.
    """
    if name in EXTRA_OPERATIONS:
        return level * 1.8 / 10 + 0.1
    if name in ("shear_x", "shear_y"):
        return level * 0.3 / 10
    if name in ("translate_x", "translate_y"):
        return int(level * (size[name == "translate_y"] / 3) / 10)
    most = _LEVELS.get(name, 0)
    amount = int(level * most / 10)
    return most - amount if name in ("posterize", "solarize") else amount


def draw_chain(
    rng, size, *, severity=3.0, depth=-1, all_ops=False
) -> list[tuple[str, float]]:
    """Draws a list of `(name, parameter)` for images of `(width, height)`."""
    names = list(ALL_OPERATIONS if all_ops else OPERATIONS)
    chain = []
    for _ in range(rng.integers(1, 4) if depth == -1 else depth):
        name = names[rng.integers(len(names))]
        value = parameter(name, rng.uniform(0.1, severity), size)
        if name.startswith(("rotate", "shear", "translate")):
            value *= rng.choice((-1, 1))
        chain.append((name, value))
    return chain


def mix(image, chains, weights, m) -> np.ndarray:
    """Mixes uint8 `[H, W, C]`, C of 1 or 3, with the results of its chains,
    which have the share `m` and weights that sum to 1: float32, 0 to 255.
    """
    grey = image.shape[-1] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    mixed = np.float32(1 - m) * image.astype(np.float32)
    for chain, weight in zip(chains, weights, strict=True):
        made = picture
        for name, value in chain:
            made = ALL_OPERATIONS[name](made, value)
        result = np.asarray(made, np.float32).reshape(image.shape)
        mixed += np.float32(m * weight) * result
    return mixed


def augmix_views(
    image, rng, *, num_views=3, width=3, alpha=1.0, **options
) -> np.ndarray:
    """A clean image and its AugMix views, float32 `[V, H, W, C]`.

    >>> image = np.zeros([32, 32, 3], np.uint8)
    >>> augmix_views(image, np.random.default_rng(0)).shape
    (3, 32, 32, 3)
    """
    views = [image.astype(np.float32)]
    for _ in range(num_views - 1):
        weights, m = rng.dirichlet([alpha] * width), rng.beta(alpha, alpha)
        size = image.shape[1], image.shape[0]
        chains = [draw_chain(rng, size, **options) for _ in range(width)]
        views.append(mix(image, chains, weights, m))
    return np.stack(views)
