"""What a dataset is: two splits of labelled images and a few constants."""

import abc
import dataclasses
import re

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError


class Split(abc.ABC):
    """Labelled images in a fixed order.

    Attributes:
        labels: NumPy int32 `[N]`.
        image_shape: `(H, W, 3)`, the same for every image.
        files: Paths of the files that images are read from.
        reads_ahead: Whether `read_ahead` has anything to do.
    """

    files = ()
    reads_ahead = False

    def __init__(self, labels, image_shape):
        self.labels = _checked_labels(labels)
        self.image_shape = tuple(image_shape)

    def __len__(self):
        return len(self.labels)

    @property
    def identity(self):
        """What the split is now, an `identity.Identity`.

        Found anew each time, so that what has changed in between is seen.
        """
        return identity.of_batches(self)

    @abc.abstractmethod
    def fetch(self, indices, encoded=None):
        """Reads images by position; may be traced inside `Dataset.map`.

        Args:
            indices: int tensor `[B]`, values in `[0, N)`.
            encoded: What `read_ahead` has read of them, strings `[B]`; None to
                read it now.

        Returns:
            uint8 tensor `[B, H, W, 3]`; B is static where it is in `indices`.
        """

    @abc.abstractmethod
    def fetch_crops(self, indices, seed, crop, encoded=None):
        """Reads a random part of each image, brought to `image_shape`.

        Args:
            indices: As for `fetch`.
            seed: int32 `[2]`, as `tf.random.stateless_*` take. The part of an
                image is a function of it and of the image's position in the
                split, however the batch is cut up or ordered.
            crop: `RandomResizedCrop`.
            encoded: As for `fetch`.

        Returns:
            As `fetch`.
        """

    def encoded(self, indices):
        """What `read_ahead` reads: images as their files hold them.

        Args:
            indices: int tensor `[B]`; the call may be traced.

        Returns:
            `tf.data.Dataset` of B scalar strings in the order of `indices`;
            empty ones where `fetch` reads by itself.
        """
        return tf.data.Dataset.from_tensor_slices(
            tf.fill(tf.shape(indices), "")
        )

    def read_ahead(self, batches, num_parallel_calls=tf.data.AUTOTUNE):
        """Lets a pipeline read images before `fetch` decodes them.

        Under deterministic operations tf.data prefetches nothing, and calls
        one after the other, functions that take an element out of a dataset;
        those that return a dataset of records it does not hold up.

        Args:
            batches: `tf.data.Dataset` of `(..., indices)`, indices of any
                shape.
            num_parallel_calls: Elements that are read at the same time.

        Returns:
            Dataset of `(..., indices, encoded)`, in the same order; `batches`
            itself where `fetch` reads by itself.
        """
        if not self.reads_ahead:
            return batches

        def read(*element):
            indices = element[-1]

            def with_the_rest(encoded):
                encoded = tf.reshape(encoded, tf.shape(indices))
                return *element, tf.ensure_shape(encoded, indices.shape)

            encoded = self.encoded(tf.reshape(indices, [-1]))
            return encoded.batch(tf.size(indices, tf.int64)).map(with_the_rest)

        return batches.interleave(
            read,
            cycle_length=num_parallel_calls,
            num_parallel_calls=num_parallel_calls,
            deterministic=True,
        )

    @abc.abstractmethod
    def batches(self, batch_size):
        """Yields the whole split once, in order, in constant memory.

        Args:
            batch_size: Positive int. The last batch holds what is left.

        Yields:
            `(images, labels)`: NumPy uint8 `[b, H, W, 3]` and int32 `[b]`.
        """

    @abc.abstractmethod
    def subset(self, indices):
        """Returns the split of the images at `indices`, in that order.

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
        self._tensor = None

    @property
    def identity(self):
        return identity.make(self.labels, arrays=[self.images])

    def fetch(self, indices, encoded=None):
        return tf.gather(self._captured(), indices)

    def fetch_crops(self, indices, seed, crop, encoded=None):
        images = self._captured()

        def part(index):
            drawn = tf.random.experimental.stateless_fold_in(seed, index)
            return crop.apply(images[index], drawn, self.image_shape[:2])

        return tf.map_fn(
            part,
            tf.cast(indices, tf.int32),
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
        )

    def _captured(self):
        if self._tensor is None:
            # An eager tensor is captured by a traced function as an input. A
            # NumPy array, or a tensor made while tracing, would be copied
            # into the graph as a constant of the size of the dataset.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self.images)
        return self._tensor

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
        mean: Three floats, the mean that the model's first layer subtracts,
            for pixels scaled to [0, 1].
        std: Three floats, the deviation that layer divides by, likewise.
        flip: Whether a mirrored image keeps its label.
        padding: Pixels of padding for the random crop.
        train_crop: How training images are cropped unless a flag says it:
            `"pad"` (shifted by up to `padding` pixels) or `"resized"`
            (`RandomResizedCrop`).
    """

    name: str
    train: Split | None
    test: Split
    class_names: tuple
    image_shape: tuple
    mean: tuple
    std: tuple
    flip: bool
    padding: int = 4
    train_crop: str = "pad"

    @property
    def num_classes(self):
        return len(self.class_names)


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
