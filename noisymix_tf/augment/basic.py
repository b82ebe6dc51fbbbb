"""Random crops and flips, and views with Gaussian noise."""

import dataclasses

from noisymix_tf import rng
from noisymix_tf.augment.views import VIEWS, WHOLE, drawn, made
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_0, Options, option


@dataclasses.dataclass(frozen=True)
class _Crop(Options):
    """What `random_crop_flip` is given."""

    PREFIX = "crop_"

    padding: int = option(4, "Black pixels on each side.", AT_LEAST_0)
    flip: bool = option(True, "Mirror half of the images.")

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """uint8 images, one for each: `batch` is `[B, 1]`."""
        del dense
        _, height, width, _ = images.shape
        seeds = tf.unstack(rng.split(seed, 3, by_name=True))
        row_seed, column_seed, flip_seed = seeds

        def draw(seed, **law):
            key = rng.key(seed, by_name=True)
            return part(tf.random.stateless_uniform(batch, **law, **key))

        def offsets(seed):
            most = 2 * int(self.padding)
            return draw(seed, minval=0, maxval=most + 1, dtype=tf.int32)

        lines = offsets(row_seed) + tf.range(height)
        columns = tf.range(width)
        if self.flip:
            mirrored = draw(flip_seed) < 0.5
            columns = tf.where(mirrored, columns[::-1], columns)
        columns += offsets(column_seed)
        margin = [int(self.padding)] * 2
        padded = tf.pad(images, [[0, 0], margin, margin, [0, 0]])
        cropped = tf.gather(padded, lines, axis=1, batch_dims=1)
        return tf.gather(cropped, columns, axis=2, batch_dims=1)


@serializable
def random_crop_flip(
    images, seed, *, padding=4, flip=True, shard=WHOLE
) -> "tf.Tensor":
    """Pads with black, crops each image back at random, and mirrors half.

    Args:
        images, seed, shard: As for `augmix_views`.
        padding: Black pixels on each side before the crop; each offset is
            uniform on 0 to `2 * padding`. 0 does not crop.
        flip: Whether to mirror each image left to right with probability 0.5.

    >>> images = tf.zeros([8, 16, 16, 3], tf.uint8)
    >>> random_crop_flip(images, seed=[0, 1]).shape
    TensorShape([8, 16, 16, 3])
    """
    return drawn(_Crop(padding, bool(flip)), images, seed, shard, False, 1)


@dataclasses.dataclass(frozen=True)
class GaussianOptions(Options):
    """Gaussian views."""

    PREFIX = "gaussian_"

    level: float = option(
        63.75,
        "Standard deviation of the noise of gaussian views, in units of pixels "
        "0 to 255.",
        AT_LEAST_0,
    )

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """Float32 views; noise is drawn image by image, `dense` or not."""
        del dense
        level, shape = float(self.level), [batch[1], *images.shape[1:]]

        def views_of(image_and_seed):
            image, seed = image_and_seed
            image = tf.cast(image, tf.float32)[tf.newaxis]
            key = rng.key(seed, by_name=True)
            noise = tf.random.stateless_normal(shape, **key)
            return tf.concat([image, image + level * noise], axis=0)

        # A seed for each image: a device need not draw the noise of others.
        seeds = part(rng.split(seed, batch[0], by_name=True))
        return tf.map_fn(
            views_of, (images, seeds), fn_output_signature=tf.float32
        )


@VIEWS.register("gaussian", options=GaussianOptions)
@serializable
def gaussian_views(
    images, seed, *, num_views=2, shard=WHOLE, **options
) -> "tf.Tensor":
    """Returns each image with copies to which Gaussian noise is added.

        view = image + level * N(0, 1)

    Arguments, views and errors are those of `augmix_views`, with the option
    `level` of `GaussianOptions`. Its default is a quarter of 255.

    >>> images = tf.zeros([8, 16, 16, 3], tf.uint8)
    >>> gaussian_views(images, seed=[0, 1], level=20.0).shape
    TensorShape([8, 2, 16, 16, 3])

    Reference: Zheng et al., arXiv:1604.04326; the default level is that of
    the published code of Carmon et al., arXiv:1905.13736, for CIFAR-10.
    """
    own = {"num_views": num_views, **options}
    return made(GaussianOptions, images, seed, shard, False, **own)
