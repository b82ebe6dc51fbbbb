"""A split that tensorflow-datasets has prepared, read from start to end.

For hard disks and buckets, where reading an image here and one there is slow:
whole TFRecord files are read through TensorFlow's file systems. The dataset's
description tells how many records each holds, and they tell their labels.
"""

import concurrent.futures
import functools
import json
import os
import re

import numpy as np

from noisymix_tf import rng
from noisymix_tf.data import identity
from noisymix_tf.data.dataset import EncodedSplit, kept, own_seed
from noisymix_tf.data.folder import must
from noisymix_tf.data.records import AGAIN, parse
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

# Written last, so that it is there where the preparation was finished.
_INFO = "dataset_info.json"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# Files that are read at the same time; bytes and records ahead of each.
_FILES, _BYTES, _RECORDS = 8, 2**22, 64


class SequentialSplit(EncodedSplit):
    """Images in TFRecord files, which an epoch reads in a block shuffle.

    The files come in random order, in groups of eight. Which of the eight
    gives the next record is drawn, and then the records of a window are
    shuffled. Where training goes on within an epoch, nothing is read of earlier
    groups. A machine among many, and a worker of a data service, reads all
    files and decodes the images that are its own.

    Of files at `paths`, of so many records each, the `chosen` ones, bools, are
    in the split; a part cannot be trained on. In memory are the records of two
    windows, 220 MB of ImageNet's.
    """

    _addresses, _sizes = kept("_files", "string"), kept("_table")

    def __init__(self, paths, lengths, image_size, window=1024, chosen=None):
        super().__init__(None, image_size)
        self._paths, self._lengths = paths, np.array(lengths, np.int64)
        self._window = window
        if chosen is None:
            chosen = np.ones(self._lengths.sum(), bool)
        self._chosen, self._is_whole = chosen, chosen.all()
        # A group is filled up by a file without a name and records.
        self._files = [*paths, ""]
        sizes = np.append(self._lengths, 0)
        self._table = np.stack([sizes, np.cumsum(sizes) - sizes])

    def __len__(self):
        return int(self._chosen.sum())

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
        sizes = np.array([each.length for each in status], np.int64)
        times = np.array([each.mtime_nsec for each in status], np.int64)
        names = map(os.path.basename, self._paths)
        contents = [sizes] if self._is_whole else [self._chosen, sizes]
        parts = names, [None], contents, [self.reading], [times]
        hashes = (identity.short(*part) for part in parts)
        return identity.Identity(len(self), *hashes)

    def epoch(self, key, start):
        if not self._is_whole:
            self.read(start)
        files_key, groups_key = tf.unstack(rng.split(key, 2))
        number = len(self._paths)
        files = rng.permutation(files_key, number)
        files = tf.pad(files, [[0, -number % _FILES]], constant_values=number)
        files = tf.reshape(files, [-1, _FILES])
        sizes = tf.reduce_sum(tf.gather(self._sizes[0], files), axis=1)
        ends = tf.cumsum(sizes)

        def group(number):
            begin = ends[number] - sizes[number]
            own = own_seed(groups_key, number)
            return self._group(files[number], own, tf.maximum(start - begin, 0))

        first = tf.searchsorted(ends, [start], "right", tf.int64)[0]
        return tf.data.Dataset.range(first, ends.shape[0]).flat_map(group)

    def _group(self, files, key, start):
        """`(index, record)` of a group of files, from one image on."""
        paths = tf.gather(self._addresses, files)
        lengths, begins = tf.unstack(tf.gather(self._sizes, files, axis=1))
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
            image = self.image(index, parse(record, "image"), crop, seed)
            return tag, image, _label(record)

        return elements.map(example, tf.data.AUTOTUNE, deterministic=True)

    def in_order(self):
        records = self._records()
        return self.examples(records.map(lambda i, each: (i, [0, 0], 0, each)))

    def _records(self):
        """`(position, record)` of the split, file by file."""
        records = _file(self._paths, self._lengths.sum())
        if not self._is_whole:
            chosen = tf.data.Dataset.from_tensor_slices(self._chosen)
            pairs = tf.data.Dataset.zip(chosen, records)
            records = pairs.filter(lambda own, _: own).map(lambda _, r: r)
        return records.enumerate()

    def read(self, index):
        raise UsageError(
            f"The images in {os.path.dirname(self._paths[0])} are read from "
            "start to end; this wants one here and one there: leave out "
            "--train_examples, or give --read=random, of a local copy."
        )

    name = read

    def subset(self, indices):
        indices = self.positions(indices)
        if (np.diff(indices) <= 0).any():
            self.read(indices)
        chosen = np.zeros_like(self._chosen)
        chosen[np.flatnonzero(self._chosen)[indices]] = True
        own = self._lengths, self.image_size, self._window, chosen
        return SequentialSplit(self._paths, *own)

    def check(self, indices=None):
        """Reads all files: a stream does not know what it could not read."""
        for path, length in zip(self._paths, self._lengths):
            alone = SequentialSplit([path], [length], self.image_size)
            examples = iter(alone.in_order())
            for number in range(length + 1):  # No more than were told.
                with must(f"read {path}, record {number}", AGAIN):
                    next(examples, None)


