"""Configurations as a command line makes them."""

from absl import flags

from noisymix_tf import command_line


def parsed(config, *arguments, **values):
    """The configuration of arguments and flags; None leaves a flag out."""
    given = [f"--{k}={v}" for k, v in values.items() if v is not None]
    found = flags.FlagValues()
    command_line.define_flags(found, config=config)
    words = ["door", *map(str, arguments), *given]
    return command_line.parse(words, found, config)
