"""The command line of all commands: start-up, options, and how they end."""

import contextlib
import dataclasses
import errno
import functools
import importlib
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable

from absl import flags

from noisymix_tf import __version__, flagfiles, log_filter, places, progress
from noisymix_tf.checks import radius
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.options import Options, option, text, with_parts
from noisymix_tf.registry import Registry

_QUIET = "--quiet"
# Of a disk or a file system; not the fault of the command line.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


@dataclasses.dataclass(frozen=True)
class PluginOptions(Options):
    """Parts of your own."""

    plugins: tuple[str, ...] = option(
        (),
        "Python files that are imported before anything else, to register "
        "kinds of mixing, views, adversaries, suites, corruptions, networks, "
        "benchmarks or commands.",
    )


def run(main: Callable, argv: list[str] | None = None) -> None:
    """Runs a function of the command line, by default of the process.

    The ways to end, each with one line on the standard error:

    - status 2: a `UsageError`, something that was given cannot be used;
    - status 74: the disk is full or read-only, whether the `OSError` says so
      or a `UsageError` that was raised from it;
    - status 75: SIGTERM, the machine is needed elsewhere. A second SIGTERM
      ends the process at once;
    - status 130: Ctrl-C.
    """
    try:
        with log_filter.kept_out(), _preemptible():
            main(sys.argv if argv is None else argv)
    except (Preempted, KeyboardInterrupt) as error:
        status = getattr(error, "STATUS", 130)
        words = "interrupted" if status == 130 else "preempted"
        left = "; the same command does what is left"
        if str(error):
            left = f": {error}; the same command goes on from there"
        _end(f"{words}{left}", status)
    except UsageError as error:
        _end(f"error: {error}", os.EX_IOERR if _is_of_storage(error) else 2)
    except BrokenPipeError:
        # The reader of our output (`| head`) has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not _is_of_storage(error):
            raise
        place = f" {error.filename}" if error.filename else ""
        _end(
            f"error: cannot write{place} ({error.strerror}): make room, or "
            f"make it writable, and give the same command again.",
            os.EX_IOERR,
        )


def _end(words, status):
    """Ends the process with one line."""
    print(*words.split(), file=sys.stderr)
    sys.exit(status)


