"""Perturbations of the code that an autoencoder makes of an image.

Each is a function `(code, generator, strength) -> code`: NumPy float32
`[B, h, w, C]` in [-1, 1], a `numpy.random.Generator`, and a float in [0, 1]. At
strength 0 the code is what it was. Shares and amounts at 1 are like those that
the published code of DeepAugment (arXiv:2006.16241) applies to its compressive
autoencoder.
"""

import numpy as np


def zero(code, generator, strength):
    """Sets the code to zero at a fifth of all places."""
    kept = generator.uniform(size=code.shape[1:3]) >= 0.2 * strength
    return code * kept[..., None]


def negate(code, generator, strength):
    """Changes the sign at a tenth of all places."""
    negated = generator.uniform(size=code.shape[1:3]) < 0.1 * strength
    return np.where(negated[..., None], -code, code)


def swap(code, generator, strength):
    """Puts a third of the channels into another order among themselves."""
    chosen = _channels(code, 1 / 3, generator, strength)
    swapped = code.copy()
    swapped[..., chosen] = code[..., generator.permutation(chosen)]
    return swapped


def flip(code, generator, strength):
    """Mirrors a sixth of the channels, up and down or left and right."""
    chosen = _channels(code, 1 / 6, generator, strength)
    flipped = code.copy()
    flipped[..., chosen] = np.flip(
        code[..., chosen], axis=int(generator.integers(1, 3))
    )
    return flipped


def shift(code, generator, strength):
    """Moves a half of the channels by one place, each in its own direction."""
    shifted = code.copy()
    for channel in _channels(code, 1 / 2, generator, strength):
        step = generator.integers(-1, 2, 2)
        shifted[..., channel] = np.roll(code[..., channel], step, (1, 2))
    return shifted


def mix(code, generator, strength):
    """Adds to each channel up to a tenth of each other one."""
    channels = code.shape[-1]
    matrix = generator.uniform(-0.1, 0.1, (channels, channels)) * strength
    return code + code @ matrix


def scale(code, generator, strength):
    """Multiplies every number by one of its own, 1 plus up to twice u.

    The amount u, uniform in [0, 1], is drawn once.
    """
    amount = 2 * strength * generator.uniform()
    return code * (1 + amount * generator.uniform(-1, 1, code.shape))


PERTURBATIONS = (zero, negate, swap, flip, shift, mix, scale)


def _channels(code, share, generator, strength):
    """Numbers of channels, each there with probability `share * strength`."""
    drawn = generator.uniform(size=code.shape[-1]) < share * strength
    return np.flatnonzero(drawn)
