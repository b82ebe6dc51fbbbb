"""What a dataset is: two splits of labelled images and a few constants."""

import abc
import dataclasses
import functools
import re

import numpy as np
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.data import identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError


class Split(abc.ABC):
    """Labelled images in a fixed order.

    Attributes:
        labels: NumPy int32 `[N]`.
        image_shape: `(H, W, 3)`, the same for every image.
        files: Paths of the files that images are read from.
        in_memory: Whether `fetch` is a gather of what lies in memory.
        needs_python: Whether images are read by Python, which ties a pipeline
            to this process.
        reads_ahead: Whether images are read by `encoded`.
    """

    files = ()
    in_memory = needs_python = reads_ahead = False

    def __init__(self, labels, image_shape):
        if labels is not None:
            self.labels = _checked_labels(labels)
        self.image_shape = tuple(image_shape)

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
            encoded: What `encoded` has read of it; None to read it now.
            crop: `RandomResizedCrop`, for a random part of the image, brought
                to `image_shape`; None for the whole image.
            seed: int32 `[2]`. The part is a function of it and of `index`.
        """

    def encoded(self, index):
        """`tf.data.Dataset` of one string: an image as its file holds it.

        Under deterministic operations tf.data calls functions that take an
        element out of a dataset one after the other; those that return a
        dataset of a record it does not hold up.
        """
        return tf.data.Dataset.from_tensor_slices([""])

    def fetch(self, indices):
        """uint8 `[n, H, W, 3]`: the images at positions, ints `[n]`."""
        return self._mapped(self.image, indices)

    def fetch_crops(self, indices, seed, crop):
        """uint8 `[n, H, W, 3]`: a random part of each, as `image` says."""
        return self._mapped(
            lambda index: self.image(index, crop=crop, seed=seed), indices
        )

    def _mapped(self, function, indices):
        spec = tf.TensorSpec(self.image_shape, tf.uint8)
        return tf.map_fn(function, indices, fn_output_signature=spec)

    def epoch(self, key, start):
        """The order of an epoch, as a `tf.data.Dataset` of `(index, ...)`.

        Args:
            key: int32 `[2]`, of which the order is a function.
            start: Scalar int64 tensor, how many images to leave out.
        """
        order = rng.permutation(key, len(self))
        return tf.data.Dataset.from_tensor_slices((order[start:],))

    def examples(self, elements, crop=None):
        """Reads images one by one, for each core one at a time, in order.

        Args:
            elements: `tf.data.Dataset` of `(tag, seed, index, ...)`: anything,
                int32 `[2]`, and an element of `epoch`.
            crop: As for `image`.

        Returns:
            `tf.data.Dataset` of `(tag, image, label)`.
        """
        labels = as_tensor(self.labels)
        if self.reads_ahead:
            elements = elements.interleave(
                lambda *element: self.encoded(element[-1]).map(
                    lambda encoded: (*element, encoded)
                ),
                cycle_length=tf.data.AUTOTUNE,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        def example(tag, seed, index, *encoded):
            image = self.image(index, *encoded, crop=crop, seed=seed)
            return tag, image, tf.gather(labels, index)

        return elements.map(example, tf.data.AUTOTUNE, deterministic=True)

    def in_order(self):
        """`tf.data.Dataset` of `(position, image, label)` of all images."""
        indices = tf.data.Dataset.range(len(self))
        return self.examples(indices.map(lambda index: (index, [0, 0], index)))

    def batches(self, batch_size):
        """Yields the whole split once, in order, in constant memory.

        Yields:
            `(images, labels)`: NumPy uint8 `[b, H, W, 3]` and int32 `[b]`; the
            last batch holds what is left.

        Raises:
            UsageError: If an image cannot be read.
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
        """The split of the images at `indices`, in that order.

        Raises:
            UsageError: If they are no positions of this split.
        """

    @abc.abstractmethod
    def check(self, indices=None):
        """Raises the `UsageError` that names an image which cannot be read.

        Args:
            indices: Positions to look at; all by default.
        """

    def positions(self, indices):
        """Positions in the split as an int array `[n]`, checked."""
        given = np.asarray(indices)
        if not given.size:
            given = given.astype(np.int64)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            raise UsageError(
                f"subset takes positions, whole numbers [n], got {given.dtype} "
                f"{list(given.shape)}."
            )
        outside = given[(given < 0) | (given >= len(self))]
        if outside.size:
            raise UsageError(
                f"subset: there is no image {outside[0]} in a split of "
                f"{len(self)}, which count from 0."
            )
        return given


class ArraySplit(Split):
    """A split held in memory.

    Args:
        images: NumPy uint8 `[N, H, W, 3]`, values 0..255.
        labels: ints `[N]`, class numbers from 0.

    Raises:
        UsageError: If a shape or dtype is another one.

    Example:

    >>> split = ArraySplit(np.zeros([10, 32, 32, 3], np.uint8), np.arange(10))
    >>> split.fetch(tf.constant([3, 1])).shape
    TensorShape([2, 32, 32, 3])
    """

    in_memory = True

    def __init__(self, images, labels):
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[3:] != (3,):
            raise UsageError(
                "images must be a uint8 array [N, H, W, 3] with values 0..255; "
                f"got {images.dtype} {list(images.shape)}."
            )
        super().__init__(labels, images.shape[1:])
        if len(images) != len(self.labels):
            raise UsageError(
                f"{len(images)} images but {len(self.labels)} labels; "
                "give one label for each image."
            )
        self.images = images

    @property
    def identity(self):
        return identity.make(self.labels, arrays=[self.images])

    @functools.cached_property
    def _tensor(self):
        return as_tensor(self.images)

    def image(self, index, encoded=None, crop=None, seed=None):
        image = tf.gather(self._tensor, index)
        if crop is None:
            return image
        return crop.apply(image, own_seed(seed, index), self.image_shape[:2])

    def fetch(self, indices):
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
        train_crop: How training images are cropped unless a flag says it:
            `"pad"` (shifted by up to `padding` pixels) or `"resized"`
            (`RandomResizedCrop`).
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


def as_tensor(values, dtype=None):
    """An eager tensor, which traced functions capture and do not copy."""
    with tf.init_scope(), tf.device("CPU:0"):
        return tf.constant(values, dtype)


def own_seed(seed, number):
    """The seed of one of many that share a seed."""
    return tf.random.experimental.stateless_fold_in(
        seed, tf.cast(number, tf.int32)
    )


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
    if preprocess is not None and Preprocess.parse(preprocess).side is not None:
        raise UsageError(
            f"preprocess={preprocess}: {name} images are {size_text(shape)} "
            "and are taken as they are; leave it out (it belongs to "
            "--dataset=folder)."
        )
    if image_size is not None and (image_size, image_size) != shape[:2]:
        raise UsageError(
            f"--image_size={image_size}: {name} images are "
            f"{size_text(shape)} and are not resized; leave the flag out "
            "(it belongs to --dataset=folder)."
        )


def _checked_labels(labels):
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            "labels must be integers [N]; "
            f"got {labels.dtype} {list(labels.shape)}."
        )
    if labels.size and labels.min() < 0:
        raise UsageError(
            f"labels must be class numbers from 0; got {labels.min()}."
        )
    return labels.astype(np.int32)
