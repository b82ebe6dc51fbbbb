"""Released `.npy` files: mapped into memory, and never trusted."""

import numpy as np

from noisymix_tf.data.dataset import one_line
from noisymix_tf.errors import UsageError


def map_array(path):
    """A `.npy` file as a read-only array that is read where it is used.

    Nothing in the file is executed: pickled objects are refused.

    Raises:
        UsageError: If it is not there, cut short, or no array of numbers.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UsageError(
            f"Cannot read the array {path}: {_reason(path, error)}."
        ) from error


def map_images(path, rank):
    """Images or sequences of a released file.

    Args:
        path: The file.
        rank: 4 for images `[N, H, W, 3]`, 5 for sequences `[N, T, H, W, 3]`.

    Returns:
        uint8 array of that rank, mapped.

    Raises:
        UsageError: If it is another array.
    """
    array = map_array(path)
    form = "[N, H, W, 3]" if rank == 4 else "[N, T, H, W, 3]"
    found = (
        f"{path} is {array.dtype} {list(array.shape)}, expected uint8 {form}"
    )
    if array.ndim == 9 - rank:
        other = "sequences, for suite p" if rank == 4 else "images, for suite c"
        raise UsageError(f"{found}: it holds {other}.")
    if array.dtype != np.uint8:
        raise UsageError(
            f"{found} with values 0 to 255: released files are of that kind, "
            "so download it again or convert it."
        )
    if array.ndim != rank:
        raise UsageError(f"{found}: download it again.")
    if array.shape[-1] != 3 and array.shape[-3] == 3:
        raise UsageError(
            f"{found}: the channels come first, move them to the end "
            "(numpy.moveaxis(images, -3, -1))."
        )
    if array.shape[-1] != 3 or not array.size:
        raise UsageError(f"{found}: give RGB images.")
    return array


def read_labels(path):
    """The labels of a released file, NumPy int64 `[N]`.

    Raises:
        UsageError: If it holds anything but a list of class numbers.
    """
    labels = map_array(path)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.ndim != 1 or not whole or not labels.size:
        raise UsageError(
            f"{path} is {labels.dtype} {list(labels.shape)}, expected labels: "
            "integers [N]."
        )
    labels = np.array(labels, np.int64)
    if labels.min() < 0:
        raise UsageError(
            f"{path} holds the label {labels.min()}: labels count from 0."
        )
    return labels


def _reason(path, error):
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = one_line(error)
    if "Python objects" in text or _starts_like_a_pickle(path):
        return (
            "it holds pickled Python objects, which can run code when they are "
            "loaded, and is refused"
        )
    if "mmap" in text or "EOF" in text:
        return "it is cut short; download it again"
    return f"{text}; download it again"


def _starts_like_a_pickle(path):
    with open(path, "rb") as file:
        return file.read(1) == b"\x80"
