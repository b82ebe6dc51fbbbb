"""The commands, a file each, in the registry `COMMANDS`.

The function of a command takes the command line. What it does stands in the
first line of its file.
"""

import importlib
import pkgutil
import sys

from noisymix_tf.registry import Registry

COMMANDS = Registry("command")


def title(name):
    """What a command does, in a line."""
    module = sys.modules[COMMANDS.get(name).__module__]
    return (module.__doc__ or "").partition("\n")[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
