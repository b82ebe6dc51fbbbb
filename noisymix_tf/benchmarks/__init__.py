"""Measurements of speed, one file for each thing that is measured.

The function of a name takes a configuration, or `{method: configuration}` where
it `compares` several, and rounds; it prints its figures and returns them. Its
facts are `title`, the usual number of `rounds`, the `unit` of one if it is no
step, and whether it `trains`, on steps that are fed as in training.
"""

import importlib
import pkgutil

from noisymix_tf.registry import Registry

BENCHMARKS = Registry("benchmark")


def load():
    """Imports the files, which register what they measure."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
