"""From a command line to the options of a command."""

import dataclasses
import re
import sys
import textwrap

from absl import flags

from noisymix_tf import flagfiles, places, plugins
from noisymix_tf.checks import radius
from noisymix_tf.errors import UsageError
from noisymix_tf.options import text, with_parts
from noisymix_tf.registry import Registry
from noisymix_tf.version import __version__


def parse(argv, config, usage, known=None, rest=None):
    """Parses a command line; a mistake is a `UsageError` of one line.

    Flagfiles and `--method=NAME` are read as `flagfiles.expand` says; `--help`
    prints the flags, `--version` the version, and they exit.

    Args:
        argv: The command line, with the program's name.
        config: Class of the command's `Options`.
        usage: First line of the help.
        known: Class of all options that are accepted, if more than `config`.
        rest: Flag that words without a dash are added to; None for none.

    Returns:
        A `config`.
    """
    words = argv[1:]
    plugins.load(words)
    if {"--help", "-h", "--helpfull"} & set(words):
        every, full = with_parts(known or config), "--helpfull" in words
        print(helptext(every, usage, full))
        sys.exit(0)
    if "--version" in words:
        print(f"noisymix_tf {__version__}")
        sys.exit(0)
    return parse_words(flagfiles.expand(words), config, known, rest)


def parse_words(words, config, known=None, rest=None):
    """As `parse`, of a command line that `flagfiles.expand` has made."""
    plugins.load(words)
    config, known = with_parts(config), with_parts(known or config)
    if "plugins" not in known.kinds():
        words = plugins.without(words)
    values = _flags(known)
    values.set_gnu_getopt(rest is not None)
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
    given = {n: _value(n, values[n].value, *kind) for n, kind in kinds}
    parsed = config(**given)
    places.check_apart(parsed)
    return parsed


def helptext(config, usage, full=True):
    """Usage and flags, grouped: all of them in full, or those that are first.

    Of the others only the names are told then.
    """
    parts = [
        f"usage: {usage}",
        "--flagfile=FILE: read flags from a file; later flags override.",
    ]
    groups = config.groups()
    first = [f for own in groups.values() for f in own if f.metadata["first"]]
    full = full or not first
    if not full:
        parts += ["", *(_help(config, field) for field in first)]
        parts.append("\nAll flags, which --helpfull explains:")
    for group, fields in groups.items():
        title = group.__doc__.partition("\n")[0]
        if full:
            parts += [f"\n{title}", *(_help(config, f) for f in fields)]
        else:
            names = " ".join(field.name for field in fields)
            parts.append(_filled(f"{title} {names}"))
    return "\n".join(parts)


def _help(config, field):
    of, name = field.metadata, field.name
    is_switch = config.kinds()[name][0] is bool
    words = [f"--[no]{name}:" if is_switch else f"--{name}:"]
    words.append(of["help"])
    if name == "method":
        words.append(f"Known: {', '.join(flagfiles.names('method'))}.")
    if isinstance(of["choices"], Registry):
        words.append(f"Known: {', '.join(of['choices'].names())}.")
    if of["range"]:
        words.append(f"Must be {of['range'].words}.")
    if field.default is not None:
        default = text(field.default)
        words.append(f"(default: {default.lower() if is_switch else default})")
    return _filled(" ".join(words))


def _filled(words):
    return textwrap.fill(
        words, 78, initial_indent="  ", subsequent_indent="      "
    )


def _flags(config):
    """absl's flags for the options of a command."""
    makers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        tuple: flags.DEFINE_list,
    }
    values, kinds = flags.FlagValues(), config.kinds()
    for field in dataclasses.fields(config):
        name, default, of = field.name, field.default, field.metadata
        if isinstance(default, tuple):
            default = text(default)
        given = name, default, of["help"], values
        if of["in_grey_levels"]:
            flags.DEFINE(_GreyLevels(), *given, flags.ArgumentSerializer())
        else:
            makers[kinds[name][0]](
                name, default, of["help"], flag_values=values
            )
    return values


class _GreyLevels(flags.FloatParser):
    """A number, or a fraction of the range of pixels such as `8/255`."""

    def convert(self, argument):
        if isinstance(argument, str) and "/" in argument:
            return 255 * radius("the fraction", argument)
        return super().convert(argument)


def _value(name, value, kind, item):
    """The value of a flag, its items converted."""
    if kind is not tuple or value is None:
        return value
    try:
        return tuple(item(part) for part in value)
    except ValueError as error:
        raise UsageError(
            f"--{name}={text(value)} must be a list of "
            f"{'whole ' if item is int else ''}numbers."
        ) from error