def _is_of_storage(error):
    """Whether an error, or what it was raised from, is one of a disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _STORAGE:
            return True
        # Of what comes out of `fit` Keras has taken the cause.
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def _preemptible():
    """Turns the first SIGTERM into `Preempted`, wherever the work is."""

    def end(number, frame):
        signal.signal(number, signal.SIG_DFL)
        raise Preempted("")

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def parse(
    argv: list[str],
    config: type[Options],
    about: str,
    known: type[Options] | None = None,
    rest: str | None = None,
) -> Options:
    """Parses a command line; a mistake is a `UsageError` of one line.

    Flagfiles and `--method=NAME` are read as `flagfiles.expand` says; `--help`
    prints the flags, `--version` the version, and they exit.

    Args:
        argv: With the program's name.
        config: What is returned.
        about: What the help begins with.
        known: All options that are accepted, if more than those of `config`.
        rest: Flag that words without a dash are added to; None for none.
    """
    words = argv[1:]
    load_plugins(words)
    if {"--help", "-h", "--helpfull"} & set(words):
        print(_help(with_parts(known or config), about, "--helpfull" in words))
        sys.exit(0)
    if "--version" in words:
        print(f"noisymix_tf {__version__}")
        sys.exit(0)
    return parse_words(flagfiles.expand(words), config, known, rest)


def parse_words(words, config, known=None, rest=None) -> Options:
    """As `parse`, of a command line that `flagfiles.expand` has made."""
    others = load_plugins(words)
    config, known = with_parts(config), with_parts(known or config)
    values = _flags(known)
    values.set_gnu_getopt(rest is not None)
    words = words if "plugins" in values else others
    if _QUIET in words:
        progress.be_quiet()
        words = [word for word in words if word != _QUIET]
    try:
        left = values(["noisymix", *words])[1:]
    except flags.Error as error:
        message = " ".join(str(error).split())
        # absl's words on what is no number do not say what the number is.
        flag = re.match(
            r"flag --(\w+)=.*: (could not convert|invalid lit)", message
        )
        meaning = f": {values[flag[1]].help}" if flag else ""
        raise UsageError(message + meaning) from error
    if left and rest is None:
        raise UsageError(
            f"Unexpected argument {left[0]!r}: flags have the form "
            f"--name=value (see --help)."
        )
    if left:
        values[rest].value = [*(values[rest].value or ()), *left]
    kinds = config.kinds().items()
    parsed = config(**{n: _value(n, values[n].value, *k) for n, k in kinds})
    places.check_apart(parsed)
    return parsed


def load_plugins(words: list[str]) -> list[str]:
    """Imports the files that a command line names; returns the other words.

    Their folders are put on `sys.path`, where worker processes find them too.
    What is not there, or no Python module, is a `UsageError`.
    """
    others, rest = [], iter(words)
    for word in rest:
        name, value = flagfiles.split(word)
        if name != "plugins":
            others.append(word)
            continue
        value = next(rest, "") if value is None else value
        for path in filter(None, value.split(",")):
            _load(path)
    return others


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


def _help(config, about, full):
    """The flags in their groups: all in full, or of most only the names."""
    parts = [
        f"{(about or '').strip()}\n",
        "--flagfile=FILE: read flags from a file; later flags override.",
        "--quiet: say nothing but warnings, mistakes and what was found.",
    ]
    groups = config.groups()
    first = [f for own in groups.values() for f in own if f.metadata["first"]]
    full = full or not first
    if not full:
        parts += ["", *(_help_on(config, field) for field in first)]
        parts.append("\nAll flags, which --helpfull explains:")
    for group, fields in groups.items():
        title = group.__doc__.partition("\n")[0]
        if full:
            parts += [f"\n{title}", *(_help_on(config, f) for f in fields)]
        else:
            names = " ".join(field.name for field in fields)
            parts.append(_filled(f"{title} {names}"))
    return "\n".join(parts)


def _help_on(config, field):
    of, name, default = field.metadata, field.name, text(field.default)
    known = of["choices"].names() if isinstance(of["choices"], Registry) else ()
    if name == "method":
        known = flagfiles.names("method")
    words = [f"--{name}:", of["help"]]
    if config.kinds()[name][0] is bool:
        words[0], default = f"--[no]{name}:", default.lower()
    if known:
        words.append(f"Known: {', '.join(known)}.")
    if of["range"]:
        words.append(f"Must be {of['range'].words}.")
    if field.default is not None:
        words.append(f"(default: {default})")
    return _filled(" ".join(words))


def _filled(words):
    return textwrap.fill(
        words, 78, initial_indent="  ", subsequent_indent="      "
    )


class _GreyLevels(flags.FloatParser):
    """A number, or a fraction of the range of pixels such as `8/255`."""

    def convert(self, argument):
        if isinstance(argument, str) and "/" in argument:
            return 255 * radius("the fraction", argument)
        return super().convert(argument)


def _flags(config):
    """absl's flags for the options of a command."""
    makers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        tuple: flags.DEFINE_list,
    }
    serializer = flags.ArgumentSerializer()
    in_grey_levels = functools.partial(
        flags.DEFINE, _GreyLevels(), serializer=serializer
    )
    values, kinds = flags.FlagValues(), config.kinds()
    for field in dataclasses.fields(config):
        default, of = field.default, field.metadata
        make = makers[kinds[field.name][0]]
        make = in_grey_levels if of["in_grey_levels"] else make
        default = text(default) if isinstance(default, tuple) else default
        make(field.name, default, of["help"], flag_values=values)
    return values


def _value(name, value, kind, item):
    """The value of a flag, its items converted, `~/` expanded."""
    if kind is str and value is not None:
        return places.at_home(value)
    if kind is not tuple or value is None:
        return value
    item = places.at_home if item is str else item
    try:
        return tuple(item(part) for part in value)
    except ValueError as error:
        raise UsageError(
            f"--{name}={text(value)} must be a list of "
            f"{'whole ' if item is int else ''}numbers."
        ) from error
