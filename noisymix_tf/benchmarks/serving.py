"""What decoding inside an export costs: its bytes against the Keras model.

The signatures are called as TensorFlow functions, without a server: what a
network between client and server costs is not in the figures. The Keras model
is called on pixels that are decoded already, as a `tf.function`, its fastest
way.
"""

import pathlib
import tempfile

import tensorflow as tf

from noisymix_tf import models, serving
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs

# Batch size -> how often it is timed for each round: single images are quick.
BATCH_SIZES = {1: 4, 32: 1}


# What is served: side of the images, network (None for the configuration's),
# how files come to that size, and height and width of the photographs in them;
# 375 x 500 pixels is usual in ImageNet.
CASES = (
    (32, None, "resize32-crop32", (32, 32)),
    (224, "resnet50", "resize256-crop224", (375, 500)),
)


@BENCHMARKS.register(
    "serving",
    title="an export beside the Keras model",
    rounds=5,
    unit="batches",
)
def run(config, rounds, cases=CASES):
    """Times the configured network and width at 32 pixels, ResNet-50 at 224.

    Returns:
        Dict from `(network, side, batch size)` to a dict from `"Keras"`,
        `"serving_default"` and `"serving_bytes"` to a `Timing`.
    """
    figures = {}
    for side, network, preprocess, stored in cases:
        name = network or config.model
        model = models.build(
            name,
            input_shape=(side, side, 3),
            width=1.0 if network else config.width,
            seed=config.seed,
        )
        with tempfile.TemporaryDirectory() as folder:
            exported = serving.export(
                model,
                pathlib.Path(folder) / "model",
                preprocess=preprocess,
                fresh_process=False,
            )
            loaded = tf.saved_model.load(str(exported.path))
        for size, times in BATCH_SIZES.items():
            found = timing.interleaved(
                _calls(model, loaded.signatures, size, side, stored),
                rounds * times,
            )
            figures[name, side, size] = found
            print(f"{name}, {side} px, batch {size}")
            print(timing.beside(found, "Keras"), flush=True)
    return figures


def _calls(model, signatures, size, side, stored):
    """The three ways, each a function without arguments."""
    height, width = stored
    files = photographs(size, max(stored))[:, :height, :width]
    contents = tf.stack([tf.io.encode_jpeg(f, quality=90) for f in files])
    pixels = tf.constant(photographs(size, side))
    floats = tf.cast(pixels, tf.float32)
    keras_model = tf.function(lambda images: model(images, training=False))
    whole, of_bytes = (
        signatures[f"serving_{kind}"] for kind in ("default", "bytes")
    )
    name = "probabilities"
    return {
        "Keras": lambda: keras_model(floats).numpy(),
        "serving_default": lambda: whole(images=pixels)[name].numpy(),
        "serving_bytes": lambda: of_bytes(image_bytes=contents)[name].numpy(),
    }
