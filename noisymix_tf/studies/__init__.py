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
"""

import importlib

_LAZY = {
    "AdversarialGap": "adversarial",
    "Regularizers": "expansion",
    "adversarial_gap": "adversarial",
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
    module = importlib.import_module(f"noisymix_tf.studies.{_LAZY[name]}")
    return getattr(module, name)


def __dir__():
    return __all__
