"""What training a model in segments costs over plain `model.fit`.

Mixing, noise and the stability term are off, so that both steps compute the
same.
"""

import keras
import tensorflow as tf

from noisymix_tf.benchmarks import BENCHMARKS, steps, timing
from noisymix_tf.training import setup

# Of `keras.applications`: networks that are not ours.
APPLICATIONS = ("MobileNetV3Small", "ResNet50")
_SIDE = 64


@BENCHMARKS.register(
    "segments", title="training in segments beside Keras", rounds=20
)
def run(config, rounds, applications=APPLICATIONS):
    """Times train steps of the configured network and of applications."""
    config = steps.cross_entropy(config)
    dataset = setup.dataset(config)
    results = {}
    for name in (config.model, *applications):
        # Even, for strided 1 x 1 convolutions on a CPU (README, "Limits").
        size = config.batch_size
        size = max(2, size // 8 * 2) if name in applications else size
        plain, inner = (_model(config, dataset, name) for _ in range(2))
        plain.compile(
            optimizer=setup.optimizer(config, 1000),
            loss=setup.cross_entropy(config.label_smoothing),
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            jit_compile=config.jit_compile == "true",
        )
        shape = [size, *plain.input_shape[1:]]
        images = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
        labels = tf.range(size) % min(10, dataset.num_classes)
        trained = {
            "plain": plain,
            "segments": setup.trainer(config, inner, 1000),
        }
        key = f"{name}, batch {size}"
        results[key] = timing.compared(
            f"{key}; means of {rounds} steps",
            {k: steps.of_model(m, images, labels) for k, m in trained.items()},
            rounds,
            "plain",
        )
    return results


def _model(config, dataset, name):
    if name == config.model:
        return setup.classifier(config, dataset)
    shape, kind = (_SIDE, _SIDE, 3), getattr(keras.applications, name)
    options = {"weights": None, "classes": 10, "classifier_activation": None}
    return kind(input_shape=shape, **options)
