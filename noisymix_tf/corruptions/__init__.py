"""Corruptions of the -C, C-bar and -P benchmarks, made on the fly.

All that is random is seeded for each image.

The benchmarks define them for 32 and for 224 pixels. At other sizes lengths in
pixels stay those of the table, but elastic deformations grow with the shorter
side, and the clouds of fog are as large as the next power of two.

>>> import numpy as np
>>> images = np.full([1, 32, 32, 3], 128, np.uint8)
>>> corrupt(images, "gaussian_noise", severity=3, seed=0).shape
(1, 32, 32, 3)
"""

# Importing a file registers what it holds: the benchmark's order.
from noisymix_tf.corruptions import noise, blur, weather  # noqa: F401, I001
from noisymix_tf.corruptions import spatter, digital  # noqa: F401
from noisymix_tf.corruptions import geometry, c_bar, c_bar_shapes  # noqa: F401
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
