"""Example images: which are kept, what is on them, what is believed of them."""

import dataclasses

import numpy as np
import pytest

from noisymix_tf.evaluation import gallery
from noisymix_tf.evaluation.gallery import Gallery, read
from support.report_page import NAMES, cell, decoded

CELL = cell("clean", source="original")
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, [9, 10, 14, 3], np.uint8)
# Sorted by class, as folders are: the first six are of one only.
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2])
# Every second image is taken for the next class.
SEEN = (LABELS + np.arange(9) % 2) % 3


def kept(root, images=IMAGES, labels=LABELS, seen=SEEN, own=CELL, names=NAMES):
    Gallery(root).see(own, images, np.eye(3)[seen], labels, names)
    if not (found := read(root, own)):
        return None
    keys = "label", "predicted", "right", "frame"
    told = [tuple(one[key] for key in keys) for one in found["examples"]]
    return [decoded(one["picture"]) for one in found["examples"]], told


def test_pictures_are_the_images_pixel_by_pixel_and_of_all_classes(tmp_path):
    shown, told = kept(tmp_path)
    for k, picture, one in zip((0, 1, 2, 6, 7, 8), shown, told, strict=True):
        np.testing.assert_array_equal(picture, IMAGES[k])
        names = NAMES[LABELS[k]], NAMES[SEEN[k]]
        assert one == (*names, k % 2 == 0, None)
    # Floats are rounded, large images made small, and grey ones kept.
    numbers = np.float32([[[[-5.0, 255.4, 3.6]]]])
    assert kept(tmp_path, numbers, [0], [0])[0][0].tolist() == [[[0, 255, 4]]]
    grey, _ = kept(tmp_path, IMAGES[..., :1])
    np.testing.assert_array_equal(grey[5], IMAGES[8, ..., 0])
    # A smooth one, so that nothing but its size is lost.
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones([1, 200, 1, 3])
    ((shown,), _) = kept(tmp_path, ramp, [0], [0])
    expected = np.linspace(0, 255, 112)[None, :, None] * np.ones([75, 1, 3])
    assert np.abs(shown - expected)[:, 2:-2].max() < 4
    # Outputs of other classes, labels that are not known, and no image at all.
    _, told = kept(tmp_path, labels=0 * LABELS - 1, names="xyz")
    assert set(told) == {(None, c, None, None) for c in "xy"}
    assert kept(tmp_path / "empty", IMAGES[:0], [], SEEN[:0]) is None


def test_a_sequence_is_a_film_of_some_frames(tmp_path):
    films = RANDOM.integers(0, 256, [2, 31, 6, 6, 3], np.uint8)
    answers, tilt = RANDOM.integers(0, 3, [2, 31]), cell("p", "tilt", 1)
    shown, told = kept(tmp_path, films, [1, 2], answers, tilt)
    np.testing.assert_array_equal(shown, films[0, ::6])
    for k, one in zip(range(0, 31, 6), told):
        answer = answers[0, k]
        assert one == (NAMES[1], NAMES[answer], answer == 1, k)
    assert read(tmp_path, tilt)["frames"] == [NAMES[k] for k in answers[0]]


@pytest.mark.parametrize("severities, seen", [("1234", "13"), ("31", "3")])
def test_one_severity_stands_for_all(tmp_path, severities, seen):
    target = Gallery(tmp_path)
    cells = {s: cell("c", "fog", int(s)) for s in severities}
    # Another corruption begins anew, and every attack is shown.
    cells |= {s: cell("fgsm", setting=s) for s in "xy"}
    cells["5"] = cell("c", "snow", 5)
    for each in cells.values():
        target.see(each, IMAGES, np.eye(3)[SEEN], LABELS, NAMES)
    assert [s for s in cells if read(tmp_path, cells[s])] == [*seen, *"xy5"]


def test_damaged_files_show_nothing(tmp_path):
    kept(tmp_path)
    path = tmp_path / gallery.FOLDER / f"{CELL.key}.json"
    text = path.read_text()
    assert read(tmp_path, CELL)["cell"] == dataclasses.asdict(CELL)
    strange = text.replace("data:image/png", "file:///private.png")
    for damaged in ("[]", '{"cell": ', text[:-99], "{}", strange):
        path.write_text(damaged)
        assert damaged != text and read(tmp_path, CELL) is None
