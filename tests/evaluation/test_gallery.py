"""Example images: which are kept, what is on them, what is believed of them."""

import dataclasses
import io
import re
import types
import weakref

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.evaluation import gallery
from noisymix_tf.evaluation.gallery import Gallery, read
from support.evaluation_toys import cell, clean_cell

NAMES = ("cat", 'dog "A&B"', "<frog>")
DATASET = types.SimpleNamespace(class_names=NAMES)
N = 23
CELL = clean_cell(n=N)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, [N, 10, 14, 3], np.uint8)
LABELS = np.arange(N) % 3
# Every second image is taken for the next class.
PREDICTED = (LABELS + np.arange(N) % 2) % 3


def kept(folder, cell=CELL, images=IMAGES, labels=LABELS, seen=PREDICTED):
    """Shows all batches of a cell, as an evaluation does; what remains."""
    target = folder if isinstance(folder, Gallery) else Gallery(folder, DATASET)
    outputs = np.eye(3)[seen]
    for start in range(0, len(images), 7):
        part = slice(start, start + 7)
        places = np.arange(start, start + len(images[part]))
        target.see(cell, images[part], outputs[part], labels[part], places)
    target.keep(cell)
    return None if target is folder else read(folder, cell)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)))


def test_pictures_are_the_images_pixel_by_pixel(tmp_path):
    assert gallery.spread(3).tolist() == [0, 1, 2]
    found = kept(tmp_path)
    assert found.cell == CELL and found.frames == ()
    places = [example.place for example in found.examples]
    assert places == [0, 4, 9, 13, 18, 22] == gallery.spread(N).tolist()
    for place, example, picture in zip(places, found.examples, found.pictures):
        np.testing.assert_array_equal(pixels(picture), IMAGES[place])
        names = NAMES[LABELS[place]], NAMES[PREDICTED[place]]
        wanted = example.picture, place, *names, place % 2 == 0, None
        assert dataclasses.astuple(example) == wanted
    # Floats are rounded, large images made small, and grey ones kept.
    one, values = clean_cell(n=1), np.float32([[[[-5.0, 255.4, 3.6]]]])
    shown = pixels(kept(tmp_path, one, values).pictures[0])
    assert shown.tolist() == [[[0, 255, 4]]]
    grey = kept(tmp_path, images=IMAGES[..., :1])
    np.testing.assert_array_equal(pixels(grey.pictures[0]), IMAGES[0, ..., 0])
    # A smooth one, so that nothing but its size is lost.
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones([200, 1, 3])
    shown = pixels(kept(tmp_path, one, ramp[None]).pictures[0]).astype(float)
    expected = np.linspace(0, 255, 112)[None, :, None] * np.ones([75, 1, 3])
    assert np.abs(shown - expected)[:, 2:-2].max() < 4


@pytest.mark.parametrize("known", [True, False])
def test_a_sequence_is_a_film_of_some_frames(tmp_path, known):
    films = RANDOM.integers(0, 256, [9, 31, 6, 6, 3], np.uint8)
    answers = RANDOM.integers(0, 3, [9, 31])
    labels = LABELS[:9] if known else [None] * 9
    found = kept(tmp_path, cell("p", "tilt", 1, n=9), films, labels, answers)
    assert list(found.frames) == [NAMES[k] for k in answers[4]]
    for k, example in zip(range(0, 31, 6), found.examples, strict=True):
        picture, answer = found.pictures[k // 6], answers[4, k]
        np.testing.assert_array_equal(pixels(picture), films[4, k])
        right = bool(answer == LABELS[4]) if known else None
        label = NAMES[LABELS[4]] if known else None
        wanted = (4, label, NAMES[answer], right, k)
        assert dataclasses.astuple(example)[1:] == wanted


@pytest.mark.parametrize("severities, seen", [("1234", "13"), ("31", "3")])
def test_one_severity_stands_for_all(tmp_path, severities, seen):
    target = Gallery(tmp_path, DATASET)
    cells = {s: cell("c", "fog", int(s), n=N) for s in severities}
    # Another corruption begins anew, and every attack is shown.
    cells["5"] = cell("c", "snow", 5, n=N)
    cells |= {s: cell("fgsm", None, 0, n=N, setting=s) for s in "xy"}
    for each in cells.values():
        kept(target, each)
    assert [s for s in cells if read(tmp_path, cells[s])] == [*seen, *"5xy"]


def test_names_are_safe_and_tell_cells_apart():
    base = cell("pgd", "fog/../x", 3, setting="linf eps=4/255, 10 steps")
    cells = [base]
    for field, value in dataclasses.asdict(base).items():
        value = value + 1 if isinstance(value, int) else f"{value}0"
        cells.append(dataclasses.replace(base, **{field: value}))
    names = set(map(gallery.stem, cells))
    assert len(names) == len(cells)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in names)


def test_batches_are_not_held_nor_parts_shown(tmp_path, monkeypatch):
    target, images = Gallery(tmp_path, DATASET), IMAGES.copy()
    target.keep(CELL)
    target.see(CELL, images, np.eye(3)[LABELS], LABELS, np.arange(N))
    batch, images = weakref.ref(images), None
    assert batch() is None
    target.keep(clean_cell(n=N, model="other"))
    assert not list(tmp_path.iterdir())
    examples = kept(tmp_path).examples
    (path,) = (tmp_path / "examples").glob("*.json")
    text, first = path.read_text(), path.parent / examples[0].picture
    strange = text.replace(first.name, "../private.png")
    other = text.replace('"model": "abc"', '"model": "another"')
    for damaged in ("[]", '{"cell": ', text[:-99], "{}", other, strange):
        (tmp_path / "private.png").write_bytes(first.read_bytes())
        path.write_text(damaged)
        assert damaged != text and read(tmp_path, CELL) is None
    path.write_text(text)
    assert read(tmp_path, CELL).examples == examples
    first.unlink()
    assert read(tmp_path, CELL) is None
    # A kill between pictures leaves none to show.
    write, folder = gallery.write_atomically, tmp_path / "killed"

    def killed(path, content):
        return 1 / 0 if "-3." in path.name else write(path, content)

    monkeypatch.setattr(gallery, "write_atomically", killed)
    with pytest.raises(ZeroDivisionError):
        kept(folder)
    assert len(list(folder.rglob("*.png"))) == 3 and not read(folder, CELL)
    monkeypatch.undo()
    assert len(kept(folder).examples) == 6
