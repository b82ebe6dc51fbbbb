"""What counts as a number in an argument, and as a place to write to."""

import errno
import numbers
import os
import pathlib

from noisymix_tf.errors import UsageError


def is_whole(value):
    """Whether a value is a whole number, Python's or NumPy's; no bool is."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value):
    """Whether a value is a real number, Python's or NumPy's; no bool is."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def output_dir(path, purpose):
    """Refuses an `--output_dir` before the imports that writing there needs.

    Nothing is made: what only writing can tell is left to it.

    Args:
        path: The directory; it need not exist.
        purpose: What it is for.

    Raises:
        UsageError: None was given, or it cannot be made or written.
    """
    if not path:
        raise UsageError(
            f"--output_dir is missing: name a directory for the {purpose}."
        )
    place = pathlib.Path(path)
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        number = errno.ENOTDIR
    elif os.access(place, os.W_OK | os.X_OK):
        return
    elif os.statvfs(place).f_flag & os.ST_RDONLY:
        number = errno.EROFS
    else:
        number = errno.EACCES
    error = OSError(number, os.strerror(number))
    raise UsageError(
        f"--output_dir={path} cannot be written ({error.strerror}); name a "
        f"writable directory."
    ) from error
