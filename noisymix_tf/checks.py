"""What counts as a number or as a path in an argument."""

import numbers
import os
import re

from noisymix_tf.errors import UsageError

# Of two letters at least: one would be a drive. `pathlib` folds the slashes.
_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]+:/")
# In front of a directory of tensorflow-datasets.
_PREPARED = "tfds:"


def is_whole(value):
    """Whether a value is a whole number, Python's or NumPy's; no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value):
    """Whether a value is a real number, Python's or NumPy's; no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_local(**arguments):
    """Refuses addresses, such as gs://bucket, in place of local paths.

    Everything here reads and writes with Python's own functions, to which such
    an address is a folder called `gs:`.

    Args:
        **arguments: Name and value of each, or a list of values; what is no
            string or path counts as good.

    Raises:
        UsageError: One is an address.

    Example:

    >>> check_local(output_dir="runs/a", c_dir="tfds:/data")
    """
    for name, value in arguments.items():
        for path in value if isinstance(value, tuple | list) else [value]:
            if not isinstance(path, str | os.PathLike):
                continue
            text = os.fspath(path)
            if _ADDRESS.match(text.removeprefix(_PREPARED)):
                raise UsageError(
                    f"{name}={text} is no path of this machine: give a local "
                    f"folder or file; copy what is there, or mount it (a "
                    f"bucket of Google with gcsfuse)."
                )
