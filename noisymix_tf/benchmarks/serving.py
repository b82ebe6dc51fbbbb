"""What decoding inside an export costs: its bytes against the Keras model."""

import dataclasses
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from noisymix_tf import models, serving
from noisymix_tf.benchmarks import timing
from noisymix_tf.benchmarks.augmix import photographs

# Batch size -> how often it is timed for each round: single images are quick.
BATCH_SIZES = {1: 4, 32: 1}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is served.

    Attributes:
        side: Of the model's images.
        network: Its name; None for the configuration's.
        preprocess: How files come to that size.
        stored: Height and width of the photographs in the files.
    """

    side: int
    network: str | None
    preprocess: str
    stored: tuple


# 500 x 375 pixels is usual in ImageNet.
CASES = (
    Case(32, None, "resize32-crop32", (32, 32)),
    Case(224, "resnet50", "resize256-crop224", (375, 500)),
)


def run(config, rounds=5, cases=CASES):
    """Times an export, and the Keras model on pixels that are decoded already.

    The signatures are called as TensorFlow functions, without a server: what
    a network between client and server costs is not in the figures. The Keras
    model is called as a `tf.function`, its fastest way.

    Args:
        config: `Config`; its network and width are used at 32 pixels.
        rounds: Timed calls of each with 32 images; single ones are timed four
            times as often.
        cases: What is served, `Case`s.

    Returns:
        Dict from `(network, side, batch size)` to a dict from `"Keras"`,
        `"serving_default"` and `"serving_bytes"` to a `Timing`.

    Example:

    >>> figures = run(config, cases=CASES[:1])  # doctest: +SKIP
    """
    figures = {}
    for case in cases:
        name = case.network or config.model.model
        model = models.build(
            name,
            input_shape=(case.side, case.side, 3),
            width=1.0 if case.network else config.model.width,
            seed=config.run.seed,
        )
        with tempfile.TemporaryDirectory() as folder:
            exported = serving.export(
                model,
                pathlib.Path(folder) / "model",
                preprocess=case.preprocess,
                fresh_process=False,
            )
            loaded = tf.saved_model.load(str(exported.path))
        files = _files(max(BATCH_SIZES), case.stored, config.run.seed)
        found = {}
        for batch, times in BATCH_SIZES.items():
            calls = _calls(model, loaded.signatures, files[:batch], case.side)
            timings = timing.interleaved(calls, rounds * times)
            found[name, case.side, batch] = timings
        print(_table(found), flush=True)
        figures |= found
    return figures


def _files(number, stored, seed):
    """JPEG files of photographs, as bytes."""
    height, width = stored
    images = photographs(number, max(stored), seed)[:, :height, :width]
    return [tf.io.encode_jpeg(image, quality=90).numpy() for image in images]


def _calls(model, signatures, files, side):
    """The three ways, each a function without arguments."""
    contents = tf.constant(files)
    noise = np.random.default_rng(0)
    shape = [len(files), side, side, 3]
    whole = tf.constant(noise.integers(0, 256, shape, dtype=np.uint8))
    pixels = tf.cast(whole, tf.float32)
    keras_model = tf.function(lambda images: model(images, training=False))
    return {
        "Keras": lambda: keras_model(pixels).numpy(),
        "serving_default": lambda: _answer(
            signatures["serving_default"](images=whole)
        ),
        "serving_bytes": lambda: _answer(
            signatures["serving_bytes"](image_bytes=contents)
        ),
    }


def _answer(outputs):
    return outputs["probabilities"].numpy()


def _table(figures):
    header = ["network", "batch", "Keras ms", "pixels ms", "bytes ms"]
    header += ["bytes images/s", "bytes / Keras", "CPU ratio"]
    rows = []
    for (name, side, batch), found in figures.items():
        plain, whole, encoded = found.values()
        rows.append(
            [
                f"{name}, {side} px",
                str(batch),
                *(f"{1000 * t.wall:.1f}" for t in (plain, whole, encoded)),
                f"{batch / encoded.wall:.0f}",
                f"{encoded.wall / plain.wall:.2f}",
                f"{encoded.cpu / plain.cpu:.2f}",
            ]
        )
    return timing.table(header, rows)
