"""A split that tensorflow-datasets has prepared, with random access."""

import functools
import os

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import as_tensor, one_line
from noisymix_tf.data.encoded import EncodedSplit
from noisymix_tf.data.record_index import remembered, walk
from noisymix_tf.errors import UsageError

_LABELS_AT_A_TIME = 256


class PreparedSplit(EncodedSplit):
    """Images in record files, read one by one wherever they lie.

    Args:
        images: `TFRecordImages` or `ArrayRecordImages`.
        labels: ints `[N]`.
        image_size: As for `EncodedSplit`.
        places: ints `[N]`, positions in `images`; all by default.
    """

    def __init__(self, images, labels, image_size, places=None):
        super().__init__(labels, image_size)
        if places is None:
            places = np.arange(len(self.labels))
        self._images = images
        self.needs_python = isinstance(images, ArrayRecordImages)
        self.reads_ahead = not self.needs_python
        self._places = np.asarray(places, np.int64)

    @property
    def files(self):
        return self._images.paths

    @property
    def identity(self):
        return identity.make(
            self.labels,
            arrays=[self._places],
            files=self.files,
            reading=self.reading,
        )

    @functools.cached_property
    def _tensor(self):
        return as_tensor(self._places)

    def read(self, index):
        return self._images.read(tf.gather(self._tensor, index))

    def encoded(self, index):
        return self._images.record(tf.gather(self._tensor, index))

    def image(self, index, encoded=None, crop=None, seed=None):
        if encoded is not None:
            encoded = parse(encoded, "image")
        return super().image(index, encoded, crop, seed)

    def name(self, index):
        return self._images.name(self._places[index])

    def subset(self, indices):
        indices = self.positions(indices)
        return PreparedSplit(
            self._images,
            self.labels[indices],
            self.image_size,
            self._places[indices],
        )


class TFRecordImages:
    """Encoded images in TFRecord files, by position.

    Args:
        paths: File names.
        files, offsets: ints `[N]`, which of them holds a record, and where.
    """

    def __init__(self, paths, files, offsets):
        self.paths = tuple(map(os.fspath, paths))
        self._files = np.asarray(files, np.int32)
        self._offsets = np.asarray(offsets, np.int64)

    @functools.cached_property
    def _tensors(self):
        paths = as_tensor(self.paths, tf.string)
        return paths, as_tensor(self._files), as_tensor(self._offsets)

    def read(self, place):
        """The encoded image, a scalar string."""
        return parse(self.record(place).get_single_element(), "image")

    def record(self, place):
        """The record at a position, a `tf.data.Dataset` of one string."""
        paths, files, offsets = self._tensors
        # `tf.data.TFRecordDataset` has no argument for the offset, its
        # operation has. No buffer: what lies behind the record is not wanted.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=[tf.gather(paths, tf.gather(files, place))],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=[tf.gather(offsets, place)],
        )
        return tf.data.experimental.from_variant(
            records, tf.TensorSpec([], tf.string)
        ).take(1)

    def name(self, place):
        """The file and the first byte of a record, for messages."""
        path = self.paths[self._files[place]]
        return f"{path}, byte {self._offsets[place]}"


class ArrayRecordImages:
    """Encoded images in ArrayRecord files, by position; read by Python."""

    def __init__(self, paths):
        self.paths = tuple(map(os.fspath, paths))
        self._source = _open(self.paths)

    def read(self, place):
        """The encoded image, a scalar string; may be traced."""
        # Stateless: tf.data would not call it in parallel otherwise where
        # operations are deterministic.
        record = tf.numpy_function(
            lambda place: self._source[int(place)],
            [place],
            tf.string,
            stateful=False,
        )
        return parse(tf.ensure_shape(record, []), "image")

    def name(self, place):
        """The position of an image, for messages."""
        return f"{os.path.dirname(self.paths[0])}, record {place}"

    def labels(self):
        """Labels of all images, int64 `[N]`; reads through the files."""
        features = {"label": tf.io.FixedLenFeature([], tf.int64)}
        total, parts = len(self._source), []
        for start in range(0, total, _LABELS_AT_A_TIME):
            stop = min(start + _LABELS_AT_A_TIME, total)
            try:
                records = self._source.__getitems__(range(start, stop))
                parsed = tf.io.parse_example(records, features)
            except Exception as error:
                raise UsageError(
                    f"Cannot read {self.name(start)} and those behind it: "
                    f"{one_line(error)}. Prepare the dataset again."
                ) from error
            parts.append(parsed["label"].numpy())
        return np.concatenate(parts)


def parse(record, name, dtype=tf.string):
    """A scalar feature of a serialised `tf.train.Example`."""
    features = {name: tf.io.FixedLenFeature([], dtype)}
    return tf.io.parse_single_example(record, features)[name]


def open_split(builder, split, image_size):
    """The `PreparedSplit` of a split of a builder of tensorflow-datasets.

    Raises:
        UsageError: If files are missing, damaged, or of another kind.
    """
    info = builder.info.splits[split]
    paths = [os.fspath(path) for path in info.filepaths]
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(
                f"{path} is missing: prepare the dataset again, or copy it "
                "completely."
            )
    kind = builder.info.file_format.value
    if kind == "tfrecord":
        found = remembered(split, paths, lambda: walk(paths))
        labels = found.pop("labels")
        images = TFRecordImages(paths, **found)
    elif kind == "array_record":
        images = ArrayRecordImages(paths)
        found = remembered(split, paths, lambda: {"labels": images.labels()})
        labels = found["labels"]
    else:
        raise UsageError(
            f"{builder.data_dir} was prepared as {kind}: prepare it as "
            "tfrecord or array_record."
        )
    if len(labels) != info.num_examples:
        raise UsageError(
            f"{builder.data_dir} has {len(labels)} images in {split}, but "
            f"should have {info.num_examples}: prepare it again."
        )
    return PreparedSplit(images, labels, image_size)


def _open(paths):
    try:
        from array_record.python import array_record_data_source
    except ImportError as error:
        raise UsageError(
            "The dataset was prepared as ArrayRecord files, which need a "
            'package: pip install "array_record>=0.5" (Linux and macOS), or '
            "prepare it as tfrecord."
        ) from error
    try:
        return array_record_data_source.ArrayRecordDataSource(paths)
    except Exception as error:
        raise UsageError(
            f"Cannot open the ArrayRecord files in {os.path.dirname(paths[0])}"
            f": {one_line(error)}. Prepare the dataset again."
        ) from error
