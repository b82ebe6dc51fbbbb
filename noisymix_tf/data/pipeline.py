"""The input pipeline: shuffled, augmented batches that can start anywhere.

Batch number `step` is a pure function of (seed, step), so that a run that was
stopped and goes on at a step sees what it would have seen. No operation on the
way has a state, for which tf.data would give up working in parallel under
`tf.config.experimental.enable_op_determinism()`.
"""

import inspect

import numpy as np
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import batch_views
from noisymix_tf.data import service as service_lib
from noisymix_tf.data.dataset import as_tensor
from noisymix_tf.errors import UsageError

# One part of a batch is augmented by one thread, and has at most so many
# pixels in each view: eight images of 224 x 224.
_PART = 8 * 224 * 224


def views(
    split,
    *,
    batch_size,
    seed=0,
    start_step=0,
    augment=None,
    standard=None,
    crop=None,
    shard=(0, 1),
    service=None,
    threads=0,
    prefetch=2,
):
    """Endless training batches of augmented views.

    Every epoch visits the split in another random order and consists of
    `steps_per_epoch` full batches; what is left of that order is dropped.

    In memory are an image that is decoded and the views of up to eight
    photographs of 224 x 224 pixels for each thread, a batch that is put
    together, and the `prefetch` ones that are ready.

    Args:
        split: `noisymix_tf.data.Split` of N images.
        batch_size: Images in a batch, B, in `[1, N]`.
        seed: The run's seed, an int.
        start_step: Number of batches to leave out. None of their images is
            decoded, so that a late start is as fast as an early one.
        augment: Callable `(images, seed) -> views` from `[B, H, W, 3]` and a
            stateless seed, int32 `[2]`, to `[B, V, H, W, 3]`, uint8 or
            float32. By default, the images are the only view.
        standard: Callable `(images, seed) -> images`, applied to uint8
            `[B, H, W, 3]` before `augment`: crop and flip. Where not both take
            `shard`, as those of `noisymix_tf.augment` do, each thread has a
            whole batch of views in memory.
        crop: `RandomResizedCrop` that is applied while images are read, before
            `standard`; None for the whole images.
        shard: `(index, count)`: make only part `index` of `count` equal parts
            of every batch, of B / count images, and decode no others.
        service: `"grpc://HOST:PORT"` of a tf.data service whose workers make
            the same batches, see `noisymix_tf.data.service`; None to make them
            here.
        threads: Size of a pool of threads of its own; 0 for the process's, of
            all cores.
        prefetch: Batches that are kept ready.

    Returns:
        `tf.data.Dataset` without end of `(views, labels)`: `[B, V, H, W, 3]`
        and int32 `[B]`, shapes static.

    Raises:
        UsageError: If `split` is no split, `augment` or `standard` no function,
            `batch_size`, `start_step` or `shard` out of its range, or there is
            no such service.

    Example:

    >>> digits = noisymix_tf.data.load("digits")
    >>> batches = views(digits.train, batch_size=64)
    >>> batches.element_spec[0].shape
    TensorShape([64, 1, 32, 32, 3])
    """
    _check_parts(split, standard=standard, augment=augment)
    if start_step < 0:
        raise UsageError(f"start_step={start_step}: give a step from 0 on.")
    rows = _rows(batch_size, *shard)
    if service is not None and split.needs_python:
        raise UsageError(
            f"--data_service={service} cannot make batches of BMP or WebP "
            "images or of ArrayRecord files, which are read by Python: leave "
            "it out, or give JPEG, PNG or tfrecord files."
        )
    size = rows.stop - rows.start
    parts = _parts(size, split.image_shape, augment, standard)

    def make_part(place, part):
        steps, images, labels = part
        step = steps[0]
        number = shard[0]
        if parts > 1:
            number = number * parts + tf.cast(place % parts, tf.int32)
        made = batch_views(
            images,
            seed=seed,
            step=step,
            standard=standard,
            augment=augment,
            shard=(number, shard[1] * parts),
        )
        _check_static(made.shape, size // parts)
        return step, made, labels

    def put_together(steps, *batch):
        whole = [tf.reshape(each, [size, *each.shape[2:]]) for each in batch]
        return steps[0], *whole

    steps = index_batches(
        split, batch_size=batch_size, seed=seed, start_step=start_step
    )
    if service is not None:
        steps = service_lib.share(steps)
    steps = steps.map(
        lambda step, *images: (step, *(each[rows] for each in images))
    )
    if split.in_memory and crop is None:
        made = _gathered(split, steps, parts)
    else:
        made = split.examples(_one_by_one(steps, seed), crop)
        made = made.batch(size // parts, drop_remainder=True)
    made = made.enumerate().map(make_part, tf.data.AUTOTUNE, deterministic=True)
    if parts > 1:
        made = made.batch(parts, drop_remainder=True).map(put_together)
    if service is None:
        made = made.map(lambda step, *batch: batch)
    else:
        made = service_lib.through(service, made, start_step=start_step)
    if threads:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.cpu_budget = threads
        made = made.with_options(options)
    endless = tf.data.experimental.assert_cardinality(
        tf.data.INFINITE_CARDINALITY
    )
    # Last: behind anything else tf.data adds a buffer of its own.
    return made.apply(endless).prefetch(prefetch)


def index_batches(split, *, batch_size, seed=0, start_step=0):
    """The order of training: which images make which batch.

    Returns:
        `tf.data.Dataset` without end of `(step, indices, ...)`: scalar int64,
        int32 `[B]`, and what else `split.epoch` has of the images. Inside an
        epoch no index occurs twice.
    """
    steps = _steps(len(split), batch_size)
    first_epoch, first_batch = divmod(int(start_step), steps)

    def epoch_batches(epoch):
        key = rng.stream(seed, epoch, "shuffle")
        start = tf.where(epoch == first_epoch, np.int64(first_batch), 0)
        images = split.epoch(key, start * batch_size).batch(batch_size, True)
        step = epoch * steps
        numbers = tf.data.Dataset.range(step + start, step + steps)
        return tf.data.Dataset.zip(numbers, images).map(
            lambda step, images: (step, *images)
        )

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_batches)


def steps_per_epoch(split, batch_size):
    """Number of full batches of `batch_size` in a split, an int.

    Raises:
        UsageError: If `batch_size` is below one or above the split's size.
    """
    return _steps(len(split), batch_size)


def _gathered(split, steps, parts):
    """`([step], images, labels)` of each part of a step, out of memory."""
    labels = as_tensor(split.labels)

    def cut(step, indices):
        cut = tf.fill([parts, 1], step), tf.reshape(indices, [parts, -1])
        return tf.data.Dataset.from_tensor_slices(cut)

    def gather(step, indices):
        return step, split.fetch(indices), tf.gather(labels, indices)

    return steps.flat_map(cut).map(gather)


def _one_by_one(steps, seed):
    """`(step, seed of crops, index, ...)` of the images of a step."""

    def images(step, *images):
        key = rng.stream(seed, step, "crop")
        images = tf.data.Dataset.from_tensor_slices(images)
        return images.map(lambda *image: (step, key, *image))

    return steps.flat_map(images)


def _parts(size, image_shape, augment, standard):
    """In how many equal parts a batch is augmented."""
    functions = [each for each in (augment, standard) if each is not None]
    if augment is None or not all(
        "shard" in inspect.signature(each).parameters for each in functions
    ):
        return 1
    most = max(1, _PART // (image_shape[0] * image_shape[1]))
    return next(
        number
        for number in range(1, size + 1)
        if size % number == 0 and size // number <= most
    )


def _check_parts(split, **functions):
    if not hasattr(split, "fetch"):
        hint = "give its train" if hasattr(split, "train") else "load one"
        raise UsageError(
            f"views takes a split of images, got a {type(split).__name__}: "
            f"{hint}, as in data.views(data.load('digits').train, ...)."
        )
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise UsageError(
                f"{name}={function!r} must be a function (images, seed), such "
                f"as nm.augment.augmix_views."
            )


def _steps(num_examples, batch_size):
    if batch_size < 1:
        raise UsageError(
            f"batch_size={batch_size}: give a number from 1 to {num_examples}."
        )
    if batch_size > num_examples:
        raise UsageError(
            f"batch_size={batch_size} is more than the {num_examples} training "
            "images; give a smaller batch or more images."
        )
    return num_examples // batch_size


def _rows(batch_size, index, count):
    """The rows of a batch that are part `index` of `count`."""
    if not 0 <= index < count or batch_size % count:
        raise UsageError(
            f"shard={(index, count)}: give (index, count) with an index below "
            f"the count, and a count that divides batch_size={batch_size}."
        )
    size = batch_size // count
    return slice(index * size, (index + 1) * size)


def _check_static(shape, batch_size):
    if (
        shape.rank != 5
        or not shape.is_fully_defined()
        or (shape[0] != batch_size)
    ):
        raise ValueError(
            "augment must return views of a static shape [B, V, H, W, 3] with "
            f"B = {batch_size}; got {shape}."
        )
