"""Random access to the images of TFRecord files.

A TFRecord file has no table of contents, but each record begins with its
length. One walk from record to record, past the images and without reading
them, finds where each begins and what its label is.

Layout: TFRecord is length (uint64), checksum, payload, checksum; the payload is
a `tf.train.Example` in the wire format of protocol buffers.
"""

import os
import struct

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError

# Enough for all of a record but its image, and for the head of the next one.
_WINDOW = 512
_HEADER, _FOOTER = 12, 4
# Tags of the wire format: field number and kind of value in one byte.
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A


class TFRecordImages:
    """Encoded images in TFRecord files, by position.

    Args:
        paths: File names.
        files: ints `[N]`, which of them holds a record.
        offsets: ints `[N]`, where the record begins.
        image: Name of the feature that holds the encoded image.

    Example:

    >>> offsets, labels = find_records(path)  # doctest: +SKIP
    >>> images = TFRecordImages([path], np.zeros(len(labels)), offsets)
    """

    def __init__(self, paths, files, offsets, image="image"):
        self.paths = tuple(map(os.fspath, paths))
        self._files = np.asarray(files, np.int32)
        self._offsets = np.asarray(offsets, np.int64)
        self._image = image
        self._tensors = None

    def read(self, place):
        """The encoded image, a scalar string; may be traced.

        A record whose checksum is wrong is a `tf.errors.DataLossError`.
        """
        return self.dataset(tf.reshape(place, [1])).get_single_element()

    def dataset(self, places):
        """The encoded images at positions `[B]`, a `tf.data.Dataset`."""
        if self._tensors is None:
            # Captured, and not copied into the graph.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensors = (
                    tf.constant(self.paths, tf.string),
                    tf.constant(self._files),
                    tf.constant(self._offsets),
                )
        paths, files, offsets = self._tensors
        features = {self._image: tf.io.FixedLenFeature([], tf.string)}

        def image(record):
            return tf.io.parse_single_example(record, features)[self._image]

        begins = tf.data.Dataset.from_tensor_slices(
            (
                tf.gather(paths, tf.gather(files, places)),
                tf.gather(offsets, places),
            )
        )
        return begins.flat_map(_record).map(image)

    def name(self, place):
        """The file and the first byte of a record, for messages."""
        path = self.paths[self._files[place]]
        return f"{path}, byte {self._offsets[place]}"


def _record(path, offset):
    """The record of a file that begins at a byte, a `tf.data.Dataset`."""
    # `tf.data.TFRecordDataset` has no argument for the offset, its operation
    # has. No buffer: what lies behind the record is not wanted.
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[tf.newaxis],
        compression_type="",
        buffer_size=tf.constant(0, tf.int64),
        byte_offsets=offset[tf.newaxis],
    )
    return tf.data.experimental.from_variant(
        records, tf.TensorSpec([], tf.string)
    ).take(1)


def find_records(path, label="label"):
    """Where the records of a TFRecord file lie, and their labels.

    Args:
        path: Name of a local file of `tf.train.Example`s.
        label: Name of the feature that holds the class, an integer.

    Returns:
        `(offsets, labels)`: NumPy int64 `[n]` each, in the order of the file.

    Raises:
        UsageError: If it cannot be read, is no such file or is cut short.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            found = list(_Records(file, label.encode()))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise UsageError(
            f"{path} is damaged or holds no records with {label!r} "
            f"({error or type(error).__name__}): prepare the dataset again."
        ) from error
    return tuple(np.array(found, np.int64).reshape(-1, 2).T)


class _Records:
    """Walks over the records of an open file."""

    def __init__(self, file, label):
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self._label = label
        self._start, self._window = 0, b""

    def __iter__(self):
        """Yields (offset of the record, label)."""
        position = 0
        while position < self._size:
            (length,) = struct.unpack("<Q", self._bytes(position, 8))
            begin = position + _HEADER
            end = begin + length
            if end + _FOOTER > self._size:
                raise ValueError(f"cut short at {self._size} bytes")
            yield position, self._find_label(begin, end)
            position = end + _FOOTER

    def _find_label(self, begin, end):
        """The label of the `Example` between two positions."""
        begin, end = self._field(begin, _FIRST)
        while begin < end:
            begin, entry_end = self._field(begin, _FIRST)
            key, key_end = self._field(begin, _FIRST)
            if self._bytes(key, min(key_end - key, _WINDOW)) == self._label:
                # Feature, its list of integers, and the integers in it.
                begin, _ = self._field(key_end, _SECOND)
                begin, _ = self._field(begin, _THIRD)
                begin, _ = self._field(begin, _FIRST)
                return self._number(begin)[0]
            begin = entry_end
        raise ValueError(f"the record before byte {end} has none")

    def _field(self, position, tag):
        """First and last-plus-one byte of a field that has a length."""
        if self._byte(position) != tag:
            raise ValueError(f"unexpected byte at {position}")
        length, begin = self._number(position + 1)
        return begin, begin + length

    def _number(self, position):
        """A number of variable length, and what lies behind it."""
        value = shift = 0
        while True:
            byte = self._byte(position)
            value |= (byte & 0x7F) << shift
            position += 1
            if byte < 0x80:
                return value, position
            shift += 7

    def _byte(self, position):
        place = position - self._start
        if not 0 <= place < len(self._window):
            self._window = os.pread(self._descriptor, _WINDOW, position)
            self._start, place = position, 0
        return self._window[place]

    def _bytes(self, position, length):
        place = position - self._start
        if place < 0 or place + length > len(self._window):
            self._window = os.pread(self._descriptor, _WINDOW, position)
            self._start, place = position, 0
        return self._window[place : place + length]
