"""RandomResizedCrop: the crop of ImageNet training, decoded alone.

Szegedy et al. (2015), "Going Deeper with Convolutions", section 6: a part of
8 to 100 % of the image's area and of an aspect ratio between 3/4 and 4/3.
"""

import dataclasses

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.data.preprocess import decode_lossless, resize
from noisymix_tf.errors import UsageError

# One pixel is what libjpeg's interpolation of colours looks at.
_MARGIN = 2


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """Draws a part of an image and resizes it.

    The law is that of torchvision's `RandomResizedCrop`: the share of the area
    is uniform, the logarithm of the aspect ratio is uniform, and the place is
    uniform. Where none of the tries fits into the image, the largest centred
    part of an allowed ratio is taken. Resampling is bilinear and antialiased;
    it differs from Pillow's by at most one grey level (see `Preprocess`).

    Attributes:
        scale: Least and greatest share of the area, in (0, 1].
        ratio: Least and greatest width / height.
        tries: Draws before the centre is taken.

    Raises:
        UsageError: If a range is empty or out of its bounds.

    Example:

    >>> crop = RandomResizedCrop()
    >>> image = tf.zeros([375, 500, 3], tf.uint8)
    >>> crop.apply(image, seed=[0, 1], size=(224, 224)).shape
    TensorShape([224, 224, 3])
    """

    scale: tuple = (0.08, 1.0)
    ratio: tuple = (3 / 4, 4 / 3)
    tries: int = 10

    def __post_init__(self):
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UsageError(
                f"scale={self.scale}: give the least and the greatest share of "
                "the area, above 0 and at most 1."
            )
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise UsageError(
                f"ratio={self.ratio}: give the least and the greatest width / "
                "height, above 0."
            )
        if self.tries < 1:
            raise UsageError(f"tries={self.tries}: give at least one.")

    def box(self, seed, height, width):
        """Draws the part of an image of a height and a width.

        Args:
            seed: int32 `[2]`, as `tf.random.stateless_*` take.
            height, width: ints or scalar tensors.

        Returns:
            int32 `[4]`: top, left, height and width of the part.
        """
        height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
        heights, widths = self._sizes(seed, height, width)
        fits = (
            (0 < heights)
            & (heights <= height)
            & (0 < widths)
            & (widths <= width)
        )
        first = tf.argmax(fits)
        top, left = self._places(seed, height - heights, width - widths)
        drawn = tf.stack([top, left, heights, widths])[:, first]
        return tf.where(fits[first], drawn, self._centre(height, width))

    def decode(self, content, seed, size, has_bmp=False):
        """What `apply` gives for an encoded image.

        Of a JPEG no more than the part is decoded. What cannot be decoded is
        a `tf.errors.OpError`.

        Args:
            content: Scalar string tensor.
            seed, size: As for `apply`.
            has_bmp: Whether it may be a BMP or WebP.
        """
        return tf.cond(
            tf.io.is_jpeg(content),
            lambda: _resize(self._jpeg_part(content, seed), size),
            lambda: self.apply(decode_lossless(content, has_bmp), seed, size),
        )

    def apply(self, image, seed, size):
        """Cuts and resizes the drawn part of a decoded image.

        Args:
            image: uint8 `[h, w, 3]`.
            seed: int32 `[2]`.
            size: (height, width) of what comes out.

        Returns:
            uint8 tensor `[*size, 3]`.
        """
        image = tf.convert_to_tensor(image)
        shape = tf.shape(image)
        box = self.box(seed, shape[0], shape[1])
        return _resize(_slice(image, box), size)

    def _jpeg_part(self, content, seed):
        whole = tf.io.extract_jpeg_shape(content)[:2]
        box = self.box(seed, whole[0], whole[1])
        start, size = box[:2], box[2:]
        # Where the decoder stops at the edge of the part, it has no neighbours
        # to interpolate colours from, and its outermost pixels would be others.
        window_start = tf.maximum(start - _MARGIN, 0)
        window_end = tf.minimum(start + size + _MARGIN, whole)
        window = tf.io.decode_and_crop_jpeg(
            content,
            tf.concat([window_start, window_end - window_start], 0),
            channels=3,
            dct_method="INTEGER_ACCURATE",
        )
        return _slice(window, tf.concat([start - window_start, size], 0))

    def _sizes(self, seed, height, width):
        """Heights and widths of all tries, int32 `[tries]` each."""
        area_seed, ratio_seed, *_ = tf.unstack(rng.split(seed, 4))
        shares = tf.random.stateless_uniform(
            [self.tries], area_seed, *self.scale
        )
        logs = tf.random.stateless_uniform(
            [self.tries], ratio_seed, *tf.unstack(tf.math.log(self.ratio))
        )
        areas = shares * tf.cast(height * width, tf.float32)
        return (
            tf.cast(tf.round(tf.sqrt(areas / tf.exp(logs))), tf.int32),
            tf.cast(tf.round(tf.sqrt(areas * tf.exp(logs))), tf.int32),
        )

    def _places(self, seed, rows, columns):
        """Uniform offsets from 0 to `rows` and to `columns`, both included."""
        *_, top_seed, left_seed = tf.unstack(rng.split(seed, 4))

        def place(seed, rest):
            share = tf.random.stateless_uniform([self.tries], seed)
            offset = share * tf.cast(rest + 1, tf.float32)
            # The product may be rounded up to the end, which is outside.
            return tf.minimum(tf.cast(offset, tf.int32), rest)

        return place(top_seed, rows), place(left_seed, columns)

    def _centre(self, height, width):
        """The largest centred part of an allowed ratio."""
        least, greatest = self.ratio

        def at_most(side, limit):
            return tf.minimum(side, tf.cast(tf.round(limit), tf.int32))

        wide = tf.cast(width, tf.float32)
        high = tf.cast(height, tf.float32)
        rows = at_most(height, wide / least)
        columns = at_most(width, high * greatest)
        return tf.stack(
            [(height - rows) // 2, (width - columns) // 2, rows, columns]
        )


def _slice(image, box):
    """The part of an image at (top, left, height, width)."""
    return tf.slice(
        image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0)
    )


def _resize(image, size):
    return tf.ensure_shape(resize(image, size), [*size, 3])
