"""What the command-line doors share: start-up and the answer to mistakes."""

import contextlib
import errno
import importlib
import os
import signal
import sys
import types

from noisymix_tf.errors import Preempted, UsageError

# Of a disk or a file system; not the fault of the command line.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


def quiet_tensorflow():
    """Silences TensorFlow's start-up notices; call before importing it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def run(main, argv=None):
    """Runs a door.

    The ways to end, each with one line on the standard error:

    - status 2: a `UsageError`, something that was given cannot be used;
    - status 74: the disk is full, or the file system has become read-only;
    - status 75: SIGTERM, the machine is needed elsewhere. What is finished is
      kept, and the same command goes on from there. A second SIGTERM ends the
      process at once;
    - status 130: Ctrl-C.

    Args:
        main: Function of the command line, `main(argv)`.
        argv: Command line; by default that of the process.
    """
    quiet_tensorflow()
    try:
        with _preemptible():
            main(sys.argv if argv is None else argv)
    except Preempted as error:
        print(
            f"preempted: {error}; the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(Preempted.STATUS)
    except UsageError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output (`| head`) has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        place = f" {error.filename}" if error.filename else ""
        print(
            f"error: cannot write{place} ({error.strerror}): make room, or "
            f"make it writable, and give the same command again.",
            file=sys.stderr,
        )
        sys.exit(os.EX_IOERR)
    except KeyboardInterrupt as error:
        words = ["interrupted", *map(str, error.args)]
        print(": ".join(words), file=sys.stderr)
        sys.exit(130)


@contextlib.contextmanager
def _preemptible():
    """Turns the first SIGTERM into `Preempted`, wherever the work is."""

    def end(number, frame):
        signal.signal(number, signal.SIG_DFL)
        raise Preempted("finished work is kept")

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def make_callable(module, target, attribute):
    """Lets an imported door be called as the function of the same name.

    `import noisymix_tf.evaluate` binds the module to the name that was the
    function's; both uses go on working.

    Args:
        module: Name of the door's module.
        target: Module of the function.
        attribute: Name of the function there.
    """

    class Door(types.ModuleType):
        def __call__(self, *arguments, **more):
            function = getattr(importlib.import_module(target), attribute)
            return function(*arguments, **more)

    sys.modules[module].__class__ = Door
