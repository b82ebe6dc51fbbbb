"""Datasets that tensorflow-datasets has prepared, streamed and never loaded."""

import functools
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import ArraySplit, one_line
from noisymix_tf.data.decode import decode_image
from noisymix_tf.data.released.sizes import output_shape
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local

_VERSION = re.compile(r"\d+\.\d+\.\d+")
# Written last, so that it is there where the preparation was finished.
_INFO = "dataset_info.json"
_SPLITS = ("test", "validation")


def prepared_root(data_dir):
    """The directory of tensorflow-datasets as a `Path`."""
    if data_dir is None:
        data_dir = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    check_local(data_dir=data_dir)
    return pathlib.Path(os.path.expanduser(data_dir))


def newest_version(folder):
    """`Path` of the newest prepared version in a folder; None without one."""
    versions = [
        path
        for path in folder.glob("*")
        if _VERSION.fullmatch(path.name) and (path / _INFO).exists()
    ]
    numbers = [tuple(map(int, path.name.split("."))) for path in versions]
    return max(zip(numbers, versions))[1] if versions else None


def open_prepared(folder):
    """The builder of a prepared version, and the split for testing.

    Raises:
        UsageError: If it is damaged or has no such split.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        names = [name for name in _SPLITS if name in builder.info.splits]
        label = builder.info.features["label"].names
    except Exception as error:
        raise UsageError(
            f"Cannot use the prepared {folder}: {one_line(error)}. Delete it "
            "and prepare it again."
        ) from error
    if not names or not builder.info.splits[names[0]].num_examples:
        raise UsageError(
            f"{folder} has no images in a split {' or '.join(_SPLITS)}: delete "
            "it and prepare it again."
        )
    return builder, names[0], tuple(label)


class PreparedImages:
    """A split of tensorflow-datasets as test images, in the stored order.

    Has what the evaluation uses of a `noisymix_tf.data.Split`. Memory holds a
    few batches.

    Args:
        builder: Of tensorflow-datasets.
        split: Name of the split.
        places: ints, what stored label 0, 1, ... becomes; -1 where there is
            to be none of it.
        preprocess: `Preprocess`.
        indices: ints `[N]`, ascending; which images. All by default.

    Attributes:
        image_shape: `(H, W, 3)` of what is read.
        preprocess: As given.

    Raises:
        UsageError: If images of several sizes are to be as stored.
    """

    def __init__(self, builder, split, places, preprocess, indices=None):
        self._builder = builder
        self._split = split
        self._places = np.asarray(places)
        self._indices = indices
        self.preprocess = preprocess
        stored = builder.info.features["image"].shape
        if preprocess.side is None and None in stored:
            raise UsageError(
                f"The images in {builder.data_dir} have several sizes and "
                "cannot be as stored: give a preprocess, such as "
                "resize256-crop224."
            )
        self.image_shape = output_shape(preprocess, stored)

    def __len__(self):
        if self._indices is not None:
            return len(self._indices)
        return self._builder.info.splits[self._split].num_examples

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`; the records hold the labels."""
        places = () if self._indices is None else self._indices
        return identity.make(
            None,
            arrays=[self._places, np.asarray(places, np.int64)],
            files=self._builder.info.splits[self._split].filepaths,
            reading=self.preprocess,
            images=len(self),
        )

    @functools.cached_property
    def labels(self):
        """NumPy int32 `[N]`; reads through the files on first use."""
        records = self._records().map(lambda record: record["label"])
        parts = list(self._read(records.batch(4096)))
        return self._placed(np.concatenate(parts))

    def batches(self, batch_size):
        """Yields `(images, labels)`: uint8 `[b, H, W, 3]`, int32 `[b]`."""

        def decoded(record):
            image = self.preprocess.apply(decode_image(record["image"]))
            return tf.ensure_shape(image, self.image_shape), record["label"]

        records = (
            self._records()
            .map(decoded, tf.data.AUTOTUNE, deterministic=True)
            .batch(batch_size)
            .prefetch(1)
        )
        for images, labels in self._read(records):
            yield images, self._placed(labels)

    def subset(self, indices):
        """The images at some positions, in that order.

        Where that order is not the stored one, they are read into memory.
        """
        indices = np.asarray(indices)
        taken = indices if self._indices is None else self._indices[indices]
        if (np.diff(taken) > 0).all():
            return self._part(taken)
        unique, places = np.unique(taken, return_inverse=True)
        images, labels = next(self._part(unique).batches(len(unique)))
        return ArraySplit(images[places], labels[places])

    def check(self, indices=None):
        """Raises the `UsageError` of an image that cannot be read."""
        part = self if indices is None else self.subset(np.unique(indices))
        for _ in part.batches(256):
            pass

    def _part(self, indices):
        return PreparedImages(
            self._builder, self._split, self._places, self.preprocess, indices
        )

    def _records(self):
        """Records with undecoded images, in the stored order."""
        import tensorflow_datasets as tfds

        records = self._builder.as_dataset(
            split=self._split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
            # One file after the other, and none kept in memory.
            read_config=tfds.ReadConfig(
                interleave_cycle_length=1, try_autocache=False
            ),
        )
        if self._indices is None:
            return records
        last = int(self._indices[-1]) + 1
        wanted = np.zeros(last, bool)
        wanted[self._indices] = True
        wanted = tf.constant(wanted)
        return (
            records.take(last)
            .enumerate()
            .filter(lambda place, _: wanted[place])
            .map(lambda _, record: record)
        )

    def _read(self, records):
        try:
            yield from records.as_numpy_iterator()
        except (tf.errors.OpError, ValueError) as error:
            raise UsageError(
                f"Cannot read {self._builder.data_dir}: {one_line(error)}. "
                "Delete it and prepare it again."
            ) from error

    def _placed(self, labels):
        places = self._places[labels]
        if (places < 0).any():
            label = labels[places < 0][0]
            raise UsageError(
                f"{self._builder.data_dir} has an image of the class {label}, "
                "which does not belong to this benchmark: delete it and "
                "prepare it again."
            )
        return places.astype(np.int32)
