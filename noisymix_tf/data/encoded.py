"""Splits of encoded images, which are decoded when they are needed."""

import abc
import concurrent.futures

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import Split, one_line, size_text
from noisymix_tf.data.decode import decode_image
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError


class EncodedSplit(Split):
    """A split of JPEG, PNG, GIF (its first frame) or BMP images.

    Grey, palette and alpha images become RGB. JPEG files are decoded with the
    accurate inverse DCT, which agrees with Pillow's pixels.

    Args:
        labels: ints `[N]`, class numbers from 0.
        image_size: How images are brought to one size: a `Preprocess`; or an
            int S, which means `"resizeS-cropS"`; or a pair (H, W): the size
            every image has already, taken as it is.
        has_bmp: Whether there may be BMP images.

    Attributes:
        preprocess: The `Preprocess` that `image_size` means.
        needs_python: Whether images are read by Python, which ties a pipeline
            to this process.

    Raises:
        UsageError: If the `Preprocess` is as stored and thus tells no size, or
            from `batches` where an image cannot be decoded. Inside `fetch`
            such an image is a `tf.errors.OpError` without a name;
            `find_unreadable` finds it.
    """

    def __init__(self, labels, image_size, has_bmp=False):
        self.preprocess, size = _size_rule(image_size)
        super().__init__(labels, (*size, 3))
        self.image_size = image_size
        # What pixels come of a file.
        self.reading = f"{self.preprocess} {size_text(size)}"
        self._has_bmp = has_bmp
        self.needs_python = has_bmp

    @abc.abstractmethod
    def read(self, index):
        """The encoded image at a position, a scalar string tensor.

        Args:
            index: Scalar int tensor, value in `[0, N)`; the call may be traced
                inside `Dataset.map`.
        """

    @abc.abstractmethod
    def name(self, index):
        """What to call the image at a position in a message."""

    def fetch(self, indices, encoded=None):
        return self._map(self._decoded, indices, encoded)

    def fetch_crops(self, indices, seed, crop, encoded=None):
        def part(index, content=None):
            return crop.decode(
                self.read(index) if content is None else content,
                tf.random.experimental.stateless_fold_in(seed, index),
                self.image_shape[:2],
                self._has_bmp,
            )

        return self._map(part, tf.cast(indices, tf.int32), encoded)

    def batches(self, batch_size):
        images = (
            self.read_ahead(tf.data.Dataset.range(len(self)))
            .map(
                self._decoded,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(batch_size)
            .prefetch(1)
            .as_numpy_iterator()
        )
        yield from with_labels(self, images, batch_size)

    def find_unreadable(self, indices=None):
        """Decodes images one by one and reports those that fail.

        Args:
            indices: Positions to look at; all by default.

        Returns:
            List of `(name, reason)`, empty where every image is sound.
        """
        indices = range(len(self)) if indices is None else indices
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reasons = zip(indices, pool.map(self._defect, indices))
            return [(self.name(i), reason) for i, reason in reasons if reason]

    def check(self, indices=None):
        bad = self.find_unreadable(indices)
        if bad:
            name, reason = bad[0]
            more = f" ({len(bad) - 1} more like it)" if bad[1:] else ""
            raise UsageError(
                f"Cannot read the image {name!r}{more}: {reason}. "
                "Replace or remove it."
            )

    def _defect(self, index):
        try:
            image = decode_image(self.read(index), self._has_bmp)
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

    def _decoded(self, index, content=None):
        content = self.read(index) if content is None else content
        image = self.preprocess.apply(decode_image(content, self._has_bmp))
        return tf.ensure_shape(image, self.image_shape)

    def _map(self, function, indices, encoded):
        elements = (indices,) if encoded is None else (indices, encoded)
        return tf.map_fn(
            lambda element: function(*element),
            elements,
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
        )


class FileSplit(EncodedSplit):
    """A split of image files, see `EncodedSplit`.

    Args:
        paths: Sequence of N file names.
        labels: ints `[N]`, class numbers from 0.
        image_size: As for `EncodedSplit`.

    Raises:
        UsageError: If the lengths differ, or as `EncodedSplit` says.

    Example:

    >>> split = FileSplit(["a.png", "b.jpg"], [0, 1], image_size=224)
    >>> split.image_shape
    (224, 224, 3)
    """

    def __init__(self, paths, labels, image_size):
        self.paths = tuple(map(str, paths))
        has_bmp = any(path.lower().endswith(".bmp") for path in self.paths)
        super().__init__(labels, image_size, has_bmp)
        if len(paths) != len(self.labels):
            raise UsageError(
                f"{len(paths)} files but {len(self.labels)} labels; "
                "give one label for each file."
            )
        self._tensor = None

    @property
    def files(self):
        return self.paths

    @property
    def identity(self):
        return identity.make(
            self.labels, files=self.files, reading=self.reading
        )

    def read(self, index):
        if self._tensor is None:
            # As in ArraySplit: captured, and not copied into the graph.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self.paths, tf.string)
        return tf.io.read_file(tf.gather(self._tensor, index))

    def name(self, index):
        return self.paths[index]

    def subset(self, indices):
        indices = self.positions(indices)
        paths = [self.paths[i] for i in indices]
        return FileSplit(paths, self.labels[indices], self.image_size)


def _size_rule(image_size):
    """`(Preprocess, (H, W))` of the argument `image_size`."""
    if isinstance(image_size, (int, np.integer)):
        image_size = Preprocess(int(image_size), int(image_size))
    if not isinstance(image_size, Preprocess):
        return Preprocess(), tuple(map(int, image_size))
    if image_size.side is None:
        raise UsageError(
            "preprocess=as_stored tells no size: give the (H, W) of the files."
        )
    return image_size, (image_size.side, image_size.side)


def with_labels(split, images, batch_size):
    """Joins batches of a split's images to its labels.

    Args:
        split: Split whose `check` names an image that cannot be read.
        images: Iterator over batches of its images, in order.
        batch_size: Images in a batch.

    Yields:
        `(images, labels)`.
    """
    for start in range(0, len(split), batch_size):
        labels = split.labels[start : start + batch_size]
        try:
            batch = next(images)
        except tf.errors.OpError:
            split.check(range(start, start + len(labels)))
            raise
        yield batch, labels
