"""What NoisyMix's loss is to second order, for small models, checkable.

Mixing a little and adding a little noise is, to second order, the standard loss
and regularisers of the network's first and second derivatives. `regularizers`
computes them by automatic differentiation, `noisymix_loss` the loss itself
without any sampling, so that the two can be compared; the other functions do
the same for the divergence, for mixed labels, and for the loss under attack.

Compute in float64 (`in_float64(model)` makes a copy): in float32 the
differences drown in rounding.

Names are imported on first use, so that `python -m noisymix_tf.theory` can
quiet TensorFlow before it starts.
"""

import importlib

_LAZY = {
    "AdversarialGap": "adversarial",
    "Regularizers": "terms",
    "adversarial_gap": "adversarial",
    "coefficients": "terms",
    "in_float64": "precision",
    "mixup_losses": "mixup",
    "noisymix_loss": "losses",
    "regularizers": "terms",
    "stability": "divergence",
}

__all__ = sorted(_LAZY)


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(
            f"module 'noisymix_tf.theory' has no attribute {name!r}"
        )
    module = importlib.import_module(f"{__name__}.{_LAZY[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
