"""Throughput of the input pipeline: JPEG files to batches of views."""

import pathlib
import tempfile
import time

import tensorflow as tf

from noisymix_tf import augment, data, devices
from noisymix_tf.benchmarks import timing
from noisymix_tf.benchmarks.augmix import photographs

STAGES = ("decode", "+ crop", "+ AugMix")
_BATCH_SIZES = {32: (32, 128), 224: (8, 32)}
_THREADS = (1, 2)
# The usual size of an ImageNet photograph, for images of 224 pixels.
_WIDTH, _HEIGHT = 500, 375
_FILES = 128


def run(
    data_dir=None,
    sizes=_BATCH_SIZES,
    threads=_THREADS,
    stages=STAGES,
    rounds=20,
    seed=0,
):
    """Times pipelines that read files, stage by stage.

    - decode: whole files, the shorter side resized, the centre cropped;
    - + crop: RandomResizedCrop in its place, of which no more than the part is
      decoded, and a flip;
    - + AugMix: the same, and the clean and two AugMix views.

    A thread here is one of the pool that serves the whole pipeline, AugMix
    included. CPU-seconds count every thread of the process, so that they
    compare on a machine that does other things as well.

    Args:
        data_dir: An image folder; by default 128 JPEG files of photographs are
            made, 500 x 375 pixels for images of 224, and in proportion.
        sizes: Dict from side of the images to batch sizes.
        threads: Numbers of threads.
        stages: Which of the three.
        rounds: Timed batches of 32 images; smaller ones are timed as often as
            makes up for it.
        seed: Of everything drawn.

    Returns:
        Dict from `(side, batch size, stage, threads)` to a dict of
        `samples_per_second` and `cpu_seconds_per_1000`.

    Example:

    >>> figures = run(sizes={32: (8,)}, rounds=2)  # doctest: +SKIP
    """
    figures = {}
    for side, batch_sizes in sizes.items():
        with tempfile.TemporaryDirectory() as made:
            split = _split(data_dir or made, side, data_dir is None, seed)
            for batch_size in batch_sizes:
                for stage in stages:
                    for number in threads:
                        key = side, batch_size, stage, number
                        figures[key] = _rates(
                            _batches(split, batch_size, stage, number, seed),
                            batch_size,
                            max(2, rounds * 32 // batch_size),
                        )
    print(_table(figures, stages, data_dir))
    return figures


def _split(folder, side, make, seed):
    if not make:
        return data.load("folder", data_dir=folder, image_size=side).train
    from PIL import Image

    size = (_WIDTH * side // 224, _HEIGHT * side // 224)
    paths = []
    for place, pixels in enumerate(photographs(_FILES, size[1], seed)):
        path = pathlib.Path(folder, f"{place}.jpg")
        Image.fromarray(pixels).resize(size).save(path, quality=90)
        paths.append(path)
    return data.FileSplit(paths, range(_FILES), side)


def _batches(split, batch_size, stage, threads, seed):
    cropped = stage != "decode"
    batches = data.views(
        # Every epoch is another order of the same images.
        _repeated(split, batch_size),
        batch_size=batch_size,
        seed=seed,
        crop=data.RandomResizedCrop() if cropped else None,
        standard=_flip if cropped else None,
        augment=augment.augmix_views if stage == STAGES[-1] else None,
        num_parallel_calls=threads,
        prefetch=1,
    )
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options)


def _flip(images, seed):
    return augment.random_crop_flip(images, seed, padding=0)


def _repeated(split, batch_size):
    """A split of at least as many images as a batch has."""
    times = -(-batch_size // len(split))
    return (
        split if times == 1 else split.subset(list(range(len(split))) * times)
    )


def _rates(batches, batch_size, number):
    """Times a number of batches of a pipeline that runs already."""
    batches = iter(batches)
    # The first batch compiles; what is ready by then is no work of the others.
    for _ in range(4):
        next(batches)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(number):
        next(batches)
    wall = time.perf_counter() - wall
    cpu = time.process_time() - cpu
    samples = number * batch_size
    return {
        "samples_per_second": samples / wall,
        "cpu_seconds_per_1000": 1000 * cpu / samples,
    }


def _table(figures, stages, data_dir):
    header = ["images/s (CPU-seconds per 1,000)", *stages]
    rows = []
    for side, batch_size, stage, threads in figures:
        if stage != stages[0]:
            continue
        cells = [figures[side, batch_size, each, threads] for each in stages]
        plural = "s" if threads > 1 else ""
        rows.append(
            [
                f"{side} px, batch {batch_size}, {threads} thread{plural}",
                *(
                    f"{each['samples_per_second']:,.0f} "
                    f"({each['cpu_seconds_per_1000']:.2f})"
                    for each in cells
                ),
            ]
        )
    source = data_dir or f"{_FILES} JPEG files made of photographs"
    title = f"Input pipeline from {source}, {devices.operations()}"
    return f"{title}\n{timing.table(header, rows)}"
