"""Where the records of TFRecord files lie, found once and kept.

A TFRecord file has no table of contents, but each record begins with its
length: one walk from record to record, past the images and without reading
them, finds where each begins and what its label is.

TFRecord is length (uint64), checksum, payload, checksum; the payload is a
`tf.train.Example` in the wire format of protocol buffers.
"""

import concurrent.futures
import contextlib
import mmap
import os
import pathlib
import struct
import zipfile

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError

_HEADER, _FOOTER = 12, 4
# Tags of the wire format: field number and kind of value in one byte.
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A


def remembered(name, files, make):
    """What `make()` finds in files, from a table where that is known.

    The table is `.noisymix_tf_NAME.npz` beside the files; where that cannot be
    written, it is in the user's cache folder (`$XDG_CACHE_HOME/noisymix_tf`,
    or `~/.cache`), under a hash of their paths. It is a dict of arrays, made
    anew if a file has another size or time of change than when it was written.
    """
    status = [os.stat(file) for file in files]
    about = np.array(
        [
            f"{os.path.basename(file)} {each.st_size} {each.st_mtime_ns}"
            for file, each in zip(files, status)
        ]
    )
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    paths = identity.short(*map(os.path.abspath, files))
    places = (
        pathlib.Path(files[0]).with_name(f".noisymix_tf_{name}.npz"),
        pathlib.Path(cache).expanduser() / "noisymix_tf" / f"{paths}.npz",
    )
    for place in places:
        known = _load(place, about)
        if known is not None:
            return known
    table = make()
    for place in places:
        if _save(place, {**table, "about": about}):
            break
    return table


def _load(path, about):
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            table = dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    if not np.array_equal(table.pop("about", None), about):
        return None
    return table


def _save(path, table):
    """Whether a table could be written."""
    # A name of its own, because several processes may do this at a time.
    partial = f"{path}.{os.getpid()}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            np.savez(file, **table)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        return False
    return True


def find_records(path):
    """Where the records of a local TFRecord file lie, and their labels.

    Returns:
        `(offsets, labels)`: NumPy int64 `[n]` each, in the order of the file.

    Raises:
        UsageError: If it cannot be read, is no such file or is cut short.
    """
    try:
        with open(path, "rb") as file:
            size, found = os.fstat(file.fileno()).st_size, []
            if size:
                with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
                    # What lies between the heads is not wanted.
                    data.madvise(mmap.MADV_RANDOM)
                    found = list(_records(data, size))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise UsageError(
            f"{path} is damaged or holds no records with 'label' "
            f"({error or type(error).__name__}): prepare the dataset again."
        ) from error
    return tuple(np.array(found, np.int64).reshape(-1, 2).T)


def walk(paths):
    """Table of the records of TFRecord files: `files`, `offsets`, `labels`."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(find_records, paths))
    offsets, labels = (np.concatenate(part) for part in zip(*found))
    files = np.repeat(np.arange(len(paths)), [len(part[0]) for part in found])
    return {"files": files, "offsets": offsets, "labels": labels}


def _records(data, size):
    """Yields (offset of a record, its label)."""
    position = 0
    while position < size:
        (length,) = struct.unpack_from("<Q", data, position)
        begin = position + _HEADER
        end = begin + length
        if end + _FOOTER > size:
            raise ValueError(f"cut short at {size} bytes")
        yield position, _label(data, begin, end)
        position = end + _FOOTER


def _label(data, begin, end):
    """The label of the `Example` between two positions."""
    begin, end = _field(data, begin, _FIRST)
    while begin < end:
        begin, entry_end = _field(data, begin, _FIRST)
        key, key_end = _field(data, begin, _FIRST)
        if data[key:key_end] == b"label":
            # Feature, its list of integers, and the integers in it.
            begin, _ = _field(data, key_end, _SECOND)
            begin, _ = _field(data, begin, _THIRD)
            begin, _ = _field(data, begin, _FIRST)
            return _number(data, begin)[0]
        begin = entry_end
    raise ValueError(f"the record before byte {end} has none")


def _field(data, position, tag):
    """First and last-plus-one byte of a field that has a length."""
    if data[position] != tag:
        raise ValueError(f"unexpected byte at {position}")
    length, begin = _number(data, position + 1)
    return begin, begin + length


def _number(data, position):
    """A number of variable length, and what lies behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
