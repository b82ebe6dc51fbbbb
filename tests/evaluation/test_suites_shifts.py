"""Suite r: some of the classes, and the clean images of the same classes."""

import dataclasses
import functools

import numpy as np
import pytest

from noisymix_tf import data as data_lib
from noisymix_tf.evaluation import gallery, metrics
from support import released_sets
from support.evaluation_toys import SIDE, brightness_model, dataset, run
from support.usage import assert_usage_error

CLASSES = ("ant", "bee", "cat", "dog", "elk")
PRESENT = (1, 3, 4)  # bee, dog and elk; ant and cat are masked away.


def labelled_images(labels, seed):
    """Noise whose brightness tells the class, not always rightly."""
    generator = np.random.default_rng(seed)
    level = 20 + 50 * np.asarray(labels) + generator.normal(0, 25, len(labels))
    noise = generator.normal(0, 5, [len(labels), SIDE, SIDE, 3])
    return np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)


CLEAN = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 8))
DATA = dataclasses.replace(
    released_sets.dataset(CLASSES, side=SIDE, name="pets"),
    test=data_lib.ArraySplit(labelled_images(CLEAN, 1), CLEAN),
)
UNLABELLED = dataclasses.replace(DATA, test=dataset(n=8).test)
LABELS = np.repeat(PRESENT, (4, 6, 5))
IMAGES = labelled_images(LABELS, 2)


def save(root, images, labels, names=CLASSES):
    for place, (image, label) in enumerate(zip(images, labels)):
        path = root / names[label] / f"{place:02}.png"
        released_sets.save_image(path, image)
    return root


def model(softmax=False):
    """Sees the brightness, and prefers two classes that are not there."""
    built = brightness_model(5, softmax, scale=20.0)
    kernel, bias = built.get_weights()
    built.set_weights([kernel, bias + [4, 0, 5, 0, 0]])
    return built


def by_hand(images, labels):
    """Softmax over the present classes only; labels are places in them."""
    outputs = model().predict(images, verbose=0).astype(float)
    kept = metrics.tally(outputs[:, PRESENT], np.searchsorted(PRESENT, labels))
    return outputs, kept


@pytest.mark.parametrize("softmax", [False, True])
def test_masked_accuracies_by_hand(tmp_path, softmax):
    root = save(tmp_path, IMAGES, LABELS)
    results = run(model(softmax), DATA, suites=("r",), shift_dir=root)
    settings = [cell.setting for cell in results.records]
    assert settings == ["shifted 3 classes", "clean 3 classes"]
    clean = np.isin(CLEAN, PRESENT)
    sets = (IMAGES, LABELS), (DATA.test.images[clean], CLEAN[clean])
    accuracies = []
    for (cell, got), (images, labels) in zip(results.records.items(), sets):
        outputs, wanted = by_hand(images, labels)
        assert (cell.suite, cell.n) == ("shift", len(images))
        assert got["correct"] == wanted.correct
        assert got["nll_sum"] == pytest.approx(wanted.nll_sum, rel=1e-4)
        assert got["brier_sum"] == pytest.approx(wanted.brier_sum, rel=1e-4)
        # Without the mask this model hardly ever answers rightly.
        unmasked = (outputs.argmax(-1) == labels).mean()
        assert unmasked < 0.3 < wanted.accuracy < 1.0
        accuracies.append(wanted.accuracy)
    own, clean = accuracies
    names = ("accuracy", "error", "clean_accuracy", "gap")
    figures = [results.figures[f"shift/{name}"] for name in names]
    assert figures == pytest.approx([own, 1 - own, clean, clean - own])


def test_a_part_is_balanced_and_cells_are_of_their_very_images(tmp_path):
    root = folder = save(tmp_path / "photos", IMAGES, LABELS)
    options = {"suites": ("r",), "shift_dir": root, "r_dir": root}
    results = run(model(), DATA, examples=6, **options)
    chosen = [0, 1, 4, 5, 10, 11]  # Two of every class.
    _, wanted = by_hand(IMAGES[chosen], LABELS[chosen])
    (got, *_) = results.records.values()
    assert got["nll_sum"] == pytest.approx(wanted.nll_sum, rel=1e-4)
    sections = results.report.as_dict()["sections"]
    own, released = sections["shift"], sections["r"]
    assert own["figures"] == released["figures"]
    assert (own["source"], released["source"]) == ("original", "released")
    assert own["origin"].startswith("6 of 15 images, from a folder of one's")
    assert released["origin"].startswith("6 of 15 images, from released files")
    assert "other classes than these 3 are left out" in own["notes"][0]
    # Only the first image, and the number of classes, told cells apart.

    def measured(folder, **options):
        own = {"output_dir": tmp_path / "cells", "shift_dir": folder}
        return run(model(), DATA, suites=("r",), **{**own, **options})

    results = measured(folder)
    assert measured(folder).computed == 0
    for cell in results.records:
        for example in gallery.read(tmp_path / "cells", cell).examples:
            assert {example.label, example.predicted} <= {"bee", "dog", "elk"}
            if cell.setting.startswith("shifted"):
                assert example.label == CLASSES[LABELS[example.place]]
    released_sets.save_image(max(folder.rglob("*.png")), 255 - IMAGES[-1])
    assert measured(folder).computed == 1
    names = {1: "ant", 3: "bee", 4: "cat"}
    again = measured(save(tmp_path / "other", IMAGES, LABELS, names))
    assert again.computed == 2
    truth = measured(tmp_path / "other", output_dir=None)
    assert again.figures["shift/gap"] == truth.figures["shift/gap"]


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in "stranger/fox stranger/ant alone/ant two/ant two/bee".split():
        released_sets.save_image(tmp_path / folder / "0.png", IMAGES[0])
    measure = functools.partial(run, model(), suites=("r",))
    for options, words in (
        ({}, "needs images: give r_dir"),
        ({"shift_dir": "nowhere"}, "nowhere does not exist"),
        ({"shift_dir": "stranger"}, "none of the 5 classes of pets"),
        ({"shift_dir": "alone"}, "one class only"),
        ({"shift_dir": "two", "released_preprocess": "resize8"}, "8 x 8"),
        ({"shift_dir": "two", "data": UNLABELLED}, "labels and subset"),
    ):
        call = functools.partial(measure, **{"data": DATA, **options})
        assert_usage_error(call, words)
