"""From the command line to a configuration.

`define_flags` is called by a door's main, never at import.
"""

import dataclasses
import re
import sys
import textwrap

from absl import flags

from noisymix_tf import flagfiles, places
from noisymix_tf.checks import radius
from noisymix_tf.config import Config, MethodConfig, by_name, groups, text
from noisymix_tf.errors import UsageError
from noisymix_tf.version import __version__

_USAGE = """\
python -m noisymix_tf.train --flagfile=FILE [--flag=value ...]

Handwritten digits in a few minutes, and photographs of your own, in PHOTOS,
which has a folder for each class:
  python -m noisymix_tf.train --flagfile=quickstart
  python -m noisymix_tf.train --method=noisymix_short --dataset=folder \\
      --data_dir=PHOTOS --image_size=64 --width=0.25 --batch_size=32 \\
      --epochs=30 --output_dir=runs/photos
"""


def define_flags(
    flag_values=flags.FLAGS, module_name="noisymix_tf.config", config=Config
):
    """Defines one flag for every field; call it once, from a main module.

    Args:
        flag_values: Holder of the flags.
        module_name: The module that absl shows for them.
        config: Class of the configuration.
    """
    makers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        tuple: flags.DEFINE_list,
    }
    for group in groups(config).values():
        for field in dataclasses.fields(group):
            choices = field.metadata["choices"]
            shared = {"flag_values": flag_values, "module_name": module_name}
            if field.metadata["in_grey_levels"]:
                flags.DEFINE(
                    _GreyLevels(),
                    field.name,
                    field.default,
                    field.metadata["help"],
                    serializer=flags.ArgumentSerializer(),
                    **shared,
                )
            elif choices:
                flags.DEFINE_enum(
                    field.name,
                    field.default,
                    choices,
                    field.metadata["help"],
                    **shared,
                )
            else:
                default = field.default
                if isinstance(default, tuple):
                    default = text(default)
                makers[field.metadata["kind"]](
                    field.name, default, field.metadata["help"], **shared
                )


class _GreyLevels(flags.FloatParser):
    """A number, or a fraction of the range of pixels such as `8/255`."""

    def convert(self, argument):
        if isinstance(argument, str) and "/" in argument:
            return 255 * radius("the fraction", argument)
        return super().convert(argument)


def parse(
    argv, flag_values=flags.FLAGS, config=Config, usage=_USAGE, rest=None
):
    """Parses a command line; a mistake is a `UsageError` of one line.

    Flagfiles and `--method=NAME` are read as `flagfiles.expand` says; `--help`
    prints every flag, `--version` the version, and they exit.

    Args:
        argv: The command line, with the program's name.
        flag_values: Holder of the flags, after `define_flags`.
        config: Class of the configuration.
        usage: First line of the help.
        rest: Flag that words without a dash are added to; None for none.

    Returns:
        A `config`.
    """
    arguments = argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(helptext(flag_values, config, usage))
        sys.exit(0)
    if "--version" in arguments:
        print(f"noisymix_tf {__version__}")
        sys.exit(0)
    return parse_expanded(
        [argv[0], *flagfiles.expand(arguments)], flag_values, config, rest
    )


def parse_expanded(argv, flag_values=flags.FLAGS, config=Config, rest=None):
    """As `parse`, of a command line that `flagfiles.expand` has made."""
    flag_values.set_gnu_getopt(rest is not None)
    try:
        words = flag_values(argv)[1:]
    except flags.Error as error:
        message = " ".join(str(error).split())
        raise UsageError(message + _meaning(message, flag_values)) from error
    if words and rest is None:
        raise UsageError(
            f"Unexpected argument {words[0]!r}: flags have the form "
            f"--name=value (see --help)."
        )
    if words:
        flag_values[rest].value = [*flag_values[rest].value, *words]
    parsed = _config(flag_values, config)
    places.check_apart(by_name(parsed))
    return parsed


def _meaning(message, flag_values):
    """For absl's error on a word that is no number: what the number is."""
    flag = re.match(
        r"flag --(\w+)=.*: (could not convert|invalid lit)", message
    )
    return f": {flag_values[flag[1]].help}" if flag else ""


def helptext(flag_values=flags.FLAGS, config=Config, usage=_USAGE):
    """Usage and every flag with its help, grouped."""
    parts = [
        f"usage: {usage}",
        "--flagfile=FILE: read flags from a file; later flags override.",
    ]
    for group in groups(config).values():
        parts.append(f"\n{group.__doc__}")
        for field in dataclasses.fields(group):
            flag = flag_values[field.name]
            name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
            words = [field.metadata["help"]]
            if group is MethodConfig and field.name == "method":
                words.append(f"Known: {', '.join(flagfiles.names('method'))}.")
            if field.metadata["range"]:
                words.append(f"Must be {field.metadata['range'].words}.")
            default = flag.default_as_str
            if default is not None:
                words.append(f"(default: {default.strip(chr(39))})")
            parts.append(
                textwrap.fill(
                    " ".join(words),
                    78,
                    initial_indent=f"  {name}: ",
                    subsequent_indent="      ",
                )
            )
    return "\n".join(parts)


def _config(values, config):
    """Builds the configuration from parsed flags."""
    return config(
        **{
            name: group(
                **{f.name: _value(f, values) for f in dataclasses.fields(group)}
            )
            for name, group in groups(config).items()
        }
    )


def _value(field, values):
    """The parsed value of a field's flag, its items converted."""
    value = values[field.name].value
    if field.metadata["kind"] is not tuple:
        return value
    item = field.metadata["item"]
    try:
        return tuple(item(part) for part in value)
    except ValueError as error:
        raise UsageError(
            f"--{field.name}={text(value)} must be a list of "
            f"{'whole ' if item is int else ''}numbers."
        ) from error
