"""Views with Gaussian noise on the pixels, for stability training."""

import dataclasses

from noisymix_tf import rng
from noisymix_tf.augment.views import VIEWS, WHOLE, made
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

    def views(self, images, seed, batch, part, dense):
        """Float32 views; noise is drawn image by image, `dense` or not."""
        del dense
        level, shape = float(self.level), [batch[1], *images.shape[1:]]

        def views_of(image_and_seed):
            image, seed = image_and_seed
            image = tf.cast(image, tf.float32)[tf.newaxis]
            noise = tf.random.stateless_normal(
                shape, **rng.key(seed, by_name=True)
            )
            return tf.concat([image, image + level * noise], axis=0)

        # A seed for each image: a device need not draw the noise of others.
        seeds = part(rng.split(seed, batch[0], by_name=True))
        return tf.map_fn(
            views_of, (images, seeds), fn_output_signature=tf.float32
        )


@VIEWS.register("gaussian", options=GaussianOptions)
@serializable
def gaussian_views(images, seed, *, num_views=1, shard=WHOLE, **options):
    """Returns each image with copies to which Gaussian noise is added.

        view = image + level * N(0, 1)

    Arguments, views and errors are those of `augmix_views`, with the option
    `level` of `GaussianOptions`. Its default is a quarter of 255, as for the
    stability training of Carmon et al. on CIFAR-10.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> gaussian_views(images, seed=[0, 1], level=20.0).shape
    TensorShape([8, 2, 32, 32, 3])

    Reference: Zheng et al., arXiv:1604.04326; the default level is that of
    the published code of Carmon et al., arXiv:1905.13736.
    """
    own = {"num_views": num_views, **options}
    return made(GaussianOptions, images, seed, shard, False, **own)
