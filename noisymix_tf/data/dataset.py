"""What a dataset is: two splits of labelled images and a few constants."""

import abc
import dataclasses
import functools
import re

import numpy as np

from noisymix_tf import rng
from noisymix_tf.data import identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


def kept(name, dtype=None):
    """A property: `as_tensor` of an attribute, made once."""
    return functools.cached_property(
        lambda self: as_tensor(getattr(self, name), dtype)
    )


def as_tensor(values, dtype=None):
    """An eager tensor, which traced functions capture and do not copy."""
    with tf.init_scope(), tf.device("CPU:0"):
        return tf.constant(values, dtype)


class Split(abc.ABC):
    """Labelled images in a fixed order.

    Attributes:
        labels: NumPy int32 `[N]`.
        image_shape: `(H, W, 3)`, the same for every image.
        files: Paths of the files that images are read from.
        in_memory: Whether `fetch` is a gather of what lies in memory.
        needs_python: Whether Python reads images, which ties a pipeline to
            this process.
        encoded: Function from a position to a `tf.data.Dataset` of one string
            for `image`, or None. For deterministic operations: tf.data holds up
            functions that take an element out of a dataset, but not these.
    """

    files, in_memory, needs_python, encoded = (), False, False, None

    def __init__(self, labels, image_shape, number=None):
        self.image_shape = tuple(image_shape)
        if labels is None:
            return
        self.labels = labels = _whole_numbers(labels, "labels").astype(np.int32)
        if labels.size and labels.min() < 0:
            raise UsageError(
                f"labels must be class numbers from 0; got {labels.min()}."
            )
        if number not in (None, len(labels)):
            raise UsageError(
                f"{number} images but {len(labels)} labels; give one for each."
            )

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        size = size_text(self.image_shape)
        return f"<{type(self).__name__}: {len(self):,} images of {size}>"

    @property
    def identity(self):
        """What the split is now, an `identity.Identity`, found anew."""
        return identity.of_batches(self)

    @abc.abstractmethod
    def image(self, index, encoded=None, crop=None, seed=None):
        """One image, uint8 `[H, W, 3]`; may be traced inside `Dataset.map`.

        Args:
            index: Scalar int tensor, value in `[0, N)`.
            encoded: What `encoded` gave; None to read it now.
            crop: `RandomResizedCrop`, for a part of the image; None for all.
            seed: int32 `[2]`. The part is a function of it and of `index`.
        """

    def fetch(self, indices, crop=None, seed=None):
        """uint8 `[n, H, W, 3]`: `image` at positions, ints `[n]`."""
        return tf.map_fn(
            lambda index: self.image(index, crop=crop, seed=seed),
            indices,
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
        )

    def epoch(self, key, start):
        """The order by a key, a dataset of `(index, ...)` from a start."""
        order = rng.permutation(key, len(self))
        return tf.data.Dataset.from_tensor_slices((order[start:],))

    def examples(self, elements, crop=None):
        """Reads images one by one, for each core one at a time, in order.

        From a `tf.data.Dataset` of `(tag, seed, index, ...)`, anything, an
        int32 `[2]` and an element of `epoch`, to `(tag, image, label)`.
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

    def in_order(self):
        """`tf.data.Dataset` of `(position, image, label)` of all images."""
        indices = tf.data.Dataset.range(len(self))
        return self.examples(indices.map(lambda index: (index, [0, 0], index)))

    def batches(self, batch_size):
        """Yields the whole split once, in order, in constant memory.

        As `(images, labels)`, NumPy uint8 `[b, H, W, 3]` and int32 `[b]`, at
        last what is left; or a `UsageError`, as `check`.
        """
        batches = self.in_order().batch(batch_size).prefetch(1)
        batches = batches.as_numpy_iterator()
        for start in range(0, len(self), batch_size):
            try:
                _, images, labels = next(batches)
            except tf.errors.OpError:
                self.check(range(start, min(start + batch_size, len(self))))
                raise
            yield images, labels

    @abc.abstractmethod
    def subset(self, indices):
        """The split of the images at some `positions`, in that order."""

    @abc.abstractmethod
    def check(self, indices=None):
        """Names an image that cannot be read, of all or some: `UsageError`."""

    def positions(self, indices):
        """Positions in the split as an int array `[n]`, or a `UsageError`."""
        given = _whole_numbers(indices, "the positions of a subset")
        for outside in given[(given < 0) | (given >= len(self))]:
            raise UsageError(
                f"subset: there is no image {outside} in a split of "
                f"{len(self)}, which count from 0."
            )
        return given


class ArraySplit(Split):
    """A split held in memory.

    Args:
        images: NumPy uint8 `[N, H, W, 3]`, values 0..255.
        labels: ints `[N]`, class numbers from 0.

    >>> ArraySplit(np.zeros([10, 32, 32, 3], np.uint8), np.arange(10))
    <ArraySplit: 10 images of 32 x 32>
    """

    in_memory = True
    _tensor = kept("images")

    def __init__(self, images, labels):
        self.images = images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[3:] != (3,):
            raise UsageError(
                "images must be a uint8 array [N, H, W, 3] with values 0..255; "
                f"got {images.dtype} {list(images.shape)}."
            )
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
        if crop is None:
            return tf.gather(self._tensor, indices)
        return super().fetch(indices, crop, seed)

    def batches(self, batch_size):
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], self.labels[part]

    def subset(self, indices):
        indices = self.positions(indices)
        return ArraySplit(self.images[indices], self.labels[indices])

    def check(self, indices=None):
        """Does nothing: images in memory can always be read."""


class JoinedSplit(Split):
    """Splits of one `image_shape` one behind the other.

    Of all their images those at `rows`, ints `[N]`, by default all.
    """

    _tensor = kept("_where")

    def __init__(self, parts, rows=None):
        self.parts = tuple(parts)
        sizes = [*dict.fromkeys(size_text(p.image_shape) for p in parts)]
        if len(sizes) > 1:
            raise UsageError(
                "Splits that are joined must have images of one size, not "
                f"{' and '.join(sizes)}."
            )
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
    """A classification dataset.

    Attributes:
        name: As given to `noisymix_tf.data.load`; of a folder its own.
        train: `Split` to learn from; None of `test_folder`.
        test: `Split` to measure on.
        class_names: Tuple of str; the position is the label.
        image_shape: `(H, W, 3)`.
        mean, std: Three floats each: what the model's first layer subtracts,
            and then divides by, for pixels scaled to [0, 1].
        flip: Whether a mirrored image keeps its label.
        padding: Pixels of padding for the random crop.
        train_crop: How training images are cropped by default: `"pad"` (by up
            to `padding` pixels) or `"resized"` (`RandomResizedCrop`).
    """

    name: str
    train: Split | None
    test: Split
    class_names: tuple = dataclasses.field(repr=False)
    image_shape: tuple
    mean: tuple
    std: tuple
    flip: bool
    padding: int = 4
    train_crop: str = "pad"

    @property
    def num_classes(self):
        return len(self.class_names)


def own_seed(seed, number):
    """The seed of one of many that share a seed."""
    number = tf.cast(number, tf.int32)
    return tf.random.experimental.stateless_fold_in(seed, number)


def one_line(error):
    """The first line of an exception's message, without op names."""
    message = getattr(error, "message", None) or str(error)
    lines = message.strip().splitlines() or [type(error).__name__]
    line = re.sub(r"\{\{.*?\}\}+|\[Op:.*", "", lines[0])
    return line.strip().rstrip(".")


def size_text(shape):
    """Height and width for messages: `"32 x 48"`."""
    return f"{shape[0]} x {shape[1]}"


def refuse_resizing(name, image_size, preprocess, shape):
    """Raises where a dataset of one size is asked for another one."""
    resize = preprocess and Preprocess.parse(preprocess).side
    for is_other, given in (
        (resize, f"preprocess={preprocess}"),
        (image_size not in (None, *shape[:1]), f"--image_size={image_size}"),
    ):
        if is_other:
            raise UsageError(
                f"{given}: {name} images are {size_text(shape)} and are taken "
                "as they are; leave it out (it belongs to --dataset=folder)."
            )


def _whole_numbers(values, what):
    values = np.asarray(values)
    if not values.size:
        values = values.astype(np.int64)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise UsageError(
            f"{what} must be whole numbers [n]; got {values.dtype} "
            f"{list(values.shape)}."
        )
    return values
