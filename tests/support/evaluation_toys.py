"""Small datasets and models whose predictions are known, and made-up cells."""

import types

import keras
import numpy as np

from noisymix_tf import data, evaluation
from noisymix_tf.evaluation.metrics import FlipScores, ImageScores
from noisymix_tf.evaluation.records import Cell

SIDE = 16


class Test:
    """A split in memory that tells no length."""

    __test__ = False

    def __init__(self, images, labels):
        self.images, self.labels = images, labels
        self.passes = 0

    def batches(self, batch_size):
        self.passes += 1
        for start in range(0, len(self.images), batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], self.labels[part]


class SizedTest(Test):
    def __len__(self):
        return len(self.images)


def dataset(n=23, num_classes=3, split=SizedTest, seed=0):
    """Flat images of random brightness; the label says how bright."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, n).astype(np.int32)
    level = 20 + 200 * labels / (num_classes - 1)
    texture = generator.integers(-10, 11, [n, SIDE, SIDE, 3])
    images = np.clip(level[:, None, None, None] + texture, 0, 255)
    names, test = map(str, range(num_classes)), split(np.uint8(images), labels)
    about = {"num_classes": num_classes, "class_names": tuple(names)}
    return types.SimpleNamespace(name="flat", test=test, **about)


def whole_dataset(n=23, num_classes=3, seed=0):
    flat = dataset(n, num_classes, seed=seed)
    split = data.ArraySplit(flat.test.images, flat.test.labels)
    about = flat.class_names, split.image_shape, (0.5,) * 3, (0.5,) * 3
    return data.Dataset(flat.name, split, split, *about, flip=False)


def brightness_model(num_classes=3, softmax=False, scale=1.0, name=None):
    """Logits -(mean / 255 - level_k)^2, written as a linear layer."""
    levels = (20 + 200 * np.arange(num_classes) / (num_classes - 1)) / 255
    inputs = keras.Input([SIDE, SIDE, 3], name=name)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(num_classes, "softmax" if softmax else None)
    outputs = head(x)
    # The square of the mean is common to all classes and drops out.
    kernel = np.tile(scale * 2 * levels / 3, [3, 1])
    head.set_weights([kernel, -scale * levels**2])
    return keras.Model(inputs, outputs)


def random_model(num_classes=3, seed=0, softmax=False):
    generator = np.random.default_rng(seed)
    inputs = keras.Input([SIDE, SIDE, 3])
    x = keras.layers.Rescaling(1 / 128, -1)(inputs)
    for _ in range(2):
        x = keras.layers.Conv2D(8, 3, strides=2, activation="tanh")(x)
    head = keras.layers.Dense(num_classes, "softmax" if softmax else None)
    model = keras.Model(inputs, head(keras.layers.Flatten()(x)))
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([generator.normal(0, 0.5, shape) for shape in shapes])
    return model


def self_labelled(model):
    """Noise, labelled as the model sees it, so that attacks have a prey."""
    toy = dataset()
    generator = np.random.default_rng(0)
    toy.test.images[:] = generator.integers(0, 256, toy.test.images.shape)
    toy.test.labels[:] = model(toy.test.images).numpy().argmax(-1)
    return toy


def run(model=None, data=None, **options):
    usual = {"batch_size": 8, "progress": None}
    if {"c", "calibration"} & {*options.get("suites", "c")}:
        usual |= {"corruptions": ("contrast", "gaussian_noise")}
        usual |= {"severities": (1, 5)}
    model, data = model or brightness_model(), data or dataset()
    return evaluation.evaluate(model, data, **{**usual, **options})


def clean_cell(n=200, **fields):
    return cell("clean", source="original", n=n, **fields)


def cell(suite, corruption=None, severity=0, source="generated", **fields):
    if source == "generated":
        fields = {"seed": 0, "generator": "1-cifar", **fields}
    fields = {"model": "abc", "data": "0f", "outputs": "logits", **fields}
    fields = {"dataset": 'toy "<&>"', "source": source, "n": 200, **fields}
    return Cell(suite=suite, corruption=corruption, severity=severity, **fields)


def suite_c(accuracies, n=200, **fields):
    return {
        cell("c", name, severity, n=n, **fields): scores(accuracy, n)
        for name, row in accuracies.items()
        for severity, accuracy in enumerate(row, start=1)
    }


def scores(accuracy, n=200, confidence=0.95):
    """Scores of a cell: the first images are right, all equally sure."""
    rows = np.zeros(n, ImageScores.ROW)
    rows["label"], rows["right"] = np.arange(n) % 4, 0
    rows["right"][: round(accuracy * n)] = True
    rows["confidence"], rows["nll"], rows["brier"] = confidence, 0.5, 0.25
    return ImageScores(rows)


def flip_scores(flips, distance=1.0, n=200):
    """Scores of a perturbation of which all sequences are alike."""
    return FlipScores(np.array([(flips, distance, 0.5)] * n, FlipScores.ROW))
