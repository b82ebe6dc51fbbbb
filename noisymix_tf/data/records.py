"""Splits that tensorflow-datasets has prepared, read one by one anywhere.

A TFRecord file has no table of contents, but each record begins with its
length: one walk from record to record, past the images and without reading
them, finds where each begins and what its label is. A record is length
(uint64), checksum, payload, checksum; the payload is a `tf.train.Example` in
the wire format of protocol buffers.
"""

import concurrent.futures
import contextlib
import functools
import io
import mmap
import os
import pathlib
import struct
import zipfile

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import EncodedSplit, kept
from noisymix_tf.data.folder import must
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.lazy import tf

_HEADER, _FOOTER = 12, 4
# Tags of the wire format: field number and kind of value in one byte.
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A
AGAIN = "Prepare the dataset again, or copy it completely"


class _RecordSplit(EncodedSplit):
    """Images in record files; the first row of `where` is their place.

    `record(index)` is the serialised `tf.train.Example` there, a scalar string.
    """

    _tensor = kept("_where")

    def __init__(self, paths, where, labels, image_size, source=None):
        super().__init__(labels, image_size, needs_python=source is not None)
        self.files, self._where = tuple(paths), np.asarray(where, np.int64)
        self.arrays, self._source = self._where[:1], source

    def read(self, index):
        return parse(self.record(index), "image")

    def subset(self, indices):
        indices = self.positions(indices)
        own = self._where[:, indices], self.labels[indices], self.image_size
        return type(self)(self.files, *own, self._source)


class TFRecordSplit(_RecordSplit):
    """Images in TFRecord files.

    `where`, ints `[3, N]`: the place among all, the file, and its byte.
    """

    _paths = kept("files", "string")

    def record(self, index):
        return self.encoded(index).get_single_element()

    def encoded(self, index):
        _, file, offset = tf.unstack(tf.gather(self._tensor, index, axis=1))
        # `tf.data.TFRecordDataset` has no argument for the offset, its
        # operation has. No buffer: what lies behind the record is not wanted.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=[tf.gather(self._paths, file)],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=[offset],
        )
        return tf.data.experimental.from_variant(
            records, tf.TensorSpec([], "string")
        ).take(1)

    def image(self, index, encoded=None, crop=None, seed=None):
        if encoded is not None:
            encoded = parse(encoded, "image")
        return super().image(index, encoded, crop, seed)

    def name(self, index):
        _, file, offset = self._where[:, index]
        return f"{self.files[file]}, byte {offset}"


class ArrayRecordSplit(_RecordSplit):
    """Images in ArrayRecord files, which Python reads by a `source`."""

    def record(self, index):
        (place,) = tf.unstack(tf.gather(self._tensor, index, axis=1))
        return _array_record(self._source, place)

    def name(self, index):
        folder = os.path.dirname(self.files[0])
        return f"{folder}, record {self._where[0, index]}"


def _array_record(source, place):
    """A record of an `ArrayRecordDataSource`, a scalar string."""
    # Stateless: tf.data would not call it in parallel otherwise where
    # operations are deterministic.
    record = tf.numpy_function(
        lambda place: source[int(place)], [place], tf.string, stateful=False
    )
    return tf.ensure_shape(record, [])


def parse(record, name, dtype="string") -> "tf.Tensor":
    """A scalar feature of a serialised `tf.train.Example`."""
    features = {name: tf.io.FixedLenFeature([], dtype)}
    return tf.io.parse_single_example(record, features)[name]


def open_split(builder, split, image_size, label="label") -> EncodedSplit:
    """A split of a builder of tensorflow-datasets, as its files have it."""
    info, kind = builder.info.splits[split], builder.info.file_format.value
    paths = [os.fspath(path) for path in info.filepaths]
    if kind == "tfrecord":
        found = remembered(split, paths, lambda: walk(paths, label))
        places = np.arange(len(found["labels"]))
        where = np.stack([places, found["files"], found["offsets"]])
        made = TFRecordSplit(paths, where, found["labels"], image_size)
    elif kind == "array_record":
        source = _array_records(paths)
        labels = remembered(split, paths, lambda: _labels(source, label))
        labels = labels["labels"]
        where = np.arange(len(labels))[np.newaxis]
        made = ArrayRecordSplit(paths, where, labels, image_size, source)
    else:
        why = f"was prepared as {kind}: prepare it as tfrecord or array_record"
        raise UsageError(f"{builder.data_dir} {why}.")
    if len(made) != info.num_examples:
        raise UsageError(
            f"{builder.data_dir} has {len(made)} images in {split}, but should "
            f"have {info.num_examples}: prepare it again."
        )
    return made


