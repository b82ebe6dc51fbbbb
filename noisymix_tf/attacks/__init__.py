"""Adversarial attacks in pixel space, on any classifier.

Pixels are 0..255; sizes of attacks are fractions of that range, as the
literature writes them. Those of adversaries to train against are grey levels.
"""

from noisymix_tf.attacks.adversary import (
    ADVERSARIES,
    Adversary,
    FastAdversary,
    PGDAdversary,
)
from noisymix_tf.attacks.autoattack import auto_attack
from noisymix_tf.attacks.methods import fgsm, pgd
from noisymix_tf.attacks.search import BALLS, LOSSES, Ball, Budget, search

# A word that tells adversarial images of this code from those of another.
VERSION = "1"

__all__ = [
    "ADVERSARIES",
    "BALLS",
    "LOSSES",
    "VERSION",
    "Adversary",
    "Ball",
    "Budget",
    "FastAdversary",
    "PGDAdversary",
    "auto_attack",
    "fgsm",
    "pgd",
    "search",
]
