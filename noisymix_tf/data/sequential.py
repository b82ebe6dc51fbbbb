"""A split that tensorflow-datasets has prepared, read from start to end.

For hard disks and buckets, where reading an image here and one there is slow:
whole TFRecord files are read through TensorFlow's file systems, a few at a
time, and shuffled by a buffer. No walk over the records is needed: the
dataset's description tells how many of them each file holds, and they tell
their labels.
"""

import concurrent.futures
import functools
import json
import os
import re

import numpy as np
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.data import identity
from noisymix_tf.data.dataset import as_tensor, one_line, own_seed
from noisymix_tf.data.encoded import EncodedSplit
from noisymix_tf.data.prepared_split import parse
from noisymix_tf.errors import UsageError

# Written last, so that it is there where the preparation was finished.
_INFO = "dataset_info.json"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# Files that are read at the same time; bytes and records ahead of each.
_FILES, _BYTES, _RECORDS = 8, 2**22, 64


class SequentialSplit(EncodedSplit):
    """Images in TFRecord files, which an epoch reads in a block shuffle.

    The files come in random order, in groups of eight. Which of the eight
    gives the next record is drawn, and then the records of a window are
    shuffled. All that is a function of the seed and the epoch. Within an epoch
    training goes on where it was: of earlier groups nothing is read, and of
    its own group what lies before is read, but not decoded.

    A machine among many, and a worker of a data service, reads all files and
    decodes the images that are its own.

    Args:
        paths, lengths: Addresses of the files, and how many records each has.
        image_size: As for `EncodedSplit`.
        window: Records that are shuffled among themselves. Two windows are in
            memory: 220 MB of ImageNet's.
        chosen: bools, for each record whether it is in the split; None for
            all. A part cannot be trained on.
    """

    def __init__(self, paths, lengths, image_size, window=1024, chosen=None):
        super().__init__(None, image_size)
        self._paths = [os.fspath(path) for path in paths]
        self._lengths = np.array(lengths, np.int64)
        self._window, self._chosen = window, chosen

    def __len__(self):
        chosen = self._lengths if self._chosen is None else self._chosen
        return int(np.sum(chosen))

    @functools.cached_property
    def labels(self):
        """NumPy int32 `[N]`; reads through the files on first use."""
        records = self._records().map(lambda _, record: _label(record))
        return np.fromiter(records.as_numpy_iterator(), np.int32)

    @property
    def identity(self):
        """By names, sizes and times of the files; they hold the labels."""
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            status = list(pool.map(tf.io.gfile.stat, self._paths))
        sizes, times = (
            np.array([getattr(each, name) for each in status], np.int64)
            for name in ("length", "mtime_nsec")
        )
        chosen = () if self._chosen is None else (self._chosen,)
        return identity.Identity(
            images=len(self),
            names=identity.short(*map(os.path.basename, self._paths)),
            labels=identity.short(None),
            contents=identity.short(*chosen, sizes),
            reading=identity.short(self.reading),
            times=identity.short(times),
        )

    def epoch(self, key, start):
        if self._chosen is not None:
            raise UsageError(
                "A part of a dataset is not trained on where it is read from "
                "start to end: leave out --train_examples, or give "
                "--read=random."
            )
        files_key, groups_key = tf.unstack(rng.split(key, 2))
        files = rng.permutation(files_key, len(self._paths))
        # The last group is filled up by a file without a name and records.
        groups = -(-len(self._paths) // _FILES)
        missing = groups * _FILES - len(self._paths)
        files = tf.pad(files, [[0, missing]], constant_values=len(self._paths))
        files = tf.reshape(files, [groups, _FILES])
        sizes = tf.reduce_sum(tf.gather(self._tensors[1], files), axis=1)
        ends = tf.cumsum(sizes)

        def group(number):
            begin = ends[number] - sizes[number]
            own = own_seed(groups_key, number)
            return self._group(files[number], own, tf.maximum(start - begin, 0))

        first = tf.searchsorted(ends, [start], "right", tf.int64)[0]
        return tf.data.Dataset.range(first, groups).flat_map(group)

    @functools.cached_property
    def _tensors(self):
        """Address, number of records and first position of each file."""
        lengths = np.append(self._lengths, 0)
        begins = np.cumsum(lengths) - lengths
        paths = as_tensor([*self._paths, ""], tf.string)
        return paths, as_tensor(lengths), as_tensor(begins)

    def _group(self, files, key, start):
        """`(index, record)` of a group of files, from one image on."""
        paths, lengths, begins = (tf.gather(t, files) for t in self._tensors)
        draw_key, window_key = tf.unstack(rng.split(key, 2))
        # Which file the records come from; those of a file keep their order.
        place = tf.repeat(tf.range(_FILES, dtype=tf.int64), lengths)
        place = tf.gather(place, rng.permutation(draw_key, tf.size(place)))
        index = tf.ragged.range(begins, begins + lengths).flat_values
        index = tf.gather(index, tf.argsort(tf.argsort(place, stable=True)))
        first = start // self._window
        read = first * self._window
        ahead = tf.math.bincount(place[:read], minlength=_FILES, dtype=tf.int64)
        records = tf.data.Dataset.choose_from_datasets(
            [
                _file(paths[i], lengths[i]).skip(ahead[i]).prefetch(_RECORDS)
                for i in range(_FILES)
            ],
            tf.data.Dataset.from_tensor_slices(place[read:]),
            stop_on_empty_dataset=False,
        )

        def shuffled(number, window):
            own = own_seed(window_key, first + number)
            order = rng.permutation(own, tf.size(window[0]))
            return tuple(tf.gather(each, order) for each in window)

        indices = tf.data.Dataset.from_tensor_slices(index[read:])
        windows = tf.data.Dataset.zip(indices, records).batch(self._window)
        images = windows.enumerate().map(shuffled).prefetch(1).unbatch()
        return images.skip(start - read)

    def examples(self, elements, crop=None):
        def example(tag, seed, index, record):
            encoded = parse(record, "image")
            image = self.image(index, encoded, crop, seed)
            return tag, image, _label(record)

        return elements.map(example, tf.data.AUTOTUNE, deterministic=True)

    def in_order(self):
        return self.examples(
            self._records().map(
                lambda place, record: (place, [0, 0], 0, record)
            )
        )

    def _records(self):
        """`(position, record)` of the split, file by file."""
        records = _file(self._paths, self._lengths.sum())
        if self._chosen is not None:
            chosen = as_tensor(self._chosen)
            records = records.enumerate().filter(lambda i, _: chosen[i])
            records = records.map(lambda _, record: record)
        return records.enumerate()

    def read(self, index):
        raise UsageError(
            f"The images in {os.path.dirname(self._paths[0])} are read from "
            "start to end; this wants one here and one there: give "
            "--read=random, of a local copy."
        )

    name = read

    def subset(self, indices):
        indices = self.positions(indices)
        if (np.diff(indices) <= 0).any():
            self.read(indices)
        chosen = self._chosen
        if chosen is None:
            chosen = np.ones(len(self), bool)
        places = np.flatnonzero(chosen)[indices]
        return SequentialSplit(
            self._paths,
            self._lengths,
            self.image_size,
            self._window,
            np.isin(np.arange(len(chosen)), places),
        )

    def check(self, indices=None):
        """Reads all files: a stream does not know what it could not read."""
        for path, length in zip(self._paths, self._lengths):
            number = 0
            try:
                alone = SequentialSplit([path], [length], self.image_size)
                for number, _ in enumerate(alone.in_order(), start=1):  # noqa: B007
                    pass
            except tf.errors.OpError as error:
                raise UsageError(
                    f"Cannot read {path}, record {number}: {one_line(error)}. "
                    "Prepare the dataset again, or copy it completely."
                ) from error


def newest_version(folder):
    """The newest version that is prepared in a folder; None without one."""
    gfile, folder = tf.io.gfile, os.fspath(folder)
    there = gfile.listdir(folder) if gfile.isdir(folder) else ()
    numbers = (name.rstrip("/") for name in there)
    numbers = [n for n in numbers if re.fullmatch(r"\d+\.\d+\.\d+", n)]
    numbers.sort(key=lambda number: [*map(int, number.split("."))])
    versions = (f"{folder}/{number}" for number in reversed(numbers))
    return next((v for v in versions if gfile.exists(f"{v}/{_INFO}")), None)


def open_splits(root, name, splits, image_size):
    """`SequentialSplit`s of a prepared dataset, and the names of its classes.

    Args:
        root: Directory of prepared datasets, in any file system of
            TensorFlow's.
        name: The dataset.
        splits: Names of the splits.
        image_size: As for `EncodedSplit`.

    Raises:
        UsageError: If it is not there, is damaged, is incomplete, or was not
            prepared as tfrecord.
    """
    gfile = tf.io.gfile
    try:
        folder = newest_version(os.path.join(root, name))
        if folder is None:
            raise ValueError("no version of it is there")
        with gfile.GFile(os.path.join(folder, _INFO)) as file:
            info = json.load(file)
        with gfile.GFile(os.path.join(folder, "label.labels.txt")) as file:
            names = file.read().split()
        known = {each["name"]: each for each in info["splits"]}
        opened = [
            _paths_and_lengths(folder, info, known[each]) for each in splits
        ]
        lost = {p for paths, _ in opened for p in paths}
        lost -= {os.path.join(folder, p) for p in gfile.listdir(folder)}
    except (tf.errors.OpError, ValueError, KeyError) as error:
        raise UsageError(
            f"No {name} as tensorflow-datasets prepares it can be read in "
            f"{root} ({one_line(error)}): give --data_dir of a complete one."
        ) from error
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise UsageError(
            f"{folder} was prepared as {info['fileFormat']}, but only tfrecord "
            "can be read from start to end: give --read=random, or prepare it "
            "as tfrecord."
        )
    if lost:
        raise UsageError(
            f"{min(lost)} is missing: prepare the dataset again, or copy it "
            "completely."
        )
    return [SequentialSplit(*each, image_size) for each in opened], names


def _paths_and_lengths(folder, info, split):
    lengths = [int(length) for length in split["shardLengths"]]
    template = split.get("filepathTemplate", _TEMPLATE)
    names = [
        template.format(
            DATASET=info["name"],
            SPLIT=split["name"],
            FILEFORMAT="tfrecord",
            SHARD_X_OF_Y=f"{number:05}-of-{len(lengths):05}",
        )
        for number in range(len(lengths))
    ]
    return [os.path.join(folder, name) for name in names], lengths


def _file(path, length):
    """The records of files, of which there must be `length`."""
    length = tf.data.experimental.assert_cardinality(length)
    return tf.data.TFRecordDataset(path, buffer_size=_BYTES).apply(length)


def _label(record):
    return tf.cast(parse(record, "label", tf.int64), tf.int32)
