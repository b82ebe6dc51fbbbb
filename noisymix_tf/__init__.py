"""NoisyMix for TensorFlow and Keras: robust image classifiers.

Public names are imported on first use, so that `import noisymix_tf` costs
nothing until then.
"""

import importlib

from noisymix_tf.errors import UsageError
from noisymix_tf.version import __version__

_LAZY = {
    "NoisyMix": ("noisymix_tf.training.trainer", "NoisyMix"),
    "evaluate": ("noisymix_tf.evaluation.runner", "evaluate"),
    "export": ("noisymix_tf.serving.saved_model", "export"),
    "attacks": ("noisymix_tf.attacks", None),
    "augment": ("noisymix_tf.augment", None),
    "callbacks": ("noisymix_tf.callbacks", None),
    "corruption_sets": ("noisymix_tf.sets", None),
    "corruptions": ("noisymix_tf.corruptions", None),
    "cut_points": ("noisymix_tf.training.segments", "cut_points"),
    "data": ("noisymix_tf.data", None),
    "evaluation": ("noisymix_tf.evaluation", None),
    "layers": ("noisymix_tf.layers", None),
    "losses": ("noisymix_tf.training.losses", None),
    "mixing": ("noisymix_tf.mixing", None),
    "model_card": ("noisymix_tf.model_card", None),
    "models": ("noisymix_tf.models", None),
    "optimizers": ("noisymix_tf.training.optimizers", None),
    "sets": ("noisymix_tf.sets", None),
    "save": ("noisymix_tf.model_card", "save"),
    "theory": ("noisymix_tf.studies", None),
}

__all__ = ["UsageError", "__version__", *_LAZY]


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'noisymix_tf' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = importlib.import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
