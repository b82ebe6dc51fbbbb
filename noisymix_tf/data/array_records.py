"""Random access to the images of ArrayRecord files."""

import os

import numpy as np
import tensorflow as tf

from noisymix_tf.data.dataset import one_line
from noisymix_tf.errors import UsageError

_LABELS_AT_A_TIME = 256


class ArrayRecordImages:
    """Encoded images in ArrayRecord files, by position.

    Such files can be read at any position, but only from Python: a pipeline
    that reads them is tied to this process.

    Args:
        paths: File names.
        image: Name of the feature that holds the encoded image.

    Raises:
        UsageError: If the package `array_record` is not there, or a file
            cannot be opened.
    """

    def __init__(self, paths, image="image"):
        self.paths = tuple(map(os.fspath, paths))
        self._image = image
        self._source = _open(self.paths)

    def __len__(self):
        return len(self._source)

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
        features = {self._image: tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(
            tf.ensure_shape(record, []), features
        )[self._image]

    def name(self, place):
        """The position of an image, for messages."""
        return f"{os.path.dirname(self.paths[0])}, record {place}"

    def labels(self, label="label"):
        """Labels of all images, int64 `[N]`; reads through the files.

        Args:
            label: Name of the feature that holds the class, an integer.
        """
        features = {label: tf.io.FixedLenFeature([], tf.int64)}
        parts = []
        for start in range(0, len(self), _LABELS_AT_A_TIME):
            stop = min(start + _LABELS_AT_A_TIME, len(self))
            try:
                records = self._source.__getitems__(range(start, stop))
                parsed = tf.io.parse_example(records, features)
            except Exception as error:
                raise UsageError(
                    f"Cannot read {self.name(start)} and those behind it: "
                    f"{one_line(error)}. Prepare the dataset again."
                ) from error
            parts.append(parsed[label].numpy())
        return np.concatenate(parts)


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
