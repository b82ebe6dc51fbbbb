"""Mixing of examples, and noise in the mixed features.

Each kind of mixing is a `Mixing` (`kind.py`), with options of its own, in the
registry `MIXINGS`: those of the files that are imported here.
"""

from noisymix_tf.mixing.batches import with_plan
from noisymix_tf.mixing.cutmix import CutMix
from noisymix_tf.mixing.kind import (
    MIXINGS,
    InputMixing,
    ManifoldMixing,
    Mixing,
    MixPlan,
    NoMixing,
    resolve,
)
from noisymix_tf.mixing.noise import feature_noise
from noisymix_tf.mixing.puzzlemix import PuzzleMix

__all__ = [
    "MIXINGS",
    "CutMix",
    "InputMixing",
    "ManifoldMixing",
    "MixPlan",
    "Mixing",
    "NoMixing",
    "PuzzleMix",
    "feature_noise",
    "resolve",
    "with_plan",
]
