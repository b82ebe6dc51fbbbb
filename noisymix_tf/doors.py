"""What the command-line doors share: start-up and the answer to mistakes."""

import importlib
import os
import sys
import types

from noisymix_tf.errors import UsageError


def quiet_tensorflow():
    """Silences TensorFlow's start-up notices; call before importing it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def run(main, argv=None):
    """Runs a door.

    A `UsageError` is printed as one line and ends the process with status 2;
    Ctrl-C ends it with status 130.

    Args:
        main: Function of the command line, `main(argv)`.
        argv: Command line; by default that of the process.
    """
    quiet_tensorflow()
    try:
        main(sys.argv if argv is None else argv)
    except UsageError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output (`| head`) has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


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
