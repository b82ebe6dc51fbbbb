"""What a dataset is: two splits of labelled images and a few constants."""

import abc
import concurrent.futures
import dataclasses
import re

import numpy as np
import tensorflow as tf

from noisymix_tf.data.decode import decode_image
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError


class Split(abc.ABC):
    """Labelled images in a fixed order.

    Attributes:
        labels: NumPy int32 `[N]`.
        image_shape: `(H, W, 3)`, the same for every image.
    """

    def __init__(self, labels, image_shape):
        self.labels = _checked_labels(labels)
        self.image_shape = tuple(image_shape)

    def __len__(self):
        return len(self.labels)

    @abc.abstractmethod
    def fetch(self, indices):
        """Reads images by position; may be traced inside `Dataset.map`.

        Args:
            indices: int tensor `[B]`, values in `[0, N)`.

        Returns:
            uint8 tensor `[B, H, W, 3]`; B is static where it is in `indices`.
        """

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
        """Returns the split of the images at `indices`, in that order."""

    @abc.abstractmethod
    def check(self, indices=None):
        """Raises the `UsageError` that names an image which cannot be read.

        Args:
            indices: Positions to look at; all by default.
        """


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

    def fetch(self, indices):
        if self._tensor is None:
            # An eager tensor is captured by a traced function as an input. A
            # NumPy array, or a tensor made while tracing, would be copied
            # into the graph as a constant of the size of the dataset.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self.images)
        return tf.gather(self._tensor, indices)

    def batches(self, batch_size):
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], self.labels[part]

    def subset(self, indices):
        return ArraySplit(self.images[indices], self.labels[indices])

    def check(self, indices=None):
        """Does nothing: images in memory can always be read."""


class FileSplit(Split):
    """A split of image files that are decoded when they are needed.

    JPEG, PNG, GIF (its first frame) and BMP; grey, palette and alpha images
    become RGB. JPEG files are decoded with the accurate inverse DCT, which
    agrees with Pillow's pixels.

    Args:
        paths: Sequence of N file names.
        labels: ints `[N]`, class numbers from 0.
        image_size: How images are brought to one size: a `Preprocess`; or an
            int S, which means `"resizeS-cropS"`; or a pair (H, W): the size
            every file has already, taken as it is.

    Attributes:
        preprocess: The `Preprocess` that `image_size` means.

    Raises:
        UsageError: If the lengths differ, if the `Preprocess` is as stored and
            thus tells no size, or from `batches` where a file cannot be
            decoded. Inside `fetch` such a file is a `tf.errors.OpError`
            without a name; `find_unreadable` finds it.

    Example:

    >>> split = FileSplit(["a.png", "b.jpg"], [0, 1], image_size=224)
    >>> split.image_shape
    (224, 224, 3)
    """

    def __init__(self, paths, labels, image_size):
        self.preprocess, size = _size_rule(image_size)
        super().__init__(labels, (*size, 3))
        if len(paths) != len(self.labels):
            raise UsageError(
                f"{len(paths)} files but {len(self.labels)} labels; "
                "give one label for each file."
            )
        self.paths = tuple(map(str, paths))
        self.image_size = image_size
        self._has_bmp = any(p.lower().endswith(".bmp") for p in self.paths)
        self._tensor = None

    def fetch(self, indices):
        if self._tensor is None:
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self.paths, tf.string)
        return tf.map_fn(
            self._read,
            tf.gather(self._tensor, indices),
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
        )

    def batches(self, batch_size):
        images = (
            tf.data.Dataset.from_tensor_slices(list(self.paths))
            .map(
                self._read,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(batch_size)
            .prefetch(1)
            .as_numpy_iterator()
        )
        for start in range(0, len(self), batch_size):
            labels = self.labels[start : start + batch_size]
            try:
                batch = next(images)
            except tf.errors.OpError:
                self.check(range(start, start + len(labels)))
                raise
            yield batch, labels

    def subset(self, indices):
        paths = [self.paths[i] for i in indices]
        return FileSplit(paths, self.labels[indices], self.image_size)

    def find_unreadable(self, indices=None):
        """Decodes files one by one and reports those that fail.

        Args:
            indices: Positions to look at; all by default.

        Returns:
            List of `(path, reason)`, empty where every file is sound.
        """
        indices = range(len(self)) if indices is None else indices
        paths = [self.paths[i] for i in indices]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reasons = pool.map(self._defect, paths)
            return [(p, reason) for p, reason in zip(paths, reasons) if reason]

    def check(self, indices=None):
        bad = self.find_unreadable(indices)
        if bad:
            path, reason = bad[0]
            more = f" ({len(bad) - 1} more like it)" if bad[1:] else ""
            raise UsageError(
                f"Cannot read the image {path!r}{more}: {reason}. "
                "Replace or remove it."
            )

    def _defect(self, path):
        try:
            image = decode_image(tf.io.read_file(path), self._has_bmp)
        except (tf.errors.OpError, ValueError) as error:
            return one_line(error)
        if self.preprocess.side is not None:
            return self.preprocess.defect(*image.shape[:2])
        if tuple(image.shape) != self.image_shape:
            return (
                f"its size is {size_text(image.shape)}, "
                f"expected {size_text(self.image_shape)} (or give a preprocess "
                "such as resize256-crop224)"
            )
        return None

    def _read(self, path):
        image = decode_image(tf.io.read_file(path), self._has_bmp)
        image = self.preprocess.apply(image)
        return tf.ensure_shape(image, self.image_shape)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification dataset.

    Attributes:
        name: As given to `noisymix_tf.data.load`.
        train: `Split` to learn from.
        test: `Split` to measure on.
        class_names: Tuple of str; the position is the label.
        image_shape: `(H, W, 3)`.
        mean: Three floats, the mean that the model's first layer subtracts,
            for pixels scaled to [0, 1].
        std: Three floats, the deviation that layer divides by, likewise.
        flip: Whether a mirrored image keeps its label.
        padding: Pixels of padding for the random crop.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple
    image_shape: tuple
    mean: tuple
    std: tuple
    flip: bool
    padding: int = 4

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


def _size_rule(image_size):
    """`(Preprocess, (H, W))` of `FileSplit`'s argument."""
    if isinstance(image_size, (int, np.integer)):
        image_size = Preprocess(int(image_size), int(image_size))
    if not isinstance(image_size, Preprocess):
        return Preprocess(), tuple(map(int, image_size))
    if image_size.side is None:
        raise UsageError(
            "preprocess=as_stored tells no size: give the (H, W) of the files."
        )
    return image_size, (image_size.side, image_size.side)


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
