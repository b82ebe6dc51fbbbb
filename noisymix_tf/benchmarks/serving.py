"""What decoding inside an export costs: its bytes against the Keras model.

The signatures are called as TensorFlow functions: what a server and a network
cost is not in the figures. The Keras model is called as a `tf.function`, its
fastest way, on pixels that are decoded already.
"""

import tempfile

import tensorflow as tf

from noisymix_tf import models, serving
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs

# Batch size -> how often it is timed for each round: single images are quick.
_BATCH_SIZES = {1: 4, 32: 1}
# What is served: side of the images, network (None for the configuration's),
# how files come to that size, and height and width of the photographs in them;
# 375 x 500 pixels is usual in ImageNet.
_CASES = (
    (32, None, "resize32-crop32", (32, 32)),
    (224, "resnet50", "resize256-crop224", (375, 500)),
)


@BENCHMARKS.register(
    "serving",
    title="an export beside the Keras model",
    rounds=5,
    unit="batches",
)
def run(config, rounds) -> dict[tuple, dict[str, timing.Timing]]:
    """Times the configured network and width at 32 pixels, ResNet-50 at 224.

    Figures are by `(network, side, batch size)`.
    """
    figures = {}
    for side, network, preprocess, stored in _CASES:
        name, width = network or config.model, 1.0 if network else config.width
        model = models.build(
            name, input_shape=(side, side, 3), width=width, seed=config.seed
        )
        with tempfile.TemporaryDirectory() as folder:
            exported = serving.export(
                model, folder, preprocess=preprocess, fresh_process=False
            )
            loaded = tf.saved_model.load(str(exported.path))
        for size, times in _BATCH_SIZES.items():
            figures[name, side, size] = timing.compared(
                f"{name}, {side} px, batch {size}",
                _calls(model, loaded.signatures, size, side, stored),
                rounds * times,
                "Keras",
            )
    return figures


def _calls(model, signatures, size, side, stored):
    """The three ways, each a function without arguments."""
    height, width = stored
    files = photographs(size, max(stored))[:, :height, :width]
    contents = tf.stack([tf.io.encode_jpeg(f, quality=90) for f in files])
    pixels = tf.constant(photographs(size, side))
    floats = tf.cast(pixels, tf.float32)
    keras_model = tf.function(lambda images: model(images, training=False))

    def signature(kind, **images):
        call = signatures[kind]
        return lambda: call(**images)["probabilities"].numpy()

    return {
        "Keras": lambda: keras_model(floats).numpy(),
        "serving_default": signature("serving_default", images=pixels),
        "serving_bytes": signature("serving_bytes", image_bytes=contents),
    }
