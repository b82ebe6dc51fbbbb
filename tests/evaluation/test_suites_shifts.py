"""Suite r: some of the classes, and the clean images of the same classes."""

import shutil

import keras
import numpy as np
import pytest

from noisymix_tf import data as data_lib
from noisymix_tf.evaluation import gallery, metrics
from support import released_sets
from support.evaluation_toys import dataset, run, whole_dataset
from support.usage import assert_usage_error

SIDE = 16
CLASSES = ("ant", "bee", "cat", "dog", "elk")
PRESENT = (1, 3, 4)  # bee, dog and elk; ant and cat are masked away.


def labelled_images(labels, seed):
    """Noise whose brightness tells the class, not always rightly."""
    generator = np.random.default_rng(seed)
    level = 30 + 45 * np.asarray(labels) + generator.normal(0, 25, len(labels))
    noise = generator.normal(0, 5, [len(labels), SIDE, SIDE, 3])
    return np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 8))
    base = released_sets.dataset(CLASSES, side=SIDE, name="pets")
    split = data_lib.ArraySplit(labelled_images(labels, 1), labels)
    return type(base)(**{**vars(base), "test": split})


@pytest.fixture(scope="module")
def shifted():
    """Images and labels, counted among all five classes."""
    labels = np.repeat(PRESENT, (4, 6, 5))
    return labelled_images(labels, 2), labels


def save(root, images, labels, names=CLASSES):
    """A folder for each class that is there."""
    for place, (image, label) in enumerate(zip(images, labels)):
        path = root / names[label] / f"{place:02}.png"
        released_sets.save_image(path, image)
    return root


@pytest.fixture(scope="module")
def root(shifted, tmp_path_factory):
    return save(tmp_path_factory.mktemp("photos"), *shifted)


def model(softmax=False, bias=(4.0, 0.0, 5.0, 0.0, 0.0)):
    """Sees the brightness, and prefers two classes that are not there."""
    levels = (30 + 45 * np.arange(5)) / 255
    inputs = keras.Input([SIDE, SIDE, 3])
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(5, activation="softmax" if softmax else None)
    outputs = head(x)
    kernel = np.tile(20.0 * 2 * levels / 3, [3, 1])
    head.set_weights([kernel, np.array(bias) - 20.0 * levels**2])
    return keras.Model(inputs, outputs)


def by_hand(images, labels):
    """Softmax over the present classes only; labels are places in them."""
    outputs = model().predict(images, verbose=0).astype(float)
    kept = metrics.tally(outputs[:, PRESENT], np.searchsorted(PRESENT, labels))
    return outputs, kept


@pytest.mark.parametrize("softmax", [False, True])
def test_masked_accuracies_by_hand(data, shifted, root, softmax):
    results = run(model(softmax), data, suites=("r",), shift_dir=root)
    settings = [cell.setting for cell in results.records]
    assert settings == ["shifted 3 classes", "clean 3 classes"]
    clean = np.isin(data.test.labels, PRESENT)
    own = data.test.images[clean], data.test.labels[clean]
    accuracies = []
    for (cell, got), (images, labels) in zip(
        results.records.items(), (shifted, own)
    ):
        outputs, wanted = by_hand(images, labels)
        assert cell.suite == "shift"
        assert cell.n == len(images) == wanted.n
        assert got["correct"] == wanted.correct
        assert got["nll_sum"] == pytest.approx(wanted.nll_sum, rel=1e-4)
        assert got["brier_sum"] == pytest.approx(wanted.brier_sum, rel=1e-4)
        # Without the mask this model hardly ever answers rightly.
        unmasked = (outputs.argmax(-1) == labels).mean()
        assert unmasked < 0.3 < wanted.accuracy < 1.0
        accuracies.append(wanted.accuracy)
    figures = results.figures
    assert figures["shift/accuracy"] == accuracies[0]
    assert figures["shift/error"] == pytest.approx(1 - accuracies[0])
    assert figures["shift/clean_accuracy"] == accuracies[1]
    gap = accuracies[1] - accuracies[0]
    assert figures["shift/gap"] == pytest.approx(gap)


def test_a_part_is_balanced_and_the_report_says_what_is_left_out(
    data, shifted, root
):
    options = {"suites": ("r",), "shift_dir": root, "r_dir": root}
    results = run(model(), data, examples=6, **options)
    images, labels = shifted
    chosen = [0, 1, 4, 5, 10, 11]  # Two of every class.
    _, wanted = by_hand(images[chosen], labels[chosen])
    (got, *_) = results.records.values()
    assert got["correct"] == wanted.correct
    assert got["nll_sum"] == pytest.approx(wanted.nll_sum, rel=1e-4)
    sections = results.report.as_dict()["sections"]
    own, released = sections["shift"], sections["r"]
    assert own["figures"] == released["figures"]
    assert (own["source"], released["source"]) == ("original", "released")
    assert own["origin"].startswith("6 of 15 images, from a folder of one's")
    assert released["origin"].startswith("6 of 15 images, from released files")
    assert "other classes than these 3 are left out" in own["notes"][0]
    text = results.report.text()
    assert "accuracy among 3 classes" in text
    assert "clean accuracy among the same (6 images)" in text


def test_cells_are_those_of_their_very_images(data, shifted, root, tmp_path):
    """Only the first image, and the number of classes, told them apart.

    Their examples have the names of the classes that are there.
    """
    folder = shutil.copytree(root, tmp_path / "photos")
    options = {"suites": ("r",), "output_dir": tmp_path / "cells"}
    results = run(model(), data, shift_dir=folder, **options)
    assert run(model(), data, shift_dir=folder, **options).computed == 0
    labels = [CLASSES[k] for k in shifted[1]]
    for cell in results.records:
        examples = gallery.read(tmp_path / "cells", cell).examples
        names = {e.label for e in examples} | {e.predicted for e in examples}
        assert names <= {"bee", "dog", "elk"}
        if cell.setting.startswith("shifted"):
            assert all(e.label == labels[e.place] for e in examples)
    last = max(folder.rglob("*.png"))
    released_sets.save_image(last, 255 - shifted[0][-1])
    assert run(model(), data, shift_dir=folder, **options).computed == 1
    names = {1: "ant", 3: "bee", 4: "cat"}
    other = save(tmp_path / "other", *shifted, names)
    again = run(model(), data, shift_dir=other, **options)
    assert again.computed == 2
    truth = run(model(), data, suites=("r",), shift_dir=other)
    assert again.figures["shift/gap"] == truth.figures["shift/gap"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs images: give r_dir"),
        ({"shift_dir": "nowhere"}, "nowhere does not exist"),
        ({"shift_dir": "stranger"}, "none of the 5 classes of pets"),
        ({"shift_dir": "alone"}, "one class only"),
        ({"shift_dir": "two", "released_preprocess": "resize8"}, "8 x 8"),
    ],
)
def test_bad_input(data, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    for root, name in (
        *(("stranger", "fox"), ("stranger", "ant")),
        *(("alone", "ant"), ("two", "ant"), ("two", "bee")),
    ):
        save(
            tmp_path / root, np.zeros([1, SIDE, SIDE, 3], np.uint8), [0], [name]
        )
    options |= {"suites": ("r",)}
    assert_usage_error(lambda: run(model(), data, **options), words)


def test_a_split_without_labels(root):
    whole = whole_dataset(n=8)
    own = {"test": dataset(n=8).test, "class_names": ("bee", "dog", "elk")}
    plain = type(whole)(**{**vars(whole), **own})
    assert_usage_error(
        lambda: run(data=plain, suites=("r",), shift_dir=root),
        *("labels and subset", "Dataset"),
    )
