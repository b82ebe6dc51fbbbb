"""What a command line asks for, and how bad input is refused."""

import pytest

from noisymix_tf import command_line
from noisymix_tf.errors import UsageError


def parsed(config, *arguments, known=None, **values):
    """The options of arguments and flags; None leaves a flag out."""
    given = [f"--{k}={v}" for k, v in values.items() if v is not None]
    words = ["command", *map(str, arguments), *given]
    return command_line.parse(words, config, "usage", known)


def assert_usage_error(call, *words, **given):
    """`call(**given)` raises `UsageError`: a line, returned, with all words."""
    with pytest.raises(UsageError) as caught:
        call(**given)
    line = str(caught.value)
    assert "\n" not in line, line
    missing = [word for word in map(str, words) if word not in line]
    assert not missing, f"{missing} not in: {line}"
    return line
