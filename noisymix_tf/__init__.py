"""NoisyMix for TensorFlow and Keras: robust image classifiers.

Public names are imported on first use, so that `import noisymix_tf` costs
nothing until then.
"""

import pkgutil

from noisymix_tf.errors import UsageError

__version__ = "0.2.0"

_ROOMS = (
    "attacks augment callbacks corruptions data evaluation layers mixing "
    "model_card models sets"
).split()
_LAZY = {
    **{room: room for room in _ROOMS},
    "NoisyMix": "training.trainer:NoisyMix",
    "corruption_sets": "sets",
    "cut_points": "training.segments:cut_points",
    "evaluate": "evaluation.runner:evaluate",
    "export": "serving.saved_model:export",
    "losses": "training.losses",
    "optimizers": "training.optimizers",
    "save": "model_card:save",
    "theory": "studies",
}

__all__ = ["UsageError", "__version__", *_LAZY]


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'noisymix_tf' has no attribute {name!r}")
    value = pkgutil.resolve_name(f"noisymix_tf.{_LAZY[name]}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
