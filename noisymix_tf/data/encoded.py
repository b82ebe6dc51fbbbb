"""Splits of encoded images, which are decoded when they are needed."""

import abc
import concurrent.futures
import numbers

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import Split, kept, one_line, own_seed, size_text
from noisymix_tf.data.preprocess import BY_PILLOW, Preprocess, decode_image
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


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


class FileSplit(EncodedSplit):
    """A split of image files, of their paths: see `EncodedSplit`.

    >>> FileSplit(["a.png", "b.jpg"], [0, 1], image_size=224).image_shape
    (224, 224, 3)
    """

    _tensor = kept("paths", "string")

    def __init__(self, paths, labels, image_size):
        self.files = self.paths = tuple(map(str, paths))
        is_odd = any(path.lower().endswith(BY_PILLOW) for path in self.paths)
        super().__init__(labels, image_size, is_odd, len(self.paths))

    def read(self, index):
        return tf.io.read_file(tf.gather(self._tensor, index))

    def name(self, index):
        return self.paths[index]

    def subset(self, indices):
        indices = self.positions(indices)
        paths = [self.paths[i] for i in indices]
        return FileSplit(paths, self.labels[indices], self.image_size)
