"""A split that tensorflow-datasets has prepared, with random access."""

import concurrent.futures
import os

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.array_records import ArrayRecordImages
from noisymix_tf.data.encoded import EncodedSplit
from noisymix_tf.data.index_file import remembered
from noisymix_tf.data.tfrecords import TFRecordImages, find_records
from noisymix_tf.errors import UsageError


class PreparedSplit(EncodedSplit):
    """Images in record files, read one by one wherever they lie.

    Any order of the images can be read, so training shuffles all of them, and
    starts at any step as fast as at the first one.

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
        self._tensor = None

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

    def read(self, index):
        return self._images.read(self._place(index))

    def encoded(self, indices):
        return self._images.dataset(self._place(indices))

    def _place(self, index):
        if self._tensor is None:
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self._places)
        return tf.gather(self._tensor, index)

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


def open_split(builder, split, image_size):
    """Opens a split of images and labels.

    Where the records of TFRecord files lie is found by one walk over them,
    which reads little more than their heads; the labels of ArrayRecord files
    are found by reading through them. What was found is kept in
    `.noisymix_tf_SPLIT.npz` beside the files, if that can be written there.

    Args:
        builder: Of tensorflow-datasets, with the features `image` and `label`.
        split: Name of the split.
        image_size: As for `EncodedSplit`.

    Returns:
        `PreparedSplit`, in the order of the files.

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
    table = os.path.join(os.path.dirname(paths[0]), f".noisymix_tf_{split}.npz")
    kind = builder.info.file_format.value
    if kind == "tfrecord":
        found = remembered(table, paths, lambda: _walk(paths))
        labels = found.pop("labels")
        images = TFRecordImages(paths, **found)
    elif kind == "array_record":
        images = ArrayRecordImages(paths)
        found = remembered(table, paths, lambda: {"labels": images.labels()})
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


def _walk(paths):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(find_records, paths))
    offsets, labels = (np.concatenate(part) for part in zip(*found))
    files = np.repeat(np.arange(len(paths)), [len(part[0]) for part in found])
    return {"files": files, "offsets": offsets, "labels": labels}
