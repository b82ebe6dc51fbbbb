"""Perturbation sequences of the -P benchmarks, seeded per image."""

# Importing a file registers its perturbations: the benchmark's order.
from noisymix_tf.corruptions.perturbations import (  # noqa: F401, I001
    noise,
    blur,
    weather,
    geometry,
)
from noisymix_tf.corruptions.perturbations.sequence import (
    DIFFICULTIES,
    PERTURBATIONS,
    Perturbation,
    perturb,
    perturbation,
    perturbation_names,
)

__all__ = [
    "DIFFICULTIES",
    "PERTURBATIONS",
    "Perturbation",
    "perturb",
    "perturbation",
    "perturbation_names",
]
