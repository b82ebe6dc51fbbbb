"""The commands, a file each, in the registry `COMMANDS`.

What is registered takes the command line. What a command does stands in the
first line of its file, and how it is called below; `--help` begins with both.
"""

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable

from noisymix_tf import command_line
from noisymix_tf.registry import Registry

COMMANDS = Registry("command")


def command(name: str, options: type, **parsing) -> Callable:
    """Registers a function of a command's `Options`, and returns it.

    `parsing` are further arguments of `command_line.parse`.
    """

    def add(function):
        about = sys.modules[function.__module__].__doc__

        @COMMANDS.register(name)
        @functools.wraps(function)
        def main(argv):
            function(command_line.parse(argv, options, about, **parsing))

        return function

    return add


def title(name: str) -> str:
    """What a command does, in a line."""
    module = sys.modules[COMMANDS.get(name).__module__]
    return (module.__doc__ or "").partition("\n")[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
