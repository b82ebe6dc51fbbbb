"""Perturbations of the weights of one convolution.

Each is a function `(kernel, generator, strength) -> kernel`: NumPy float32
`[h, w, in, out]`, a `numpy.random.Generator`, and a float in [0, 1]. At
strength 0 the kernel is what it was; shares and amounts grow linearly. They are
like those that the published code of DeepAugment (arXiv:2006.16241) applies to
the residual blocks of EDSR.
"""

import numpy as np


def zero(kernel, generator, strength):
    """Sets half of the weights to zero."""
    return np.where(_chosen(kernel.shape, 0.5, generator, strength), 0, kernel)


def negate(kernel, generator, strength):
    """Changes the sign of half of the weights."""
    chosen = _chosen(kernel.shape, 0.5, generator, strength)
    return np.where(chosen, -kernel, kernel)


def negate_filters(kernel, generator, strength):
    """Changes the sign of two filters of five."""
    chosen = _chosen(kernel.shape[-1:], 0.4, generator, strength)
    return np.where(chosen, -kernel, kernel)


def scale(kernel, generator, strength):
    """Multiplies each weight by a number of its own, 1 plus up to twice u.

    The amount u, uniform in [0, 1], is drawn once for the kernel.
    """
    amount = 2 * strength * generator.uniform()
    return kernel * (1 + amount * generator.uniform(-1, 1, kernel.shape))


def transpose(kernel, generator, strength):
    """Exchanges rows and columns of half of the filters."""
    chosen = _chosen(kernel.shape[-1:], 0.5, generator, strength)
    return np.where(chosen, kernel.transpose(1, 0, 2, 3), kernel)


def swap(kernel, generator, strength):
    """Puts half of the filters into another order among themselves."""
    chosen = np.flatnonzero(
        _chosen(kernel.shape[-1:], 0.5, generator, strength)
    )
    swapped = kernel.copy()
    swapped[..., chosen] = kernel[..., generator.permutation(chosen)]
    return swapped


PERTURBATIONS = (zero, negate, negate_filters, scale, transpose, swap)


def _chosen(shape, share, generator, strength):
    """Bools, each true with probability `share * strength`."""
    return generator.uniform(size=shape) < share * strength
