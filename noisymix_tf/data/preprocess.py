"""How stored images become the images that a model sees, in one word.

Published robustness numbers depend on it: ImageNet-C holds images of 224 x 224
pixels, and enlarging them to 256 before the crop moves a mean by up to a point.
"""

import dataclasses
import io
import re

import numpy as np

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import Image, tf

# Names of files that Python decodes.
BY_PILLOW = (".bmp", ".webp")
# How JPEG files are decoded: with the inverse DCT that Pillow has.
_EXACT = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}
# One pixel is what libjpeg's interpolation of colours looks at.
_MARGIN = 2
_WORD = re.compile(r"(?:resize([1-9]\d{0,4}))?-?(?:crop([1-9]\d{0,4}))?")


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """A resize and a central crop, of which either may be left out.

    As torchvision's `Resize` and `CenterCrop`: the longer side becomes
    `int(resize * longer / shorter)`, and the crop begins at
    `round((side - crop) / 2)`, half a pixel going to the even number. Bilinear
    and antialiased, within a grey level of Pillow, which torchvision uses:
    Pillow rounds to 8 bits between its two passes, TensorFlow does not.

    >>> preprocess = Preprocess.parse("resize256-crop224")
    >>> preprocess.apply(np.zeros([375, 500, 3], np.uint8)).shape
    TensorShape([224, 224, 3])
    """

    resize: int | None = None  # Of the shorter side; without a crop of both.
    crop: int | None = None  # Side of the central square.

    @classmethod
    def parse(cls, text) -> "Preprocess":
        """The `Preprocess` of a word, or the one that is given."""
        if isinstance(text, cls):
            return text
        match = _WORD.fullmatch(text) if isinstance(text, str) else None
        sides = match.groups() if match else (None, None)
        preprocess = cls(*(side and int(side) for side in sides))
        # The word is accepted as it would be written, in no other form.
        if str(preprocess) != text:
            raise UsageError(
                f"preprocess={text!r} is not known: give as_stored, "
                "resizeA-cropB (the shorter side to A, then the centre B x B), "
                "resizeA (both sides to A) or cropB, such as resize256-crop224."
            )
        if None not in sides and preprocess.crop > preprocess.resize:
            side = f"a shorter side of {preprocess.resize}: crop at most that"
            given = f"preprocess={text!r} crops {preprocess.crop} pixels"
            raise UsageError(f"{given} from {side}.")
        return preprocess

    def __str__(self):
        parts = (("resize", self.resize), ("crop", self.crop))
        word = "-".join(f"{name}{side}" for name, side in parts if side)
        return word or "as_stored"

    @property
    def side(self) -> int | None:
        """Height and width of what comes out; None where it is as stored."""
        return self.crop or self.resize

    def defect(self, height, width) -> str | None:
        """Why an image of this size cannot be used; None where it can."""
        if self.resize is None and min(height, width) < (self.crop or 0):
            return f"its size is {height} x {width}, too small for {self}"
        return None

    def apply(self, images) -> "tf.Tensor":
        """Brings uint8 `[..., H, W, C]` to `[..., side, side, C]`.

        A `defect` is a `UsageError`, or in a graph of unknown sizes a
        `tf.errors.InvalidArgumentError`.
        """
        images = tf.convert_to_tensor(images)
        *lead, height, width, channels = images.shape
        if None not in (height, width):
            defect = self.defect(height, width)
            if defect:
                raise UsageError(f"An image cannot be used: {defect}.")
        size = tf.shape(images)[-3:-1]
        if self.resize is not None:
            sides = tf.fill([2], self.resize)
            if self.crop is not None:
                sides = size * self.resize // tf.reduce_min(size)
            images, size = resize(images, sides), sides
        if self.crop is not None:
            rest = size - self.crop
            # Half of an odd number goes to the even one, as Python rounds.
            top, left = tf.unstack(rest // 2 + (rest % 2) * (rest // 2 % 2))
            images = images[..., top : top + self.crop, :, :]
            images = images[..., left : left + self.crop, :]
        if self.side is None:
            return images
        return tf.ensure_shape(images, [*lead, self.side, self.side, channels])


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """Draws a part of an image and resizes it.

    The crop of ImageNet training (Szegedy et al., 2015, "Going Deeper with
    Convolutions", section 6), by the law of torchvision: the share of the area,
    the logarithm of the aspect ratio and the place are uniform. Where no try
    fits, the largest centred part of an allowed ratio is taken.
    """

    scale: tuple = (0.08, 1.0)  # Least and greatest share of the area.
    ratio: tuple = (3 / 4, 4 / 3)  # Least and greatest width / height.
    tries: int = 10  # Draws before the centre is taken.

    def __post_init__(self):
        (least, most), (low, high) = self.scale, self.ratio
        for name, is_good, expected in (
            ("scale", 0 < least <= most <= 1, "two shares, above 0 to 1"),
            ("ratio", 0 < low <= high, "two of width / height, above 0"),
            ("tries", self.tries >= 1, "at least one"),
        ):
            if not is_good:
                given = getattr(self, name)
                raise UsageError(f"{name}={given}: give {expected}.")

    def box(self, seed, height, width):
        """Top, left, height, width, int32 `[4]`, by a seed, int32 `[2]`."""

        def drawn(seed, *limits):
            return tf.random.stateless_uniform([self.tries], seed, *limits)

        size = tf.stack([tf.cast(n, tf.int32) for n in (height, width)])
        area_seed, ratio_seed, *seeds = tf.unstack(rng.split(seed, 4))
        areas = drawn(area_seed, *self.scale)
        areas *= tf.cast(tf.reduce_prod(size), tf.float32)
        logs = drawn(ratio_seed, *tf.unstack(tf.math.log(self.ratio)))
        ratios = tf.exp(logs)
        # Of all tries, `[2, tries]`: heights and widths, tops and lefts.
        sides = tf.round(tf.sqrt(tf.stack([areas / ratios, areas * ratios])))
        sides = tf.cast(sides, tf.int32)
        rest = size[:, tf.newaxis] - sides
        places = tf.stack([*map(drawn, seeds)]) * tf.cast(rest + 1, tf.float32)
        # The product may be rounded up to the end, which is outside.
        places = tf.minimum(tf.cast(places, tf.int32), rest)
        fits = tf.reduce_all((0 < sides) & (0 <= rest), axis=0)
        first = tf.argmax(fits)
        # Else the largest centred part of an allowed ratio.
        high, wide = tf.unstack(tf.cast(size, tf.float32))
        centre = tf.round([wide / self.ratio[0], high * self.ratio[1]])
        centre = tf.minimum(size, tf.cast(centre, tf.int32))
        return tf.where(
            fits[first],
            tf.concat([places, sides], 0)[:, first],
            tf.concat([(size - centre) // 2, centre], 0),
        )

    def decode(self, content, seed, size, by_python=False) -> "tf.Tensor":
        """`apply` for an encoded image; of a JPEG only the part is decoded."""
        return tf.cond(
            tf.io.is_jpeg(content),
            lambda: self._of_jpeg(content, seed, size),
            lambda: self.apply(_lossless(content, by_python), seed, size),
        )

    def apply(self, image, seed, size) -> "tf.Tensor":
        """Cuts and resizes the part, uint8 `[h, w, 3]` to `[*size, 3]`."""
        image = tf.ensure_shape(tf.convert_to_tensor(image), [None, None, 3])
        shape = tf.shape(image)
        return _part(image, self.box(seed, shape[0], shape[1]), size)

    def _of_jpeg(self, content, seed, size):
        whole = tf.io.extract_jpeg_shape(content)[:2]
        box = self.box(seed, whole[0], whole[1])
        # Where the decoder stops at the edge of the part, it has no neighbours
        # to interpolate colours from, and its outermost pixels would be others.
        first = tf.maximum(box[:2] - _MARGIN, 0)
        last = tf.minimum(box[:2] + box[2:] + _MARGIN, whole)
        window = tf.concat([first, last - first], 0)
        image = tf.io.decode_and_crop_jpeg(content, window, **_EXACT)
        return _part(image, tf.concat([box[:2] - first, box[2:]], 0), size)


def _part(image, box, size):
    """The part at (top, left, height, width), resized."""
    top, left, height, width = tf.unstack(box)
    part = image[top : top + height, left : left + width]
    return tf.ensure_shape(resize(part, size), [*size, 3])


def resize(images, size) -> "tf.Tensor":
    """Resizes uint8 `[..., h, w, C]` to (height, width), in whole levels."""

    def resized():
        pixels = tf.image.resize(images, size, antialias=True)
        return tf.cast(tf.round(pixels), tf.uint8)

    same = tf.reduce_all(tf.shape(images)[-3:-1] == size)
    return tf.cond(same, lambda: images, resized)


def decode_image(content, by_python=False) -> "tf.Tensor":
    """Decodes JPEG, PNG, GIF (its first frame), WebP or BMP to RGB.

    WebP and BMP only `by_python`; to uint8 `[h, w, 3]`, or an `OpError`.
    """
    image = tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, **_EXACT),
        lambda: _lossless(content, by_python),
    )
    image.set_shape([None, None, 3])
    return image


def _lossless(content, by_python=False):
    """`decode_image` of all that is no JPEG."""

    def decode():
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    if not by_python:
        return decode()
    # TensorFlow takes the indices of a palette BMP for grey levels, knows no
    # 1-bit BMP and no WebP with alpha, and an animated one ends the process.
    # Stateless: tf.data calls no other in parallel and deterministically.
    own, start = {"stateful": False}, tf.strings.substr(content, 0, 2)
    return tf.cond(
        (start == b"BM") | (start == b"RI"),
        lambda: tf.numpy_function(_by_pillow, [content], tf.uint8, **own),
        decode,
    )


def _by_pillow(content):
    # Bytes from a graph, but an array of one object in eager mode.
    content = np.asarray(content, dtype=object).item()
    try:
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    except Exception as error:
        # From a graph the InvalidArgumentError that other decoders raise.
        raise ValueError("Invalid or truncated BMP or WebP data") from error
