"""Mixing of examples, and noise in the mixed features.

Each kind of mixing is a `Mixing` (`kind.py`), with options of its own. The
registry has the kinds by the name that a flag or an argument gives.
"""

from noisymix_tf.mixing.batches import with_plan
from noisymix_tf.mixing.cutmix import CutMix
from noisymix_tf.mixing.kind import Mixing, MixPlan
from noisymix_tf.mixing.kinds import MIXINGS, deserialize, resolve, serialize
from noisymix_tf.mixing.manifold import InputMixing, ManifoldMixing, NoMixing
from noisymix_tf.mixing.noise import feature_noise
from noisymix_tf.mixing.puzzlemix import PuzzleMix

MIXINGS.register("none")(NoMixing)
MIXINGS.register("input")(InputMixing)
MIXINGS.register("manifold")(ManifoldMixing)
MIXINGS.register("cutmix")(CutMix)
MIXINGS.register("puzzlemix")(PuzzleMix)

__all__ = [
    "MIXINGS",
    "CutMix",
    "InputMixing",
    "ManifoldMixing",
    "MixPlan",
    "Mixing",
    "NoMixing",
    "PuzzleMix",
    "deserialize",
    "feature_noise",
    "resolve",
    "serialize",
    "with_plan",
]
