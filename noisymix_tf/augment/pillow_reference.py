"""AugMix with Pillow and NumPy, one image at a time.

Written from the description in Hendrycks et al. (2020), Algorithm 1, for
comparison: the compiled version must give the same pixels for the same draws,
and is timed against this one. It is not slowed down on purpose: Pillow's own
C routines do the work, and whole-pixel translations skip the interpolation,
which would not change them.
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


def parameter(name, level, size):
    """The parameter of an operation at a level, before its sign.

    Args:
        name: Key of `ALL_OPERATIONS`.
        level: 0.1 to 10.
        size: `(width, height)` of the image.

    Returns:
        int or float.
    """
    width, height = size
    if name in ("autocontrast", "equalize"):
        return 0
    if name == "posterize":
        return 4 - int(level * 4 / 10)
    if name == "rotate":
        return int(level * 30 / 10)
    if name == "solarize":
        return 256 - int(level * 256 / 10)
    if name in ("shear_x", "shear_y"):
        return level * 0.3 / 10
    if name == "translate_x":
        return int(level * (width / 3) / 10)
    if name == "translate_y":
        return int(level * (height / 3) / 10)
    return level * 1.8 / 10 + 0.1


def draw_chain(rng, size, *, severity=3.0, depth=-1, all_ops=False):
    """Draws a chain: a list of `(name, parameter)` pairs.

    Args:
        rng: `np.random.Generator`.
        size: `(width, height)` of the image.
        severity: Strongest level.
        depth: Number of operations; -1 draws it from 1 to 3.
        all_ops: Whether to draw from `EXTRA_OPERATIONS` too.

    Returns:
        List of pairs.
    """
    names = list(ALL_OPERATIONS if all_ops else OPERATIONS)
    chain = []
    for _ in range(rng.integers(1, 4) if depth == -1 else depth):
        name = names[rng.integers(len(names))]
        value = parameter(name, rng.uniform(0.1, severity), size)
        if name.startswith(("rotate", "shear", "translate")):
            value *= rng.choice((-1, 1))
        chain.append((name, value))
    return chain


def apply_chain(image, chain):
    """Applies a chain of `(name, parameter)` pairs to a Pillow image."""
    for name, value in chain:
        image = ALL_OPERATIONS[name](image, value)
    return image


def mix(image, chains, weights, m):
    """Mixes an image with the results of chains.

    Args:
        image: uint8 `[H, W, C]`, C of 1 or 3.
        chains: List of W chains.
        weights: Convex weights of the chains, `[W]`.
        m: Share of the chains; the rest is the image.

    Returns:
        float32 `[H, W, C]`, pixels 0 to 255.
    """
    grey = image.shape[-1] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    mixed = np.float32(1 - m) * image.astype(np.float32)
    for chain, weight in zip(chains, weights, strict=True):
        result = np.asarray(apply_chain(picture, chain), np.float32)
        mixed += np.float32(m * weight) * result.reshape(image.shape)
    return mixed


def augmix(image, rng, *, width=3, alpha=1.0, **options):
    """One AugMix view of one image.

    Args:
        image: uint8 `[H, W, C]`, C of 1 or 3.
        rng: `np.random.Generator`.
        width: Number of chains.
        alpha: Concentration of the Dirichlet and Beta weights.
        **options: Those of `draw_chain`.

    Returns:
        float32 `[H, W, C]`, pixels 0 to 255.

    Example:

    >>> image = np.zeros([32, 32, 3], np.uint8)
    >>> augmix(image, np.random.default_rng(0)).shape
    (32, 32, 3)
    """
    size = image.shape[1], image.shape[0]
    weights = rng.dirichlet([alpha] * width)
    m = rng.beta(alpha, alpha)
    chains = [draw_chain(rng, size, **options) for _ in range(width)]
    return mix(image, chains, weights, m)


def augmix_views(image, rng, *, num_views=2, **options):
    """A clean image and its AugMix views, float32 `[1 + V, H, W, C]`."""
    views = [augmix(image, rng, **options) for _ in range(num_views)]
    return np.stack([image.astype(np.float32), *views])
