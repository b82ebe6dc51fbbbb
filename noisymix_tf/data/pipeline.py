"""The input pipeline: shuffled, augmented batches that can start anywhere.

Batch number `step` is a pure function of (seed, step), so that a run that was
stopped and goes on at a step sees what it would have seen.
"""

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import batch_views
from noisymix_tf.data import service as service_lib
from noisymix_tf.errors import UsageError


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
    num_parallel_calls=tf.data.AUTOTUNE,
    prefetch=tf.data.AUTOTUNE,
):
    """Endless training batches of augmented views.

    Every epoch visits the split in another random order and consists of
    `steps_per_epoch` full batches; what is left of that order is dropped.

    Args:
        split: `noisymix_tf.data.Split` of N images.
        batch_size: Images in a batch, B, in `[1, N]`.
        seed: The run's seed, an int.
        start_step: Number of batches to leave out. None of their images is
            read, so that a late start is as fast as an early one.
        augment: Callable `(images, seed) -> views` from `[B, H, W, 3]` and a
            stateless seed, int32 `[2]`, to `[B, V, H, W, 3]`, uint8 or
            float32. By default, the images are the only view.
        standard: Callable `(images, seed) -> images`, applied to uint8
            `[B, H, W, 3]` before `augment`: crop and flip.
        crop: `RandomResizedCrop` that is applied while images are read, before
            `standard`; None for the whole images.
        shard: `(index, count)`: make only part `index` of `count` equal parts
            of every batch, of B / count images, and read no others.
        service: `"grpc://HOST:PORT"` of a tf.data service whose workers make
            the batches, see `noisymix_tf.data.service`; None to make them
            here. The batches are the same ones, in the same order.
        num_parallel_calls: Batches that are made at the same time.
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
    if service is not None and getattr(split, "needs_python", False):
        raise UsageError(
            f"--data_service={service} cannot make batches of BMP images or of "
            "ArrayRecord files, which are read by Python: leave it out, or "
            "give JPEG, PNG or tfrecord files."
        )
    # Captured as an input of the function below, see ArraySplit.fetch.
    with tf.device("CPU:0"):
        all_labels = tf.constant(split.labels)

    def make_batch(step, indices, *encoded):
        if crop is None:
            batch = split.fetch(indices, *encoded)
        else:
            key = rng.stream(seed, step, "crop")
            batch = split.fetch_crops(indices, key, crop, *encoded)
        batch = batch_views(
            batch,
            seed=seed,
            step=step,
            standard=standard,
            augment=augment,
            shard=shard,
        )
        _check_static(batch.shape, rows.stop - rows.start)
        return batch, tf.gather(all_labels, indices)

    indices = index_batches(
        len(split), batch_size=batch_size, seed=seed, start_step=start_step
    )
    if service is not None:
        indices = service_lib.share(indices)
    indices = indices.map(lambda step, indices: (step, indices[rows]))
    indices = split.read_ahead(indices, num_parallel_calls)
    if service is None:
        batches = indices.map(
            make_batch,
            num_parallel_calls=num_parallel_calls,
            deterministic=True,
        )
    else:
        batches = service_lib.through(
            service,
            indices,
            make_batch,
            num_parallel_calls=num_parallel_calls,
            start_step=start_step,
        )
    return batches.prefetch(prefetch).apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    )


def index_batches(num_examples, *, batch_size, seed=0, start_step=0):
    """The order of training: which images make which batch.

    Args:
        num_examples: N.
        batch_size: B, in `[1, N]`.
        seed: The run's seed, an int.
        start_step: The first step.

    Returns:
        `tf.data.Dataset` without end of `(step, indices)`: scalar int64, and
        int32 `[B]`. Inside an epoch no index occurs twice.
    """
    steps = _steps(num_examples, batch_size)
    first_epoch, first_batch = divmod(int(start_step), steps)

    def epoch_batches(epoch):
        # One sort for each epoch, not one for each step.
        key = rng.stream(seed, epoch, "shuffle")
        order = rng.permutation(key, num_examples)[: steps * batch_size]
        start = tf.where(epoch == first_epoch, first_batch, 0)
        batch = tf.range(tf.cast(start, tf.int64), steps, dtype=tf.int64)
        order = tf.reshape(order, [steps, batch_size])[start:]
        return tf.data.Dataset.from_tensor_slices(
            (epoch * steps + batch, order)
        )

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_batches)


def steps_per_epoch(split, batch_size):
    """Number of full batches in a split.

    Args:
        split: `noisymix_tf.data.Split` of N images.
        batch_size: Images in a batch, in `[1, N]`.

    Returns:
        Python int, at least 1.

    Raises:
        UsageError: If `batch_size` is below one or above N.
    """
    return _steps(len(split), batch_size)


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
