"""What the paper argues, checkable: a toy figure, and the loss by theory.

Mixing a little and adding a little noise is, to second order, the standard loss
and regularisers of the network's first and second derivatives. `regularizers`
computes them by automatic differentiation, `noisymix_loss` the loss itself
without any sampling, so that the two can be compared; the other functions do
the same for the divergence, for mixed labels, and for the loss under attack.

Most functions take

    model: Keras classifier, wrapped in `nm.NoisyMix` or not. In float32 the
        differences drown in rounding: `in_float64(model)` makes a copy.
    x: Examples `[N, ...]`, as the model takes.
    y: Class numbers `[N]`, or rows `[N, K]` of sum 1.
    tap: Where mixing and noise happen, as in `nm.NoisyMix`; one name.
    from_logits: Whether the model gives logits; by default its last layer
        tells.

and raise `UsageError` where one of them cannot be used, or where a number is
outside its range.

>>> import keras
>>> from noisymix_tf import theory
>>> x, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 2.0]], [0, 1, 1]
>>> layers = [keras.Input([2]), keras.layers.Dense(2, "softplus")]
>>> model = theory.in_float64(keras.Sequential(layers))
>>> near = theory.regularizers(model, x, y).expansion(eps=0.001)
>>> abs(theory.noisymix_loss(model, x, y, eps=0.001) - near) < 1e-6
True
>>> mixed, own = theory.mixup_losses(model, x, y, nodes=16)
>>> abs(mixed - own) < 1e-6
True
"""

import pkgutil

_LAZY = {
    "AdversarialGap": "losses",
    "Regularizers": "expansion",
    "adversarial_gap": "losses",
    "coefficients": "expansion",
    "in_float64": "tail",
    "mixup_losses": "losses",
    "noisymix_loss": "losses",
    "regularizers": "expansion",
    "stability": "expansion",
}

__all__ = sorted(_LAZY)


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name(f"{__name__}.{_LAZY[name]}:{name}")


def __dir__():
    return __all__
