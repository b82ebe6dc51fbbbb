"""Views with Gaussian noise on the pixels, for stability training."""

import dataclasses
import functools

from noisymix_tf import rng
from noisymix_tf.augment import arguments
from noisymix_tf.augment.arguments import VIEWS, checked, checked_views
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_0, Options, option


@dataclasses.dataclass(frozen=True)
class GaussianOptions(Options):
    """Gaussian views."""

    PREFIX = "gaussian_"

    level: float = option(
        63.75,
        "Standard deviation of the noise of gaussian views, in units of pixels "
        "0 to 255.",
        range=AT_LEAST_0,
    )


@VIEWS.register("gaussian", options=GaussianOptions)
@serializable
def gaussian_views(
    images, seed, *, level=63.75, num_views=1, clean=True, shard=arguments.WHOLE
):
    """Returns each image with copies to which Gaussian noise is added.

        view = image + level * N(0, 1)

    Runs as one XLA program wherever it is called: eagerly, in `Dataset.map`,
    or inside a compiled train step.

    Args:
        images, seed, num_views, clean, shard: As for `augmix_views`.
        level: Standard deviation of the noise in units of pixels 0 to 255, at
            least 0. The default is a quarter of 255, as for the stability
            training of Carmon et al. on CIFAR-10.

    Returns:
        float32 `[B, 1 + num_views, H, W, C]`, neither rounded nor clipped;
        view 0 is the clean image. Without it, `num_views` views.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> gaussian_views(images, seed=[0, 1]).shape
    TensorShape([8, 2, 32, 32, 3])

    Reference: Zheng et al., arXiv:1604.04326; the default level is that of
    the published code of Carmon et al., arXiv:1905.13736.
    """
    level = float(GaussianOptions(level).level)
    index, count = arguments.checked_shard(shard)
    views = _compiled(level, checked_views(num_views), count)(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )
    return views if clean else views[:, 1:]


@functools.cache
def _compiled(level, num_views, count):
    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        batch = count * tf.shape(images)[0]
        # A seed for each image: a device need not draw the noise of others.
        seeds = rng.split(seed, batch, by_name=True)
        shape = [num_views, *images.shape[1:]]

        def views_of(image_and_seed):
            image, seed = image_and_seed
            image = tf.cast(image, tf.float32)[tf.newaxis]
            noise = tf.random.stateless_normal(
                shape, **rng.key(seed, by_name=True)
            )
            return tf.concat([image, image + level * noise], axis=0)

        return tf.map_fn(
            views_of,
            (images, arguments.rows(seeds, index, count)),
            fn_output_signature=tf.float32,
        )

    return views
