"""Perturbations of a convolution's weights and of an autoencoder's code.

Each is a function `(array, generator, strength) -> array`: NumPy float32, a
kernel `[h, w, in, out]` or a code `[B, h, w, C]` in [-1, 1]. At strength 0 it
is what it was; shares and amounts grow linearly. Those at 1 are like those of
the published code of DeepAugment (arXiv:2006.16241), for the residual blocks of
EDSR and the code of a compressive autoencoder.
"""

import numpy as np

_ALL, _PLACES, _LAST = np.s_[:], np.s_[1:3], np.s_[-1:]


def _some(share, axes, change):
    """A perturbation: `change(array, generator)` at a share, drawn by axes."""

    def perturb(array, generator, strength):
        chosen = generator.uniform(size=array.shape[axes]) < share * strength
        if axes == _PLACES:
            chosen = chosen[..., None]
        return np.where(chosen, change(array, generator), array)

    return perturb


def _swap(share):
    """A perturbation: a share of filters or channels in another order."""

    def perturb(array, generator, strength):
        drawn = generator.uniform(size=array.shape[-1]) < share * strength
        chosen, swapped = np.flatnonzero(drawn), array.copy()
        swapped[..., chosen] = array[..., generator.permutation(chosen)]
        return swapped

    return perturb


def scale(array, generator, strength):
    """Multiplies each by its own 1 plus up to twice u, drawn once in [0, 1]."""
    amount = 2 * strength * generator.uniform()
    return array * (1 + amount * generator.uniform(-1, 1, array.shape))


def shift(code, generator, strength):
    """Moves a half of the channels by one place, each in its own direction."""
    chosen = generator.uniform(size=code.shape[-1]) < 0.5 * strength
    shifted = code.copy()
    for channel in np.flatnonzero(chosen):
        step = generator.integers(-1, 2, 2)
        shifted[..., channel] = np.roll(code[..., channel], step, (1, 2))
    return shifted


def mix(code, generator, strength):
    """Adds to each channel up to a tenth of each other one."""
    shape = code.shape[-1], code.shape[-1]
    return code + code @ (generator.uniform(-0.1, 0.1, shape) * strength)


def _zero(array, generator):
    return np.zeros_like(array)


def _negate(array, generator):
    return -array


# By name, in the order in which draws number them.
OF_WEIGHTS = {
    "zero": _some(0.5, _ALL, _zero),
    "negate": _some(0.5, _ALL, _negate),
    "negate_filters": _some(0.4, _LAST, _negate),
    "scale": scale,
    "transpose": _some(0.5, _LAST, lambda x, _: x.transpose(1, 0, 2, 3)),
    "swap": _swap(0.5),
}
# Up and down, or left and right: all channels alike.
_flip = _some(1 / 6, _LAST, lambda x, g: np.flip(x, int(g.integers(1, 3))))
OF_CODES = {
    "zero": _some(0.2, _PLACES, _zero),
    "negate": _some(0.1, _PLACES, _negate),
    "swap": _swap(1 / 3),
    "flip": _flip,
    "shift": shift,
    "mix": mix,
    "scale": scale,
}
