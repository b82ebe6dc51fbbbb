"""Suite r: some of the classes, and the clean images of the same classes."""

import dataclasses

import numpy as np
import pytest

from noisymix_tf import data as data_lib
from noisymix_tf import evaluation
from noisymix_tf.data import released
from noisymix_tf.evaluation import gallery
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.suites.shifts import shifted_sets
from support import released_sets
from support.evaluation_toys import SIDE, brightness_model, dataset, run
from support.usage import assert_usage_error

CLASSES = ("ant", "bee", "cat", "dog", "elk")
PRESENT = (1, 3, 4)  # bee, dog and elk; ant and cat are masked away.


def labelled_images(labels, seed):
    generator = np.random.default_rng(seed)
    level = 20 + 50 * np.asarray(labels) + generator.normal(0, 25, len(labels))
    noise = generator.normal(0, 5, [len(labels), SIDE, SIDE, 3])
    return np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)


CLEAN = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 8))
DATA = dataclasses.replace(
    released_sets.dataset(CLASSES, side=SIDE, name="pets"),
    test=data_lib.ArraySplit(labelled_images(CLEAN, 1), CLEAN),
)
UNLABELLED = dataset(n=8, num_classes=5)
UNLABELLED.name, UNLABELLED.class_names = "pets", CLASSES
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


@pytest.mark.parametrize("softmax", [False, True])
def test_masked_accuracies_by_hand(tmp_path, softmax):
    root = save(tmp_path, IMAGES, LABELS)
    results = run(model(softmax), DATA, suites=("r",), shift_dir=root)
    clean = np.isin(CLEAN, PRESENT)
    sets = (IMAGES, LABELS), (DATA.test.images[clean], CLEAN[clean])
    shares = []
    for (cell, got), (images, labels) in zip(results.scores.items(), sets):
        assert (cell.corruption, cell.n) == ("shift", len(images))
        outputs = model().predict(images, verbose=0).astype(float)
        places = np.searchsorted(PRESENT, labels)
        wanted = ImageScores.of(outputs[:, PRESENT], places)
        for name in wanted.dtype.names:
            expected = wanted[name]
            np.testing.assert_allclose(got.rows[name], expected, rtol=1e-4)
        # Without the mask this model hardly ever answers rightly.
        shares.append(wanted["right"].mean())
        assert (outputs.argmax(-1) == labels).mean() < 0.3 < shares[-1] < 1.0
    own, clean = shares
    section = results.report.sections[0]
    names = ("accuracy", "clean_accuracy", "gap", "error", "largest_class")
    figures = [section.figure(name) for name in names]
    wanted = [own, clean, clean - own, 1 - own, 6 / 15]
    assert [figure.value for figure in figures] == pytest.approx(wanted)
    left = evaluation.predictor.restrict(np.eye(5)[:2], [1, 3], False)
    assert left.tolist() == [[0.5, 0.5], [1.0, 0.0]]
    # Two sets of images: their errors add up.
    errors = [figure.error**2 for figure in figures[:3]]
    assert errors[2] == pytest.approx(errors[0] + errors[1], rel=0.3)


def test_each_of_several_sets_has_its_own_clean_images(tmp_path):
    """Only the number of classes told the clean cells of two sets apart."""
    art = save(tmp_path / "art", IMAGES, LABELS)
    names = {1: "ant", 3: "bee", 4: "cat"}
    ink = save(tmp_path / "ink,b", IMAGES, LABELS, names)
    options = {"suites": ("fgsm", "r"), "examples": 20, "eps": ("64/255",)}
    options |= {"r_dir": art, "shift_dir": {"art": art, "ink_2": ink}}
    # One clean pass for all of them, whatever was attacked before.
    assert len(evaluation.plan(None, DATA, **options).sources) == 4
    results = run(model(), DATA, **options)
    found = {s.name: s for s in results.report.sections[:3]}
    assert list(found) == ["r", "shift_art", "shift_ink_2"]
    labels = [section.label for section in found.values()]
    assert labels == ["R", "art", "ink_2"]
    assert [s.source for s in found.values()] == ["released"] + 2 * ["original"]
    values = [[f.value for f in s.figures] for s in found.values()]
    assert values[0] == values[1] != values[2]
    cells = [cell for cell in results.scores if cell.setting[0] == "c"]
    assert [(cell.n, cell.available) for cell in cells] == 3 * [(12, 24)]
    assert cells[0].data == cells[1].data != cells[2].data
    assert found["r"].origin.startswith("15 images, from released files")
    assert "other classes than these 3" in found["r"].notes[0]


