"""AutoAugment, RandAugment and TrivialAugment of whole batches.

Each view of each image is a short row of image operations, all on 8-bit pixels
and equal to Pillow's, with the nearest pixel where geometry asks for one and
black outside, as in the published programs.
"""

import functools

import keras
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import cutout as cutouts
from noisymix_tf.augment import (
    policy_space,
    policy_steps,
    shards,
    steps,
    tables,
)
from noisymix_tf.augment.images import checked, checked_views
from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


@keras.saving.register_keras_serializable("noisymix_tf")
def auto_augment_views(
    images,
    seed,
    *,
    policy="cifar10",
    cutout=0,
    num_views=2,
    clean=True,
    shard=shards.WHOLE,
):
    """Returns each image with AutoAugment views of it.

    Runs as one XLA program wherever it is called: eagerly, in `Dataset.map`,
    or inside a compiled train step.

    Args:
        images: uint8 `[B, H, W, C]`, C of 1 or 3, static but for B.
        seed: int32 `[2]`, as `tf.random.stateless_*` take; the views are a
            pure function of images and seed, and every view of every image
            has its own draws.
        policy: `"cifar10"`, `"imagenet"` or `"svhn"`: the 25 sub-policies of
            the paper's appendix, one for each view.
        cutout: Side in pixels of a grey square at a random place, painted
            last; 0 for none. The paper takes 16 for CIFAR-10.
        num_views: Number of policy views beside the clean image.
        clean: Whether view 0 is the clean image; if not, it is left out.
        shard: `(index, count)`, where the images are part `index` of `count`
            equal parts of a batch: they get the views that they would get in
            it.

    Returns:
        uint8 `[B, 1 + num_views, H, W, C]`; view 0 is the clean image. Without
        it, `num_views` views.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> auto_augment_views(images, seed=[0, 1]).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Cubuk et al., arXiv:1805.09501. Magnitudes are ten equal steps
    through the ranges of its Table 6, where the authors' code for CIFAR-10
    goes nine tenths of the way, posterizes to 4 bits less and moves by at most
    9 pixels.
    """
    return _views(
        policy_steps.AutoAugment(policy),
        images,
        seed,
        cutout=cutout,
        num_views=num_views,
        clean=clean,
        shard=shard,
    )


@keras.saving.register_keras_serializable("noisymix_tf")
def rand_augment_views(
    images,
    seed,
    *,
    num_ops=2,
    magnitude=9,
    cutout=0,
    num_views=2,
    clean=True,
    shard=shards.WHOLE,
):
    """Returns each image with RandAugment views of it.

    Args:
        images: As for `auto_augment_views`.
        seed: As for `auto_augment_views`.
        num_ops: Operations in a row, drawn from fourteen with replacement.
        magnitude: Magnitude of them all, 0 to 30; at 30 they are as strong as
            AutoAugment's strongest.
        cutout: As for `auto_augment_views`.
        num_views: As for `auto_augment_views`.
        clean: As for `auto_augment_views`.
        shard: As for `auto_augment_views`.

    Returns:
        As `auto_augment_views`.

    Raises:
        UsageError: As for `auto_augment_views`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> rand_augment_views(images, seed=[0, 1], num_ops=3, magnitude=5).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Cubuk et al., arXiv:1909.13719. The scale of magnitudes is that
    of the implementations of torchvision and TrivialAugment.
    """
    return _views(
        policy_steps.RandAugment(num_ops, magnitude),
        images,
        seed,
        cutout=cutout,
        num_views=num_views,
        clean=clean,
        shard=shard,
    )