def _array_records(paths):
    """`ArrayRecordDataSource` of files."""
    remedy = 'They need pip install "array_record>=0.5" (Linux and macOS). '
    with must(f"open the ArrayRecord files {paths[0]}, ...", remedy + AGAIN):
        from array_record.python import array_record_data_source

        return array_record_data_source.ArrayRecordDataSource(paths)


def _labels(source, name):
    """Table of `labels`; reads through the files."""

    def label(place):
        return parse(_array_record(source, place), name, tf.int64)

    every = tf.data.Dataset.range(len(source)).map(label, tf.data.AUTOTUNE)
    with must("read the labels in ArrayRecord files", AGAIN):
        return {"labels": np.fromiter(every.as_numpy_iterator(), np.int64)}


def remembered(name, files, make) -> dict[str, np.ndarray]:
    """What `make()` finds in files, kept in `.noisymix_tf_NAME.npz` there.

    Or else in the user's cache folder, under a hash of their paths. It is made
    anew if a file has another size or time of change than when it was written.
    """
    with must(f"read the files of {name}", AGAIN):
        about = [(os.path.basename(file), os.stat(file)) for file in files]
    about = [f"{file} {s.st_size} {s.st_mtime_ns}" for file, s in about]
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    paths = identity.short(*map(os.path.abspath, files))
    beside = pathlib.Path(files[0]).with_name(f".noisymix_tf_{name}.npz")
    cache = pathlib.Path(cache).expanduser() / "noisymix_tf" / f"{paths}.npz"
    damage = OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile
    for place in (beside, cache):
        with contextlib.suppress(*damage), open(place, "rb") as file:
            table = dict(np.load(file))
            if table.pop("about").tolist() == about:
                return table
    table, content = make(), io.BytesIO()
    np.savez(content, about=about, **table)
    for place in (beside, cache):
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, content.getvalue())
            break
    return table


def walk(paths, label="label") -> dict[str, np.ndarray]:
    """Table of the records of TFRecord files: `files`, `offsets`, `labels`."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        find = functools.partial(find_records, label=label.encode())
        found = list(pool.map(find, paths))
    offsets, labels = np.concatenate(found, axis=1)
    files = np.repeat(np.arange(len(paths)), [part.shape[1] for part in found])
    return {"files": files, "offsets": offsets, "labels": labels}


def find_records(path, label=b"label") -> np.ndarray:
    """Where the records of a TFRecord file lie, and their labels, `[2, n]`."""
    found, position = [], 0
    with must(f"find labels in {path}", AGAIN), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size:  # No memory is mapped to nothing.
            data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            # What lies between the heads is not wanted.
            data.madvise(mmap.MADV_RANDOM)
        while position < size:
            (length,) = struct.unpack_from("<Q", data, position)
            begin = position + _HEADER
            end = begin + length
            if end + _FOOTER > size:
                raise ValueError(f"it is cut short at {size} bytes")
            found.append((position, _label(data, begin, end, label)))
            position = end + _FOOTER
        return np.array(found, np.int64).reshape(-1, 2).T


def _label(data, begin, end, name):
    """The label of the `Example` between two positions."""
    begin, end = _field(data, begin, _FIRST)
    while begin < end:
        begin, entry_end = _field(data, begin, _FIRST)
        key, key_end = _field(data, begin, _FIRST)
        if data[key:key_end] == name:
            # Feature, its list of integers, and the integers in it.
            begin = key_end
            for tag in (_SECOND, _THIRD, _FIRST):
                begin, _ = _field(data, begin, tag)
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
