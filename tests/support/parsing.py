"""Configurations as a command line makes them."""

from absl import flags

from noisymix_tf import command_line


def parsed(config, *arguments, defined=None, **values):
    """The configuration of arguments and flags; None leaves a flag out."""
    given = [f"--{k}={v}" for k, v in values.items() if v is not None]
    found = flags.FlagValues()
    for group in defined or (config,):
        command_line.define_flags(found, config=group)
    words = ["door", *map(str, arguments), *given]
    return command_line.parse(words, found, config)
