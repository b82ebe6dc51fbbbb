"""The input pipeline: shuffled, augmented batches that can start anywhere.

Batch number `step` is a pure function of (seed, step), so that a run that was
stopped and goes on at a step sees what it would have seen. No operation on the
way has a state, for which tf.data would give up working in parallel under
`tf.config.experimental.enable_op_determinism()`. Of many machines each knows
which images make its part of a batch, and decodes those and no others.
"""

import inspect
import os

import numpy as np

from noisymix_tf import corruptions, distribution, rng
from noisymix_tf.augment import batch_views
from noisymix_tf.augment.views import checked_shard
from noisymix_tf.checks import is_whole, whole_number
from noisymix_tf.data import service as service_lib
from noisymix_tf.data.dataset import ArraySplit, Split, as_tensor
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.options import SEED

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
) -> "tf.data.Dataset":
    """Endless training batches, each of `batch_size` images of a `Split`.

    As a `tf.data.Dataset` of `(views, labels)`: `[B, V, H, W, 3]` and int32
    `[B]`, shapes static. Every epoch visits the split in another random order
    and consists of `steps_per_epoch` full batches; what is left of that order
    is dropped. In memory are, for each thread, a decoded image and the views of
    up to eight photographs of 224 x 224 pixels; a batch, and `prefetch` more.

    Args:
        start_step: Number of batches to leave out, of which nothing is decoded.
        standard, augment: As for `augment.batch_views`: crop and flip, and what
            makes views, uint8 or float32. Where not both take `shard`, each
            thread has a whole batch of views in memory.
        crop: `RandomResizedCrop` that is applied while images are read.
        shard: `(index, count)`: make only part `index` of `count` equal parts
            of every batch, of B / count images.
        service: `"grpc://HOST:PORT"` of a `noisymix_tf.data.service` that
            makes the same batches.
        threads: Size of a pool of threads of its own; 0 for that of all cores.

    >>> split = ArraySplit(np.zeros([9, 32, 32, 3], np.uint8), np.arange(9))
    >>> views(split, batch_size=4).element_spec[0].shape
    TensorShape([4, 1, 32, 32, 3])
    """
    functions = {"standard": standard, "augment": augment}
    _check(split, functions, batch_size, seed, start_step, shard, service)
    own = _Batches(split, batch_size // shard[1], seed, shard, functions, crop)
    steps = index_batches(split, batch_size, seed, start_step)
    if service is None:
        made = own.made(steps).map(lambda step, *batch: batch)
    else:
        made = own.made(service_lib.share(steps))
        made = service_lib.through(service, made, start_step=start_step)
    if threads:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.cpu_budget = threads
        made = made.with_options(options)
    endless = tf.data.INFINITE_CARDINALITY
    made = made.apply(tf.data.experimental.assert_cardinality(endless))
    # Last: behind anything else tf.data adds a buffer of its own.
    return made.prefetch(prefetch)


class _Batches:
    """How the images of steps become views: part by part, and put together."""

    def __init__(self, split, size, seed, shard, functions, crop):
        self._split, self._size, self._seed = split, size, seed
        self._shard, self._functions, self._crop = shard, functions, crop
        self._parts = _parts(size, split.image_shape, **functions)
        self._labels = as_tensor(split.labels) if split.in_memory else None
        self._is_gathered = split.in_memory and crop is None

    def made(self, steps):
        """`(step, views, labels)` of what `index_batches` gives."""
        number = self._size // self._parts
        made = steps.flat_map(self._cut)
        if self._is_gathered:
            made = made.map(self._gather)
        else:
            made = self._split.examples(made, self._crop).batch(number, True)
        how = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
        made = made.enumerate().map(self._part, **how)
        if self._parts == 1:
            return made
        return made.batch(self._parts, True).map(self._put_together)

    def _cut(self, step, images):
        """What is read at a time: `(step, seed of its crop, images)`."""
        start = self._shard[0] * self._size
        own = [each[start:][: self._size] for each in images]
        if self._is_gathered:
            own = [tf.reshape(each, [self._parts, -1]) for each in own]
        key, number = rng.stream(self._seed, step, "crop"), own[0].shape[0]
        tags = tf.fill([number], step), tf.tile([key], [number, 1])
        return tf.data.Dataset.from_tensor_slices((*tags, *own))

    def _gather(self, step, _, rows):
        return [step], self._split.fetch(rows), tf.gather(self._labels, rows)

    def _part(self, place, part):
        steps, images, labels = part
        step, (number, count) = steps[0], self._shard
        if self._parts > 1:
            place = tf.cast(place % self._parts, tf.int32)
            number = number * self._parts + place
        where = {"step": step, "shard": (number, count * self._parts)}
        own = {"seed": self._seed, **self._functions}
        made, size = batch_views(images, **where, **own), self._size
        is_static = made.shape.rank == 5 and made.shape.is_fully_defined()
        if not is_static or made.shape[0] != size // self._parts:
            raise UsageError(
                "augment must return views of a static shape [B, V, H, W, 3] "
                f"with B = {size // self._parts}; got {made.shape}."
            )
        return step, made, labels

    def _put_together(self, steps, *batch):
        size = self._size
        whole = [tf.reshape(each, [size, *each.shape[2:]]) for each in batch]
        return steps[0], *whole


def corrupted(
    source,
    name,
    severity,
    *,
    batch_size=250,
    seed=0,
    table="auto",
    frost_folder=None,
    num_parallel_calls=None,
) -> "tf.data.Dataset":
    """The whole of a split, corrupted, in its order, batch by batch.

    As `(images, labels)`, uint8 and int32, of a `Split` or of `(images,
    labels)`: uint8 `[N, H, W, 3]` and ints `[N]`. The last batch holds what is
    left. `num_parallel_calls` batches are made at a time, by default one a
    core. All else is as in `corruptions.corrupt`; an image's index is its place
    in the split, whatever `batch_size`.
    """
    is_pair = isinstance(source, tuple | list) and len(source) == 2
    split = ArraySplit(*source) if is_pair else source
    if not isinstance(split, Split):
        got = f"or of (images, labels); got {type(source).__name__}"
        raise UsageError(f"Corrupted images are made of a split, {got}.")
    size = whole_number("batch_size", batch_size, 1)
    own = {"seed": seed, "table": table, "frost_folder": frost_folder}

    def corrupt(images, indices):
        how = {"indices": indices, **own}
        return corruptions.corrupt(images, name, severity, **how)

    # One black image now: inside of the pipeline a mistake has no clear words.
    corrupt(np.zeros((1, *split.image_shape), np.uint8), np.zeros(1, int))

    def make_batch(indices, images, labels):
        images = tf.numpy_function(
            corrupt, [images, indices], tf.uint8, stateful=False
        )
        return tf.ensure_shape(images, (None, *split.image_shape)), labels

    parallel = num_parallel_calls or os.cpu_count() or 1
    parallel = whole_number("num_parallel_calls", parallel, 1)
    made = split.in_order().batch(size)
    made = made.map(make_batch, parallel, deterministic=True)
    count = tf.data.experimental.assert_cardinality(-(-len(split) // size))
    # Last: behind anything else tf.data adds a buffer of its own.
    return made.apply(count).prefetch(1)


def index_batches(split, batch_size, seed=0, start_step=0) -> "tf.data.Dataset":
    """The order of training: which images make which batch.

    A `tf.data.Dataset` without end of `(step, (indices, ...))`: scalar int64,
    int32 `[B]`, no index twice in an epoch, and what else `split.epoch` has.
    """
    steps = steps_per_epoch(split, batch_size)
    first_epoch, first_batch = divmod(int(start_step), steps)

    def epoch_batches(epoch):
        key = rng.stream(seed, epoch, "shuffle")
        start = tf.where(epoch == first_epoch, np.int64(first_batch), 0)
        images = split.epoch(key, start * batch_size).batch(batch_size, True)
        step = epoch * steps
        numbers = tf.data.Dataset.range(step + start, step + steps)
        return tf.data.Dataset.zip(numbers, images)

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_batches)


def steps_per_epoch(split, batch_size) -> int:
    """Number of full batches of `batch_size` in a split."""
    if not is_whole(batch_size) or not 1 <= batch_size <= len(split):
        raise UsageError(
            f"batch_size={batch_size!r}: give a whole number from 1 to "
            f"{len(split)}, that of the training images; or give more images."
        )
    return len(split) // batch_size


def distribute(strategy, part_from):
    """The training batches of a strategy, or of None, as `fit` takes them.

    `part_from` makes them of a `shard`. On one machine they are whole batches,
    which a strategy divides among its devices in the order of their rows; for a
    lone GPU the next two wait in its memory. Of many machines each makes the
    rows of its own devices.
    """
    if not _has_many_inputs(strategy):
        whole, to = part_from((0, 1)), tf.data.experimental.prefetch_to_device
        gpus = tf.config.list_logical_devices("GPU")
        # A strategy that sums brings the rows to its devices itself.
        is_alone = gpus and not distribution.sums(strategy)
        return whole.apply(to(gpus[0].name, 2)) if is_alone else whole

    def of_machine(context):
        count = context.num_input_pipelines
        part = part_from((context.input_pipeline_id, count))
        devices = context.num_replicas_in_sync // count
        if devices == 1:
            return part
        rows = part.element_spec[1].shape[0] // devices
        return part.rebatch(rows, drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_machine)


def distribute_whole(strategy, batches):
    """A finite dataset that each machine goes through, for measurements."""
    if not _has_many_inputs(strategy):
        return batches
    return strategy.distribute_datasets_from_function(lambda _: batches)


def describe(strategy) -> str:
    """How batches are divided, in words."""
    if _has_many_inputs(strategy):
        return "every machine reads the images of its own part of each batch"
    return "one pipeline makes whole batches"


def _has_many_inputs(strategy):
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return strategy.extended.num_hosts > 1
    return distribution.has_many_machines(strategy)


def _parts(size, image_shape, standard, augment):
    """In how many equal parts a batch is augmented."""
    given = [each for each in (augment, standard) if each is not None]
    shards = ["shard" in inspect.signature(each).parameters for each in given]
    if augment is None or not all(shards):
        return 1
    most = max(1, _PART // (image_shape[0] * image_shape[1]))
    divisors = (n for n in range(1, size + 1) if size % n == 0)
    return next(n for n in divisors if size // n <= most)


def _check(split, functions, batch_size, seed, start_step, shard, service):
    if not hasattr(split, "fetch"):
        hint = "give its train" if hasattr(split, "train") else "load one"
        raise UsageError(
            f"views takes a split of images, got a {type(split).__name__}: "
            f"{hint}, as in data.views(data.load('digits').train, ...)."
        )
    for name, function in functions.items():
        if function is not None and not callable(function):
            what = "a function (images, seed), such as nm.augment.augmix_views"
            raise UsageError(f"{name}={function!r} must be {what}.")
    steps_per_epoch(split, batch_size)
    if not is_whole(seed) or not SEED.accepts(seed):
        raise UsageError(f"seed={seed!r} must be a whole number {SEED.words}.")
    whole_number("start_step", start_step, 0)
    index, count = checked_shard(shard)
    if not is_whole(index) or batch_size % count:
        raise UsageError(
            f"shard={shard}: give (index, count) with an index below the count,"
            f" and a count that divides batch_size={batch_size}."
        )
    if service is not None and split.needs_python:
        raise UsageError(
            f"--data_service={service} cannot make batches of BMP or WebP "
            "images or of ArrayRecord files, which are read by Python: leave "
            "it out, or give JPEG, PNG or tfrecord files."
        )