def newest_version(folder) -> str | None:
    """The newest version that is prepared in a folder; None without one."""
    gfile, folder = tf.io.gfile, os.fspath(folder)
    there = gfile.listdir(folder) if gfile.isdir(folder) else ()
    names = (re.fullmatch(r"(\d+)\.(\d+)\.(\d+)/?", name) for name in there)
    numbers = sorted([*map(int, n.groups())] for n in names if n)
    versions = (folder + "/{}.{}.{}".format(*n) for n in reversed(numbers))
    return next((v for v in versions if gfile.exists(f"{v}/{_INFO}")), None)


def open_splits(
    root, name, splits, image_size
) -> tuple[list[SequentialSplit], list[str]]:
    """`SequentialSplit`s of a prepared dataset, and its classes' names."""
    opened, complete = [], "Give --data_dir of a complete one"
    with must(f"read a prepared {name} in {root}", complete):
        folder = newest_version(os.path.join(root, name))
        if folder is None:
            raise ValueError("no version of it is there")
        there = tf.io.gfile.listdir(folder)
        info = json.loads(tf.io.read_file(f"{folder}/{_INFO}").numpy())
        names = tf.io.read_file(f"{folder}/label.labels.txt").numpy().decode()
        kind = info.get("fileFormat", "tfrecord")
        if kind != "tfrecord":
            raise ValueError(
                f"it was prepared as {kind}, but only tfrecord can be read "
                "from start to end; or give --read=random"
            )
        known = {each["name"]: each for each in info["splits"]}
        for split in splits:
            lengths = [int(n) for n in known[split]["shardLengths"]]
            template = known[split].get("filepathTemplate", _TEMPLATE)
            of = {"DATASET": info["name"], "SPLIT": split, "FILEFORMAT": kind}
            number = len(lengths)
            shards = (f"{n:05}-of-{number:05}" for n in range(number))
            paths = [template.format(**of, SHARD_X_OF_Y=x) for x in shards]
            if {*paths} - {*there}:
                raise ValueError(f"{min({*paths} - {*there})} is missing")
            paths = [os.path.join(folder, path) for path in paths]
            opened.append(SequentialSplit(paths, lengths, image_size))
    return opened, names.split()


def _file(path, length):
    """The records of files, of which there must be `length`."""
    length = tf.data.experimental.assert_cardinality(length)
    return tf.data.TFRecordDataset(path, buffer_size=_BYTES).apply(length)


def _label(record):
    return tf.cast(parse(record, "label", tf.int64), tf.int32)
