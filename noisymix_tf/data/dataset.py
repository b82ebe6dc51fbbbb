"""What a dataset is: two splits of labelled images and a few constants."""

import abc
import concurrent.futures
import dataclasses
import functools
import numbers
from collections.abc import Iterator

import numpy as np

from noisymix_tf import rng
from noisymix_tf.checks import class_numbers
from noisymix_tf.data import identity
from noisymix_tf.data.preprocess import Preprocess, decode_image
from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import tf


def kept(name, dtype=None):
    """A property: `as_tensor` of an attribute, made once."""
    return functools.cached_property(
        lambda self: as_tensor(getattr(self, name), dtype)
    )


def as_tensor(values, dtype=None) -> "tf.Tensor":
    """An eager tensor, which traced functions capture and do not copy."""
    with tf.init_scope(), tf.device("CPU:0"):
        return tf.constant(values, dtype)


class Split(abc.ABC):
    """Labelled images in a fixed order.

    `labels` are NumPy int32 `[N]`, and `image_shape`, `(H, W, 3)`, is that of
    every image.
    """

    files = ()  # Paths of the files that images are read from.
    in_memory = False  # Whether `fetch` is a gather of what lies in memory.
    needs_python = False  # Who reads images; it ties a pipeline to a process.
    # Function from a position to a `tf.data.Dataset` of one string for `image`.
    # For deterministic operations: tf.data holds up functions that take an
    # element out of a dataset, but not these.
    encoded = None

    def __init__(self, labels, image_shape, number=None):
        self.image_shape = tuple(image_shape)
        if labels is not None:
            number = len(labels) if number is None else number
            self.labels = class_numbers(labels, number).astype(np.int32)

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        size = size_text(self.image_shape)
        return f"<{type(self).__name__}: {len(self):,} images of {size}>"

    @property
    def identity(self) -> identity.Identity:
        """What the split is now, found anew."""
        return identity.of_batches(self)

    @abc.abstractmethod
    def image(self, index, encoded=None, crop=None, seed=None) -> "tf.Tensor":
        """One image, uint8 `[H, W, 3]`; may be traced inside `Dataset.map`.

        What `encoded` gave is not read again. Of a `crop`, a
        `RandomResizedCrop`, the part is a function of the seed, int32 `[2]`,
        and of the index.
        """

    def fetch(self, indices, crop=None, seed=None) -> "tf.Tensor":
        """uint8 `[n, H, W, 3]`: `image` at positions, ints `[n]`."""
        return tf.map_fn(
            lambda index: self.image(index, crop=crop, seed=seed),
            indices,
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
        )

    def epoch(self, key, start) -> "tf.data.Dataset":
        """The order by a key: `(index, ...)` from a start."""
        order = rng.permutation(key, len(self))
        return tf.data.Dataset.from_tensor_slices((order[start:],))

    def examples(self, elements, crop=None) -> "tf.data.Dataset":
        """Reads images one by one, for each core one at a time, in order.

        From a `tf.data.Dataset` of `(tag, seed)` and an element of `epoch`,
        with any tag, to `(tag, image, label)`.
        """
        labels, how = as_tensor(self.labels), {"deterministic": True}
        how["num_parallel_calls"] = tf.data.AUTOTUNE

        def example(tag, seed, index, *encoded):
            image = self.image(index, *encoded, crop=crop, seed=seed)
            return tag, image, tf.gather(labels, index)

        def read(*element):
            one = tuple(each[tf.newaxis] for each in element)
            one = tf.data.Dataset.from_tensor_slices(one)
            return tf.data.Dataset.zip(one, self.encoded(element[-1]))

        if self.encoded is None:
            return elements.map(example, **how)
        elements = elements.interleave(read, tf.data.AUTOTUNE, **how)
        return elements.map(lambda one, each: example(*one, each), **how)

    def in_order(self) -> "tf.data.Dataset":
        """`(position, image, label)` of all images."""
        indices = tf.data.Dataset.range(len(self))
        return self.examples(indices.map(lambda index: (index, [0, 0], index)))

    def batches(self, batch_size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the whole split once, in order, in constant memory.

        As NumPy uint8 `[b, H, W, 3]` and int32 `[b]`; what `check` raises.
        """
        read = self.in_order().batch(batch_size).prefetch(1)
        batches = read.as_numpy_iterator()
        for start in range(0, len(self), batch_size):
            try:
                _, images, labels = next(batches)
            except tf.errors.OpError:
                self.check(range(start, min(start + batch_size, len(self))))
                raise
            yield images, labels

    @abc.abstractmethod
    def subset(self, indices) -> "Split":
        """The split of the images at some `positions`, in that order."""

    @abc.abstractmethod
    def check(self, indices=None) -> None:
        """Names an image that cannot be read, of all or some: `UsageError`."""

    def positions(self, indices) -> np.ndarray:
        """Positions in the split as an int array `[n]`, or a `UsageError`."""
        given = np.asarray(indices)
        given = given if given.size else given.astype(np.int64)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            got = f"{given.dtype} {list(given.shape)}"
            raise UsageError(f"subset: give whole numbers [n]; got {got}.")
        for odd in given[(given < 0) | (given >= len(self))]:
            raise UsageError(
                f"subset: there is no image {odd} in a split of {len(self)}, "
                "which count from 0."
            )
        return given


class ArraySplit(Split):
    """A split in memory: NumPy uint8 `[N, H, W, 3]`, and ints `[N]` from 0.

    >>> ArraySplit(np.zeros([10, 32, 32, 3], np.uint8), np.arange(10))
    <ArraySplit: 10 images of 32 x 32>
    """

    in_memory = True
    _tensor = kept("images")

    def __init__(self, images, labels):
        self.images = images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[3:] != (3,):
            what = "images must be a uint8 array [N, H, W, 3], values 0..255"
            got = f"{images.dtype} {list(images.shape)}"
            raise UsageError(f"{what}; got {got}.")
        super().__init__(labels, images.shape[1:], len(images))

    @property
    def identity(self):
        return identity.make(self.labels, arrays=[self.images])

    def image(self, index, encoded=None, crop=None, seed=None):
        image = tf.gather(self._tensor, index)
        if crop is None:
            return image
        return crop.apply(image, own_seed(seed, index), self.image_shape[:2])

    def fetch(self, indices, crop=None, seed=None):
        if crop is not None:
            return super().fetch(indices, crop, seed)
        return tf.gather(self._tensor, indices)

    def batches(self, batch_size):
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], self.labels[part]

    def subset(self, indices):
        indices = self.positions(indices)
        return ArraySplit(self.images[indices], self.labels[indices])

    def check(self, indices=None):
        """Does nothing: images in memory can always be read."""


class EncodedSplit(Split):
    """A split of JPEG, PNG, GIF (first frame), WebP or BMP, by their content.

    `image_size` says how they are brought to one size: a `Preprocess`; an int S
    for `"resizeS-cropS"`; or (H, W), the size that all have. In `image` a bad
    one is a `tf.errors.OpError`.
    """

    arrays = ()  # Which of the images in `files` these are, if not all.

    def __init__(self, labels, image_size, needs_python=False, number=None):
        how = self.image_size = image_size
        if isinstance(how, numbers.Integral):
            how = Preprocess(int(how), int(how))
        is_rule = isinstance(how, Preprocess)
        size = (how.side, how.side) if is_rule else tuple(map(int, how))
        if None in size:
            raise UsageError(
                f"preprocess={how} tells no size: give the (H, W) of the files."
            )
        super().__init__(labels, (*size, 3), number)
        self.preprocess = how if is_rule else Preprocess()
        self.needs_python = needs_python
        # What pixels come of a file.
        self.reading = f"{self.preprocess} {size_text(size)}"

    @property
    def identity(self):
        own = {"arrays": self.arrays, "files": self.files}
        return identity.make(self.labels, reading=self.reading, **own)

    @abc.abstractmethod
    def read(self, index) -> "tf.Tensor":
        """The encoded image at a position, a scalar string; may be traced."""

    @abc.abstractmethod
    def name(self, index) -> str:
        """What to call the image at a position in a message."""

    def image(self, index, encoded=None, crop=None, seed=None):
        content = self.read(index) if encoded is None else encoded
        if crop is None:
            image = self.preprocess.apply(decode_image(content, True))
        else:
            own = own_seed(seed, index), self.image_shape[:2], True
            image = crop.decode(content, *own)
        return tf.ensure_shape(image, self.image_shape)

    def find_unreadable(self, indices=None) -> list[tuple[str, str]]:
        """`[(name, reason)]` of images, by default all, that cannot be read."""
        indices = range(len(self)) if indices is None else indices
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reasons = zip(indices, pool.map(self._defect, indices))
            return [(self.name(i), reason) for i, reason in reasons if reason]

    def check(self, indices=None):
        bad = self.find_unreadable(indices)
        for name, reason in bad:
            more = f" ({len(bad) - 1} more like it)" if bad[1:] else ""
            raise UsageError(
                f"Cannot read the image {name!r}{more}: {reason}. "
                "Replace or remove it."
            )

    def _defect(self, index):
        try:
            image = decode_image(self.read(index), True)
        except (tf.errors.OpError, ValueError) as error:
            return one_line(error)
        if self.preprocess.side is not None:
            return self.preprocess.defect(*image.shape[:2])
        if tuple(image.shape) == self.image_shape:
            return None
        size, own = size_text(image.shape), size_text(self.image_shape)
        remedy = "or give a preprocess such as resize256-crop224"
        return f"its size is {size}, expected {own} ({remedy})"


class JoinedSplit(Split):
    """Splits of one `image_shape` in a row; of their images those at `rows`."""

    _tensor = kept("_where")

    def __init__(self, parts, rows=None):
        self.parts = tuple(parts)
        sizes = [*dict.fromkeys(size_text(p.image_shape) for p in parts)]
        if len(sizes) > 1:
            must = "Splits that are joined must have images of one size"
            raise UsageError(f"{must}, not {' and '.join(sizes)}.")
        labels = np.concatenate([part.labels for part in parts])
        rows = self._rows = np.arange(len(labels)) if rows is None else rows
        super().__init__(labels[rows], parts[0].image_shape)
        # Which part an image is of, and where it is there.
        ends = np.cumsum([*map(len, parts)])
        part_of = np.searchsorted(ends, rows, "right")
        places = rows - np.append(0, ends)[part_of]
        self._where = np.stack([part_of, places]).astype(np.int32)
        self.files = sum((tuple(part.files) for part in parts), ())
        self.needs_python = any(part.needs_python for part in parts)
        if not any(part.encoded for part in parts):
            self.encoded = None

    @property
    def identity(self):
        parts = [part.identity for part in self.parts]
        return identity.make(self.labels, arrays=self._where, parts=parts)

    def image(self, index, encoded=None, crop=None, seed=None):
        part_of, place = tf.unstack(tf.gather(self._tensor, index, axis=1))

        def read(number, part):
            # Images at one place of two parts are cropped in different ways.
            own = None if crop is None else own_seed(seed, number)
            return part.image(place, part.encoded and encoded, crop, own)

        every = enumerate(self.parts)
        reads = [functools.partial(read, *numbered) for numbered in every]
        return tf.switch_case(part_of, reads)

    def encoded(self, index):
        part_of, place = tf.unstack(tf.gather(self._tensor, index, axis=1))

        def read(part):
            if part.encoded is None or not len(part):
                return tf.data.Dataset.from_tensor_slices([""])
            # Of others than its own nothing is read, whatever the place.
            return part.encoded(tf.minimum(place, len(part) - 1))

        which = tf.data.Dataset.from_tensor_slices([tf.cast(part_of, "int64")])
        return tf.data.Dataset.choose_from_datasets(
            [*map(read, self.parts)], which, stop_on_empty_dataset=False
        )

    def subset(self, indices):
        return JoinedSplit(self.parts, self._rows[self.positions(indices)])

    def check(self, indices=None):
        indices = np.arange(len(self)) if indices is None else list(indices)
        part_of, places = self._where[:, indices]
        for number, part in enumerate(self.parts):
            part.check(places[part_of == number].tolist())


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification dataset."""

    name: str  # As given to `noisymix_tf.data.load`; of a folder its own.
    train: Split | None  # To learn from; None of `test_folder`.
    test: Split  # To measure on.
    class_names: tuple = dataclasses.field(repr=False)  # By label.
    image_shape: tuple  # `(H, W, 3)`.
    # What the model's first layer subtracts from pixels scaled to [0, 1], and
    # then divides by: three floats each.
    mean: tuple
    std: tuple
    flip: bool  # Whether a mirrored image keeps its label.
    padding: int = 4  # Of the random crop, in pixels.
    train_crop: str = "pad"  # Or "resized", `RandomResizedCrop`.

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def own_seed(seed, number) -> "tf.Tensor":
    """The seed of one of many that share a seed."""
    number = tf.cast(number, tf.int32)
    return tf.random.experimental.stateless_fold_in(seed, number)


def size_text(shape) -> str:
    """Height and width for messages: `"32 x 48"`."""
    return f"{shape[0]} x {shape[1]}"
