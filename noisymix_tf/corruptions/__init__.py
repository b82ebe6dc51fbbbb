"""Corruptions of the -C benchmarks, made on the fly, seeded per image.

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
)

__all__ = [
    "CORRUPTIONS",
    "FAMILIES",
    "SEVERITIES",
    "TABLES",
    "VERSION",
    "Corruption",
    "corrupt",
    "corruption",
    "names",
    "table_for",
]
