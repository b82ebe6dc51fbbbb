"""What PixMix and IPMix share: pictures, and how images are mixed with them.

Constants of the published code of PixMix, which IPMix repeats.
"""

import dataclasses
import functools

import numpy as np

from noisymix_tf import pictures, rng
from noisymix_tf.augment import fixed
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.options import Options, option

# Pictures are read larger by this, and cropped at random.
_LARGER = 9 / 8
_MOST_BYTES = 4 << 30
_WHAT = "picture to mix with"


@dataclasses.dataclass(frozen=True)
class MixingSetOptions(Options):
    """Pictures that views are mixed with."""

    PREFIX = ""

    mixing_dir: str | None = option(
        None,
        "Folder of the pictures that views pixmix and ipmix mix with, also "
        "below it, read once in a process; python -m noisymix_tf fractals "
        "--output_dir=DIR draws some, in DIR/pictures.",
        tree=True,
        exists=True,
    )

    def shelf(self, shape) -> "tf.Tensor":
        """The pictures, uint8 `[M, H', W', 3]`, for images `[B, H, W, C]`."""
        if self.mixing_dir is None:
            raise UsageError(
                "These views need pictures to mix with: give mixing_dir, any "
                "folder of them; python -m noisymix_tf fractals draws some."
            )
        return _shelf(self.mixing_dir, *shape[1:3])


@functools.lru_cache(maxsize=2)
def _shelf(mixing_dir, height, width):
    from PIL import Image, ImageOps

    found = pictures.paths_in(mixing_dir, _WHAT, below=True)
    height, width = round(height * _LARGER), round(width * _LARGER)
    needed = len(found) * height * width * 3
    if needed > _MOST_BYTES:
        raise UsageError(
            f"--mixing_dir={mixing_dir} holds {len(found):,} pictures, which "
            f"take {needed / 1e9:.1f} GB of memory in the size of the images: "
            f"give at most {len(found) * _MOST_BYTES // needed:,}."
        )
    fit = functools.partial(
        ImageOps.fit, size=(width, height), method=Image.Resampling.BILINEAR
    )
    shelf = np.stack([pictures.read(path, _WHAT, fit) for path in found])
    with tf.init_scope():
        return tf.constant(shelf)


def draw_places(seed, batch, shelf, size) -> "tf.Tensor":
    """A picture and a corner of a crop for each, int32 `[*batch, 3]`."""
    draws = fixed.uniform(seed, [*batch, 3])
    room = (whole - own + 1 for whole, own in zip(shelf.shape[1:3], size))
    limits = enumerate((len(shelf), *room))
    return tf.stack([fixed.below(draws[..., k], n) for k, n in limits], axis=-1)


def shown(shelf, places, shape) -> "tf.Tensor":
    """The crops at places `[B, V, 3]` for images (H, W, C), uint8."""
    made = tf.map_fn(
        functools.partial(_cropped, shelf, shape),
        tf.reshape(places, [-1, 3]),
        fn_output_signature=tf.uint8,
    )
    return tf.reshape(made, [-1, places.shape[1], *shape])


def _cropped(shelf, shape, place):
    picture = tf.gather(shelf, place[0])
    picture = tf.gather(picture, place[1] + tf.range(shape[0]), axis=0)
    picture = tf.gather(picture, place[2] + tf.range(shape[1]), axis=1)
    if shape[2] == 1:
        # As Pillow turns colours to grey.
        grey = tf.tensordot(tf.cast(picture, tf.int32), [19595, 38470, 7471], 1)
        picture = tf.cast((grey + 0x8000) // 65536, tf.uint8)[..., tf.newaxis]
    return picture


def draw_powers(seed, shape, beta) -> "tf.Tensor":
    """Weights a of an image and b of what is mixed in, float32 `[*shape, 2]`.

    In half of the draws a is from Beta(beta, 1) and b from Beta(1, beta); in
    the others 1 more and negative ones of Beta(1, beta).
    """
    u = rng.uniform(seed, [*shape, 3], by_name=True)
    # Beta(beta, 1) is a power of a uniform number, Beta(1, beta) its rest to 1.
    root = u[..., :2] ** (1.0 / beta)
    near, far = root[..., 0], 1.0 - root[..., 1]
    both = tf.stack([near, far], -1), tf.stack([2.0 - near, -far], -1)
    return tf.where(u[..., 2:] < 0.5, *both)


def mix(image, other, a, b, is_product) -> "tf.Tensor":
    """Images in [0, 1] added around grey, or multiplied, with weights a and b.

    >>> float(mix(0.75, 0.5, 0.5, 0.9, False))
    0.625
    """
    added = (a * (2.0 * image - 1.0) + b * (2.0 * other - 1.0) + 1.0) / 2.0
    product = (2.0 * image) ** a * tf.maximum(2.0 * other, 1e-37) ** b / 2.0
    return tf.clip_by_value(tf.where(is_product, product, added), 0.0, 1.0)


def wide(values) -> "tf.Tensor":
    """Numbers `[...]` of images, with the axes of pixels behind them."""
    return values[..., tf.newaxis, tf.newaxis, tf.newaxis]
