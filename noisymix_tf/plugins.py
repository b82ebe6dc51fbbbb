"""Parts of a user's own: files that register them, named by `--plugins`."""

import dataclasses
import importlib
import os
import sys

from noisymix_tf.errors import UsageError
from noisymix_tf.options import Options, option


@dataclasses.dataclass(frozen=True)
class PluginOptions(Options):
    """Parts of your own."""

    plugins: tuple[str, ...] = option(
        (),
        "Python files that are imported before anything else, to register "
        "kinds of mixing, views, adversaries, suites, corruptions, networks, "
        "benchmarks or commands.",
    )


def load(words):
    """Imports the files that a command line names.

    Their folders are put on `sys.path`, where worker processes find them too.

    Raises:
        UsageError: A file is not there, or is no Python module.
    """
    for path in _split(words)[0]:
        _load(path)


def without(words):
    """The words of a command line that are not about such files."""
    return _split(words)[1]


def _split(words):
    """The files that are named, and all other words."""
    paths, others, rest = [], [], iter(words)
    for word in rest:
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name == "plugins":
            value = value if equals else next(rest, "")
            paths += filter(None, value.split(","))
        else:
            others.append(word)
    return paths, others


def _load(path):
    place = os.path.abspath(os.path.expanduser(path))
    folder, file = os.path.split(place)
    name, suffix = os.path.splitext(file)
    if not os.path.isfile(place) or suffix != ".py" or not name.isidentifier():
        raise UsageError(
            f"--plugins={path} is no Python file: give NAME.py, which "
            f"registers parts when it is imported."
        )
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(name)
    if os.path.realpath(module.__file__ or "") != os.path.realpath(place):
        raise UsageError(
            f"--plugins={path}: there is another module {name} already "
            f"({module.__file__}); rename the file."
        )
