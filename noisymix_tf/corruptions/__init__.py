"""Corruptions of the -C and -P benchmarks, made on the fly, seeded per image.

The benchmarks define them for 32 and for 224 pixels. At other sizes lengths in
pixels stay those of the table, but elastic deformations grow with the shorter
side, and the clouds of fog are as large as the next power of two.

>>> from noisymix_tf import corruptions
>>> noisy = corruptions.corrupt(images, "gaussian_noise", severity=3, seed=0)
"""

# Importing a file registers what it holds: the benchmark's order.
from noisymix_tf.corruptions import (  # noqa: F401, I001
    noise,
    defocus,
    glass,
    motion,
    blur,
    snow,
    spatter,
    weather,
    light,
    digital,
    geometry,
)
from noisymix_tf.corruptions.core import (
    CORRUPTIONS,
    DIFFICULTIES,
    FAMILIES,
    PERTURBATIONS,
    SEVERITIES,
    TABLES,
    VERSION,
    Corruption,
    Perturbation,
    names,
    perturbation_names,
    table_for,
)
from noisymix_tf.corruptions.generate import corrupt, perturb, version

corruption = CORRUPTIONS.register
perturbation = PERTURBATIONS.register

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
