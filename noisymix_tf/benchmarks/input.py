"""The input pipeline of training, with deterministic operations and without.

The two take turns. A turn takes batches as fast as they come; then as a step
would that needs twice as long as a batch is made in, and should not wait.
"""

import dataclasses
import io
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import tensorflow as tf

from noisymix_tf import private
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs
from noisymix_tf.benchmarks.training import fed
from noisymix_tf.lazy import Image
from noisymix_tf.training import setup

# The usual size of an ImageNet photograph, for images of 224 pixels.
_WIDTH, _HEIGHT, _SIDE = 500, 375, 224
_FILES = 256
# Batches before those that are timed: more than the pipeline keeps ready.
_READY, _TIMED = 4, 4


@BENCHMARKS.register(
    "input", title="input, deterministic and not", rounds=10, unit="turns"
)
def run(config, rounds) -> dict[str, tuple]:
    """Times batches as training gets them, under both kinds of operations.

    In place of the dataset digits, which is in memory, a TFRecord set is made
    of `train_examples` photographs, as tensorflow-datasets prepares ImageNet:
    of 500 x 375 pixels for an `image_size` of 224, and in proportion. Figures
    are the `Timing` of an image, and the share of time in which a step waits.
    """
    words = config.data_words(config.dataset)
    with tempfile.TemporaryDirectory() as made:
        if config.dataset == "digits":
            words = "made photographs"
            side = config.image_size or _SIDE
            count = config.train_examples or _FILES
            _write_records(made, count, side, config.seed)
            own = {"data_dir": made, "image_size": side, "train_examples": None}
            config = dataclasses.replace(config, dataset="imagenet", **own)
        dataset = setup.dataset(config)
        figures = _measured(config, dataset, rounds)
    title = (
        f"{words}, {dataset.image_shape[0]} px, "
        f"{len(dataset.train):,} images; {config.views} views, batch "
        f"{config.batch_size}; means of {rounds} turns of {_TIMED} batches"
    )
    header = ["operations", "images/s", "CPU-s/1,000", "a slow step waits"]
    rows = [
        [mode, f"{1 / each.wall:,.0f}", f"{1000 * each.cpu:.2f}", f"{wait:.1%}"]
        for mode, (each, wait) in figures.items()
    ]
    timing.tell(title, header, rows)
    walls = (figures[mode][0].walls for mode in ("free", "deterministic"))
    print(
        f"deterministic / free: {timing.ratio(*walls)} of the images/s (95 % "
        f"by resampling)"
    )
    return figures


def _measured(config, dataset, rounds):
    pipelines = {}
    for mode, is_deterministic in (("deterministic", True), ("free", False)):
        # What tf.data makes of a pipeline is settled with its iterator.
        _operate(is_deterministic)
        pipelines[mode] = iter(setup.views(config, dataset))
        next(pipelines[mode])
    _operate(config.deterministic)
    turns = [[_turn(own) for own in pipelines.values()] for _ in range(rounds)]
    figures = {}
    for mode, values in zip(pipelines, zip(*turns)):
        walls, cpus, waits = np.array(values).T
        each = timing.Timing(walls, cpus).each(config.batch_size * _TIMED)
        figures[mode] = each, waits.mean()
    return figures


def _turn(batches):
    """Seconds and CPU-seconds of batches, and the share of waiting."""
    fed(batches, _READY, list)
    seconds, cpu, _ = fed(batches, _TIMED, list)
    pause = 2 * seconds / _TIMED

    def step(_):
        time.sleep(pause)

    fed(batches, 1, step)  # For which nothing was ready.
    slow, _, waited = fed(batches, _TIMED, step)
    return seconds, cpu, waited / slow


def _operate(is_deterministic):
    if is_deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        private.disable_op_determinism()


def _write_records(root, count, side, seed):
    import tensorflow_datasets as tfds

    size = (_WIDTH * side // _SIDE, _HEIGHT * side // _SIDE)
    examples = []
    for place, pixels in enumerate(photographs(count, size[1], seed)):
        file, name = io.BytesIO(), f"{place}.JPEG"
        Image.fromarray(pixels).resize(size).save(file, "jpeg", quality=90)
        file.seek(0)
        example = {"image": file, "label": place % 4, "file_name": name}
        examples.append((place, example))
    builder = tfds.builder("imagenet2012", data_dir=root)
    splits = {"train": examples, "validation": examples[:4]}
    builder._split_generators = lambda _: splits
    how = tfds.download.DownloadConfig(try_download_gcs=False, num_shards=2)
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=how)
