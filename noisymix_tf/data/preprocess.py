"""How stored images become the images that a model sees, in one word.

Published robustness numbers depend on it: ImageNet-C holds images of 224 x 224
pixels, and enlarging them to 256 before the crop moves a mean by up to a point.
"""

import dataclasses
import re

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError

_WORD = re.compile(r"(?:resize([1-9]\d{0,4}))?-?(?:crop([1-9]\d{0,4}))?")
_GRAMMAR = (
    "as_stored, resizeA-cropB (the shorter side to A, then the centre B x B), "
    "resizeA (both sides to A) or cropB, such as resize256-crop224"
)


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """A resize and a central crop, of which either may be left out.

    Sizes are those of torchvision's `Resize` and `CenterCrop`: the longer side
    becomes `int(resize * longer / shorter)`, and the crop begins at
    `round((side - crop) / 2)`, half a pixel going to the even number.
    Resampling is bilinear and antialiased. It differs from Pillow's
    `Image.resize(..., BILINEAR)`, which torchvision uses, by at most one grey
    level (from 224 to 256 pixels, of noise, in a fifth of all values): Pillow
    rounds to 8 bits between its two passes, TensorFlow does not.

    Attributes:
        resize: Pixels, or None. With a crop the shorter side becomes that
            long; without one both sides do.
        crop: Side of the central square, or None.

    Example:

    >>> preprocess = Preprocess.parse("resize256-crop224")
    >>> preprocess.apply(np.zeros([375, 500, 3], np.uint8)).shape
    TensorShape([224, 224, 3])
    >>> str(preprocess), preprocess.side
    ('resize256-crop224', 224)
    """

    resize: int | None = None
    crop: int | None = None

    @classmethod
    def parse(cls, text):
        """The `Preprocess` of a word, or the one that is given.

        Raises:
            UsageError: If it is no such word, or B is larger than A.
        """
        if isinstance(text, cls):
            return text
        match = _WORD.fullmatch(text) if isinstance(text, str) else None
        sides = match.groups() if match else (None, None)
        preprocess = cls(
            *(None if side is None else int(side) for side in sides)
        )
        # The word is accepted as it would be written, in no other form.
        if str(preprocess) != text:
            raise UsageError(
                f"preprocess={text!r} is not known: give {_GRAMMAR}."
            )
        if None not in sides and preprocess.crop > preprocess.resize:
            raise UsageError(
                f"preprocess={text!r} crops {preprocess.crop} pixels from a "
                f"shorter side of {preprocess.resize}: crop at most that."
            )
        return preprocess

    def __str__(self):
        parts = (("resize", self.resize), ("crop", self.crop))
        word = "-".join(f"{name}{side}" for name, side in parts if side)
        return word or "as_stored"

    @property
    def side(self):
        """Height and width of what comes out; None where it is as stored."""
        return self.crop or self.resize

    def defect(self, height, width):
        """Why an image of this size cannot be used; None where it can."""
        if self.resize is None and min(height, width) < (self.crop or 0):
            return f"its size is {height} x {width}, too small for {self}"
        return None

    def apply(self, images):
        """Brings images to size; may be traced inside `Dataset.map`.

        Args:
            images: uint8 `[..., H, W, C]`, values 0..255.

        Returns:
            uint8 tensor `[..., side, side, C]`.

        Raises:
            UsageError: If they are smaller than the crop and are not resized.
                Where the size is not known while tracing, this is a
                `tf.errors.InvalidArgumentError` when the graph runs.
        """
        images = tf.convert_to_tensor(images)
        if images.shape[-3:-1].is_fully_defined():
            defect = self.defect(*images.shape[-3:-1])
            if defect:
                raise UsageError(f"An image cannot be used: {defect}.")
        if self.resize is not None:
            images = resize(images, self._scaled(tf.shape(images)[-3:-1]))
        if self.crop is not None:
            images = _crop(images, self.crop)
        if self.side is None:
            return images
        lead, channels = images.shape[:-3], images.shape[-1]
        return tf.ensure_shape(images, [*lead, self.side, self.side, channels])

    def _scaled(self, size):
        if self.crop is None:
            return tf.fill([2], self.resize)
        return size * self.resize // tf.reduce_min(size)


def resize(images, size):
    """Resizes uint8 `[..., h, w, C]` bilinearly, antialiased, to whole levels.

    Images that have the size, (height, width), are as they were.
    """

    def resized():
        pixels = tf.image.resize(images, size, antialias=True)
        return tf.cast(tf.round(pixels), tf.uint8)

    same = tf.reduce_all(tf.shape(images)[-3:-1] == size)
    return tf.cond(same, lambda: images, resized)


def _crop(images, side):
    rest = tf.shape(images)[-3:-1] - side
    # Half of an odd number is rounded to the even one, as Python rounds.
    top, left = tf.unstack(rest // 2 + (rest % 2) * (rest // 2 % 2))
    return images[..., top : top + side, left : left + side, :]


# Names of files for which `decode_image` needs `has_bmp`.
BY_PILLOW = (".bmp", ".webp")


def decode_image(content, has_bmp=False):
    """Decodes JPEG, PNG, GIF (its first frame), WebP or BMP to RGB.

    JPEG files are decoded with the accurate inverse DCT, which agrees with
    Pillow's pixels.

    Args:
        content: Scalar string tensor, what the file holds.
        has_bmp: Whether it may be a BMP or WebP.

    Returns:
        uint8 tensor `[h, w, 3]`.

    Raises:
        tf.errors.OpError: If it cannot be decoded.
    """
    image = tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(
            content, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: decode_lossless(content, has_bmp),
    )
    image.set_shape([None, None, 3])
    return image


def decode_lossless(content, has_bmp=False):
    """`decode_image` of all that is no JPEG."""

    def decode():
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    if not has_bmp:
        return decode()
    # TensorFlow takes the indices of a palette BMP for grey levels, knows no
    # 1-bit BMP and no WebP with alpha, and an animated one ends the process;
    # Pillow reads all. Python code ties a pipeline to this process, so it is
    # there only where it is needed. Stateless: tf.data would not call it in
    # parallel otherwise where operations are deterministic.
    start = tf.strings.substr(content, 0, 2)
    return tf.cond(
        (start == b"BM") | (start == b"RI"),
        lambda: tf.numpy_function(
            _decode_bmp, [content], tf.uint8, stateful=False
        ),
        decode,
    )


def _decode_bmp(content):
    import io

    from PIL import Image

    # Bytes from a graph, but an array of one object in eager mode.
    content = np.asarray(content, dtype=object).item()
    try:
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    except Exception as error:
        # From a graph this is the tf.errors.InvalidArgumentError that the
        # other decoders raise.
        raise ValueError("Invalid or truncated BMP or WebP data") from error
