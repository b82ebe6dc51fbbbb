"""Configurations as a command line makes them."""

from noisymix_tf import command_line


def parsed(config, *arguments, known=None, **values):
    """The options of arguments and flags; None leaves a flag out."""
    given = [f"--{k}={v}" for k, v in values.items() if v is not None]
    words = ["command", *map(str, arguments), *given]
    return command_line.parse(words, config, "usage", known)
