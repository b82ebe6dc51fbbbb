"""Laws of initial weights, as PyTorch's networks of each family use them.

Each is a function of `(fan_in, fan_out, seed)` that returns a Keras
initializer: the numbers of inputs and outputs of one unit (for a convolution,
times the pixels of its window), and an integer.
"""

import keras


def uniform(fan_in, fan_out, seed):
    """Uniform within ±1/sqrt(fan_in): PyTorch's default."""
    del fan_out
    bound = fan_in**-0.5
    return keras.initializers.RandomUniform(-bound, bound, seed=seed)


def he_fan_in(fan_in, fan_out, seed):
    """Normal of variance 2/fan_in: He et al. (2015), section 2.2, forward."""
    del fan_out
    return keras.initializers.RandomNormal(
        stddev=(2 / fan_in) ** 0.5, seed=seed
    )


def he_fan_out(fan_in, fan_out, seed):
    """Normal of variance 2/fan_out: He et al. (2015), section 2.2, backward."""
    del fan_in
    return keras.initializers.RandomNormal(
        stddev=(2 / fan_out) ** 0.5, seed=seed
    )


def zeros(fan_in, fan_out, seed):
    """Zeros."""
    del fan_in, fan_out, seed
    return keras.initializers.Zeros()
