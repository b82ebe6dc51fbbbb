"""What all views share: arguments, programs, and the views of a batch.

Where a batch is spread over devices, each augments the images that it holds.
The numbers of the whole batch are a few bytes for each image, so that every
device draws them all and keeps its own rows: one device or eight, an image
gets the same views.
"""

import functools
import inspect

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
    kind, images, seed, shard, dense, *, num_views=2, clean=True, **options
):
    """The views of a kind; arguments and views are as for `augmix_views`.

    A kind is a class of frozen `Options` with a method `views(images, seed,
    batch, part, dense)`, which draws for the leading axes `batch`, keeps what
    `part` returns of it, and makes `[B, 1 + V, H, W, C]`.
    """
    kind = kind(**options)
    if not is_whole(num_views) or num_views < 1:
        raise UsageError(
            f"num_views must be a whole number of views beside the clean "
            f"image, at least 1, got {num_views!r}."
        )
    index, count = checked_shard(shard)
    views = program(kind, int(num_views), count, bool(dense))(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )
    return views if clean else views[:, 1:]


@functools.cache
def program(kind, num_views, count, dense):
    """A compiled function of images, a seed and the number of the part."""

    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        batch = [count * tf.shape(images)[0], num_views]
        part = functools.partial(rows, index=index, count=count)
        return kind.views(images, seed, batch, part, dense)

    return views


def checked(images):
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


def checked_shard(shard):
    """Returns `(index, count)` of a shard, or says what is wrong with it.

    The index is an int or a scalar tensor, the count an int.
    """
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


def rows(draws, index, count):
    """The rows of part `index` of `count`, of a structure of tensors.

    They are `[count * B, ...]`, drawn for the whole batch, and become `[B,
    ...]`; `index` is a scalar, `count` an int.
    """
    if count == 1:
        return draws

    def part(tensor):
        size = tf.shape(tensor)[0] // count
        # Not `tf.slice`: XLA must know its start when it compiles.
        return tf.gather(
            tensor, tf.cast(index, size.dtype) * size + tf.range(size)
        )

    return tf.nest.map_structure(part, draws)


def batch_views(
    images, *, seed, step, standard=None, augment=None, shard=WHOLE, dense=False
):
    """Makes the views of a batch that one training step sees.

    The input pipeline and the train step both call this function, which is why
    it does not matter to the views where they are made.

    Args:
        images: Batch `[B, H, W, C]`.
        seed: The run's seed, an int.
        step: The step, an int or a scalar integer tensor.
        standard: Callable `(images, seed) -> images`, or None.
        augment: Callable `(images, seed) -> views`, to `[B, V, H, W, C]`. By
            default, the images are the only view.
        shard: `(index, count)`, where the images are one of `count` equal
            parts of the batch. A callable that takes `shard` gets it, as those
            of `noisymix_tf.augment` do, and draws what it would draw in the
            whole batch. Any other gets a seed of its own for each part.
        dense: Whether callables that take `dense` are given it.

    Returns:
        `[B, V, H, W, C]`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> batch_views(images, seed=0, step=7, augment=augmix_views).shape
    TensorShape([8, 3, 32, 32, 3])
    """
    for name, function in (("standard", standard), ("augment", augment)):
        if function is not None:
            stream = rng.stream(seed, step, name)
            images = _call(function, images, stream, shard, dense)
    return images[:, tf.newaxis] if augment is None else images


def device_views(images, **where):
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
