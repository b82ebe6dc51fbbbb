"""Endings that are no defect of ours: a user's mistake, a machine's end."""

import re


class UsageError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the value, what was expected, and what
    to do. Commands print it and exit with status 2.
    """

    # TensorFlow and Keras wrap errors that come out of a traced function or a
    # layer's call in pages of their own, unless they bear these marks.
    ag_pass_through = True
    _keras_call_info_injected = True


class Preempted(SystemExit):
    """The process was told to end (SIGTERM), and nothing finished is lost.

    The same command goes on where this one stopped. Uncaught, it ends the
    process with status 75. The message is one line on what was kept.
    """

    # EX_TEMPFAIL of sysexits.h: try again later. Not 143, which is also the
    # status of a process that SIGTERM ended before it had saved anything.
    STATUS = 75

    def __init__(self, message: str):
        super().__init__(self.STATUS)
        self.message = message

    def __str__(self):
        return self.message


def one_line(error) -> str:
    """The first line of an exception's message, without op names."""
    message = getattr(error, "message", None) or str(error)
    lines = message.strip().splitlines() or [type(error).__name__]
    line = re.sub(r"\{\{.*?\}\}+|\[Op:.*", "", lines[0])
    return line.strip().rstrip(".")
