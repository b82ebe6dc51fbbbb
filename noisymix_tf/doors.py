"""What the command-line doors share: start-up and the answer to mistakes."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable

from noisymix_tf import log_filter
from noisymix_tf.errors import Preempted, UsageError

# Of a disk or a file system; not the fault of the command line.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


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
