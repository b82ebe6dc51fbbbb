"""Splits of encoded images, which are decoded when they are needed."""

import abc
import concurrent.futures
import functools

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import (
    Split,
    as_tensor,
    one_line,
    own_seed,
    size_text,
)
from noisymix_tf.data.preprocess import BY_PILLOW, Preprocess, decode_image
from noisymix_tf.errors import UsageError


class EncodedSplit(Split):
    """A split of JPEG, PNG, GIF (its first frame), WebP or BMP images.

    Grey, palette and alpha images become RGB. JPEG files are decoded with the
    accurate inverse DCT, which agrees with Pillow's pixels.

    Args:
        labels: ints `[N]`, class numbers from 0.
        image_size: How images are brought to one size: a `Preprocess`; or an
            int S, which means `"resizeS-cropS"`; or a pair (H, W): the size
            every image has already, taken as it is.
        has_bmp: Whether there may be BMP or WebP images.

    Attributes:
        preprocess: The `Preprocess` that `image_size` means.

    Raises:
        UsageError: If the `Preprocess` is as stored and thus tells no size.
            Inside `image` an image that cannot be decoded is a
            `tf.errors.OpError` without a name; `find_unreadable` finds it.
    """

    def __init__(self, labels, image_size, has_bmp=False):
        self.preprocess, size = _size_rule(image_size)
        super().__init__(labels, (*size, 3))
        self.image_size = image_size
        # What pixels come of a file.
        self.reading = f"{self.preprocess} {size_text(size)}"
        self.needs_python = self._has_bmp = has_bmp

    @abc.abstractmethod
    def read(self, index):
        """The encoded image at a position, a scalar string; may be traced."""

    @abc.abstractmethod
    def name(self, index):
        """What to call the image at a position in a message."""

    def image(self, index, encoded=None, crop=None, seed=None):
        content = self.read(index) if encoded is None else encoded
        size = self.image_shape[:2]
        if crop is None:
            image = self.preprocess.apply(decode_image(content, self._has_bmp))
        else:
            own = own_seed(seed, index)
            image = crop.decode(content, own, size, self._has_bmp)
        return tf.ensure_shape(image, self.image_shape)

    def find_unreadable(self, indices=None):
        """`[(name, reason)]` of the images that cannot be decoded.

        Args:
            indices: Positions to look at; all by default.
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
        has_bmp = any(path.lower().endswith(BY_PILLOW) for path in self.paths)
        super().__init__(labels, image_size, has_bmp)
        if len(paths) != len(self.labels):
            raise UsageError(
                f"{len(paths)} files but {len(self.labels)} labels; "
                "give one label for each file."
            )

    @property
    def files(self):
        return self.paths

    @property
    def identity(self):
        return identity.make(
            self.labels, files=self.files, reading=self.reading
        )

    @functools.cached_property
    def _tensor(self):
        return as_tensor(self.paths, tf.string)

    def read(self, index):
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