def test_sets_of_words(tmp_path):
    there = tmp_path / "a:b,c:d"
    there.mkdir()
    for given, wanted in (
        (None, {}),
        ("photos", {"": "photos"}),
        (there, {"": there}),
        ("tfds:/data", {"": "tfds:/data"}),
        ("art:/x/y,s-2:tfds:/z", {"art": "/x/y", "s-2": "tfds:/z"}),
        ({"art": there}, {"art": there}),
    ):
        assert shifted_sets(given) == wanted
    none = "is no name of its own"
    for given, words in (
        ("art:x,art:y", f"'art' {none}"),
        ({"ä b": "x"}, f"'ä b' {none}"),
        ({"art": ""}, f"'art' {none}"),
        ("gs://art", "gs://art is no path of this machine"),
    ):
        assert_usage_error(shifted_sets, words, shift_dir=given)


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("two/ant", "two/bee"):
        released_sets.save_image(tmp_path / folder / "0.png", IMAGES[0])
    others = DATA.test.subset(np.flatnonzero(CLEAN > 1))
    others = dataclasses.replace(DATA, test=others)
    for options, words in (
        ({}, "needs images: give r_dir"),
        ({"shift_dir": "two", "released_preprocess": "resize8"}, "8 x 8"),
        ({"shift_dir": "two", "dataset": UNLABELLED}, "labels and subset"),
        ({"shift_dir": "two", "dataset": others}, "None of the 24 clean im"),
    ):
        given = {"model": None, "dataset": DATA, "suites": ("r",), **options}
        assert_usage_error(evaluation.plan, words, **given)


def test_published_sets_and_several_right_labels(tmp_path, monkeypatch):
    """Of ImageNet-ReaL the label that is scored highest counts."""
    images = labelled_images(np.arange(5), 3)
    split = data_lib.ArraySplit(images, np.zeros(5, int))
    how = data_lib.Preprocess(), "ImageNet-ReaL"
    right = [np.array(own) for own in ([0, 4], [2, 1], [2], [0, 1], [3, 4, 1])]
    shifted = released.ShiftedImages(tuple(range(5)), split, *how, right)
    monkeypatch.setattr(released, "shifted_images", lambda *_, **__: shifted)
    options = {"suites": ("r",), "shift_dir": "imagenet2012_real:tfds:there"}
    own = {"output_dir": tmp_path, **options}
    results = run(brightness_model(5, scale=20.0), DATA, **own)
    (cell, own), _ = results.scores.items()
    shown = gallery.read(tmp_path, cell)["examples"]
    assert [one["right"] for one in shown] == own.rows["right"].tolist()
    predicted = results.report.sections[0]
    outputs = brightness_model(5, scale=20.0).predict(images, verbose=0)
    wanted = [k in r for k, r in zip(outputs.argmax(-1), right)]
    assert own.rows["right"].tolist() == wanted and 0 < sum(wanted) < 5
    labels = [r[np.argmax(row[r])] for row, r in zip(outputs, right)]
    assert own.rows["label"].tolist() == labels
    assert (predicted.title, predicted.label) == ("ImageNet-ReaL",) * 2
    assert cell.source == "released" and "several right" in predicted.notes[0]
    options["shift_dir"] = "tfds:there"  # What has no name is ImageNet-R.
    assert run(brightness_model(5), DATA, **options).report.sections
    options["shift_dir"] = "imagenet2012_real:tfds:there"
    part = run(brightness_model(5), DATA, examples=3, **options)
    assert next(iter(part.scores)).n == 3
