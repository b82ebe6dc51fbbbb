"""What all views share: arguments, programs, and the views of a batch.

Where a batch is spread over devices, each augments the images that it holds.
Every device draws the numbers of the whole batch, a few bytes for each image,
and keeps its own rows: one device or eight, an image gets the same views.
"""

import functools
import inspect
from collections.abc import Callable

from noisymix_tf import rng
from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.registry import Registry

WHOLE = (0, 1)
# What makes views of images: functions as `augmix_views`, of the options that
# each is registered with. The flag `--views` names one.
VIEWS = Registry("views")
VIEWS.register("none")(None)


def made(
    kind, images, seed, shard, dense, *, num_views=3, clean=True, **options
) -> "tf.Tensor":
    """The views of a kind; arguments and views are as for `augmix_views`.

    A kind is a class of frozen `Options` with a method `views(images, seed,
    batch, part, dense)`, which draws for the leading axes `batch`, keeps what
    `part` returns of it, and makes `[B, 1 + V, H, W, C]`.
    """
    kind, least = kind(**options), 1 + bool(clean)
    if not is_whole(num_views) or num_views < least:
        raise UsageError(
            f"num_views must be a whole number of at least {least}, how many "
            f"views there are{' with the clean one' * clean}, got "
            f"{num_views!r}."
        )
    own = int(num_views) - bool(clean)
    views = drawn(kind, images, seed, shard, dense, own)
    return views if clean else views[:, 1:]


def drawn(kind, images, seed, shard, dense, number) -> "tf.Tensor":
    """What a kind makes of images and so many draws for each."""
    index, count = checked_shard(shard)
    return program(kind, number, count, bool(dense))(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )


@functools.cache
def program(kind, number, count, dense) -> Callable:
    """A compiled function of images, a seed and the index of a shard."""

    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        batch = [count * tf.shape(images)[0], number]
        part = functools.partial(_rows, index=index, count=count)
        return kind.views(images, seed, batch, part, dense)

    return views


def checked(images) -> "tf.Tensor":
    """Returns images as a tensor, or says what is wrong with them."""
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8:
        raise UsageError(
            f"Augmentation takes uint8 images with pixels 0 to 255, got "
            f"{images.dtype.name}; augment before any conversion to float."
        )
    shape = images.shape
    if shape.rank != 4 or None in shape[1:] or shape[-1] not in (1, 3):
        raise UsageError(
            f"Augmentation takes a batch [B, H, W, C] of known height and "
            f"width with 1 or 3 channels, got shape {shape}; resize and batch "
            f"the images first."
        )
    return images


def checked_shard(shard) -> tuple:
    """Returns `(index, count)` of a shard, or says what is wrong with it."""
    ok = isinstance(shard, tuple | list) and len(shard) == 2
    ok = ok and is_whole(shard[1]) and shard[1] >= 1
    if ok and is_whole(shard[0]):
        ok = 0 <= shard[0] < shard[1]
    if not ok:
        raise UsageError(
            f"shard={shard!r} must be (index, count), such as (0, 2) for the "
            f"first half of a batch."
        )
    return shard[0], int(shard[1])


def _rows(draws, index, count):
    """The part `[B, ...]` of what is drawn for all `[count * B, ...]`."""
    if count == 1:
        return draws

    def part(tensor):
        size = tf.shape(tensor)[0] // count
        # Not `tf.slice`: XLA must know its start when it compiles.
        place = tf.cast(index, size.dtype) * size + tf.range(size)
        return tf.gather(tensor, place)

    return tf.nest.map_structure(part, draws)


def batch_views(
    images, *, seed, step, standard=None, augment=None, shard=WHOLE, dense=False
) -> "tf.Tensor":
    """Makes the views of a batch that one training step sees.

    The input pipeline and the train step both call this function, which is why
    it does not matter to the views where they are made.

    Args:
        images: Batch `[B, H, W, C]`.
        seed: The run's seed, an int.
        step: The step, an int or a scalar integer tensor.
        standard: Callable `(images, seed) -> images`, or None.
        augment: Callable `(images, seed) -> views [B, V, H, W, C]`, which are
            returned. By default, the images are the only view.
        shard: As for `augmix_views`. Callables that take `shard` get it; any
            other gets a seed of its own for each part.
        dense: Whether callables that take `dense` are given it.

    >>> from noisymix_tf.augment import random_crop_flip
    >>> images = tf.zeros([2, 8, 8, 3], tf.uint8)
    >>> batch_views(images, seed=0, step=7, standard=random_crop_flip).shape
    TensorShape([2, 1, 8, 8, 3])
    """
    for name, function in (("standard", standard), ("augment", augment)):
        if function is not None:
            stream = rng.stream(seed, step, name)
            images = _call(function, images, stream, shard, dense)
    return images[:, tf.newaxis] if augment is None else images


def device_views(images, **where) -> "tf.Tensor":
    """`batch_views` for an accelerator: the same views, `dense`.

    Gaussian noise alone is still drawn image by image.
    """
    return batch_views(images, **where, dense=True)


def _call(function, images, seed, shard, dense):
    known = inspect.signature(function).parameters
    index, count = shard
    options = {"dense": True} if dense and "dense" in known else {}
    if count > 1 and "shard" in known:
        options["shard"] = shard
    elif count > 1:
        seed = tf.random.experimental.stateless_fold_in(
            seed, tf.cast(index, tf.int32), alg=rng.GENERATOR
        )
    return function(images, seed, **options)