@keras.saving.register_keras_serializable("noisymix_tf")
def trivial_augment_views(
    images, seed, *, cutout=0, num_views=2, clean=True, shard=shards.WHOLE
):
    """Returns each image with TrivialAugment views of it, wide ranges.

    A view is one of fourteen operations at one of 31 magnitudes, both drawn
    uniformly. Translations are up to 32 pixels whatever the size.

    Args:
        images: As for `auto_augment_views`.
        seed: As for `auto_augment_views`.
        cutout: As for `auto_augment_views`.
        num_views: As for `auto_augment_views`.
        clean: As for `auto_augment_views`.
        shard: As for `auto_augment_views`.

    Returns:
        As `auto_augment_views`.

    Raises:
        UsageError: As for `auto_augment_views`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> trivial_augment_views(images, seed=[0, 1], cutout=16).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Müller and Hutter, arXiv:2103.10158, Algorithm 1.
    """
    return _views(
        policy_steps.TrivialAugment(),
        images,
        seed,
        cutout=cutout,
        num_views=num_views,
        clean=clean,
        shard=shard,
    )


def auto_augment(images, seed, **options):
    """One AutoAugment view of each image, uint8 `[B, H, W, C]`.

    Args:
        images: As for `auto_augment_views`.
        seed: As for `auto_augment_views`.
        **options: `policy` and `cutout` of `auto_augment_views`.
    """
    return _one(auto_augment_views, images, seed, **options)


def rand_augment(images, seed, **options):
    """One RandAugment view of each image, uint8 `[B, H, W, C]`.

    Args:
        images: As for `rand_augment_views`.
        seed: As for `rand_augment_views`.
        **options: `num_ops`, `magnitude` and `cutout` of `rand_augment_views`.
    """
    return _one(rand_augment_views, images, seed, **options)


def trivial_augment(images, seed, **options):
    """One TrivialAugment view of each image, uint8 `[B, H, W, C]`.

    Args:
        images: As for `trivial_augment_views`.
        seed: As for `trivial_augment_views`.
        **options: `cutout` of `trivial_augment_views`.
    """
    return _one(trivial_augment_views, images, seed, **options)


def _one(views, images, seed, **options):
    return views(images, seed, num_views=1, clean=False, **options)[:, 0]


def _views(sampler, images, seed, *, cutout, num_views, clean, shard):
    if not is_whole(cutout) or cutout < 0:
        raise UsageError(
            f"The cutout must be a whole number of pixels, at least 0, got "
            f"{cutout!r}; the papers take 16 for CIFAR-10."
        )
    index, count = shards.checked(shard)
    num_views = checked_views(num_views)
    return _compiled(sampler, int(cutout), num_views, bool(clean), count)(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )


@functools.cache
def _compiled(sampler, cutout, num_views, clean, count):
    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        _, height, width, _ = images.shape
        batch = [count * tf.shape(images)[0], num_views]
        step_seed, centre_seed = tf.unstack(rng.split(seed, 2, by_name=True))
        drawn = sampler.draw(step_seed, batch, height, width)
        made = apply_steps(images, shards.rows(drawn, index, count))
        if cutout:
            centres = cutouts.draw_centres(centre_seed, batch, height, width)
            centres = shards.rows(centres, index, count)
            made = cutouts.erase(made, centres, cutout)
        if clean:
            made = tf.concat([images[:, tf.newaxis], made], axis=1)
        return made

    return views


def apply_steps(images, drawn):
    """Makes the views that steps describe.

    Args:
        images: uint8 `[B, H, W, C]`, static but for B.
        drawn: `policy_steps.Steps` of batch axes `[B, V]`.

    Returns:
        uint8 `[B, V, H, W, C]`.
    """

    def views_of(image_and_steps):
        image, drawn = image_and_steps
        counts = tables.histogram(image)
        return tf.map_fn(
            lambda each: steps.apply_steps(
                image,
                counts,
                each.operation,
                each.parameter,
                each.operation.shape[0],
                policy_space.OPERATIONS,
            ),
            drawn,
            fn_output_signature=tf.uint8,
        )

    return tf.map_fn(views_of, (images, drawn), fn_output_signature=tf.uint8)
