"""Corruptions of the -C benchmarks, made on the fly, seeded per image.

The benchmarks define them for 32 and for 224 pixels. At other sizes lengths in
pixels stay those of the table, with two exceptions: elastic deformations grow
with the shorter side, and the clouds of fog are as large as the smallest power
of two that holds the image.

>>> from noisymix_tf import corruptions
>>> noisy = corruptions.corrupt(images, "gaussian_noise", severity=3, seed=0)
"""

# Importing a file registers its corruptions: the benchmark's order.
from noisymix_tf.corruptions import noise, blur, weather, digital  # noqa: F401, I001
from noisymix_tf.corruptions.core import (
    CORRUPTIONS,
    FAMILIES,
    SEVERITIES,
    TABLES,
    VERSION,
    Corruption,
    corrupt,
    corruption,
    names,
    table_for,
    version,
)
from noisymix_tf.corruptions.perturbations import (
    DIFFICULTIES,
    PERTURBATIONS,
    Perturbation,
    perturb,
    perturbation,
    perturbation_names,
)

__all__ = [
    "CORRUPTIONS",
    "DIFFICULTIES",
    "FAMILIES",
    "PERTURBATIONS",
    "SEVERITIES",
    "TABLES",
    "VERSION",
    "Corruption",
    "Perturbation",
    "corrupt",
    "corruption",
    "names",
    "perturb",
    "perturbation",
    "perturbation_names",
    "table_for",
    "version",
]
