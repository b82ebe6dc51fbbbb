"""Example images: which are kept, what is on them, what is believed of them."""

import dataclasses
import io
import json
import re
import types

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
OUTPUTS = np.eye(3)[PREDICTED]


def show(target, cell=CELL, images=IMAGES, labels=LABELS, outputs=OUTPUTS):
    """All batches of a cell, as an evaluation shows them."""
    for start in range(0, len(images), 7):
        part = slice(start, start + 7)
        places = np.arange(start, start + len(images[part]))
        target.see(cell, images[part], outputs[part], labels[part], places)


def kept(folder, cell=CELL, class_names=None, **options):
    target = Gallery(folder, DATASET)
    show(target, cell, **options)
    target.keep(cell, class_names)
    return read(folder, cell)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)))


@pytest.mark.parametrize(
    "n, places",
    [
        (1, [0]),
        (3, [0, 1, 2]),
        (11, [0, 2, 4, 6, 8, 10]),
        (31, [0, 6, 12, 18, 24, 30]),
        (10_000, [0, 2000, 4000, 5999, 7999, 9999]),
    ],
)
def test_places_are_spread_evenly(n, places):
    assert gallery.spread(n).tolist() == places


def test_small_images_come_back_pixel_by_pixel(tmp_path):
    found = kept(tmp_path)
    places = [0, 4, 9, 13, 18, 22]
    assert [example.place for example in found.examples] == places
    for example, picture in zip(found.examples, found.pictures):
        np.testing.assert_array_equal(pixels(picture), IMAGES[example.place])
        assert example.label == NAMES[LABELS[example.place]]
        assert example.predicted == NAMES[PREDICTED[example.place]]
        assert example.right == (example.place % 2 == 0)
        assert example.frame is None
    assert found.cell == CELL and found.frames == ()
    renamed = kept(tmp_path, class_names=("x", "y", "z"))
    assert {example.label for example in renamed.examples} == set("xy")


def test_float_images_are_rounded_and_cut(tmp_path):
    values = np.full([1, 4, 4, 3], 3.6, np.float32)
    values[0, 0, 0] = [-5.0, 255.4, 300.0]
    found = kept(tmp_path, clean_cell(n=1), images=values)
    shown = pixels(found.pictures[0])
    assert shown[0, 0].tolist() == [0, 255, 255]
    assert (shown[1:] == 4).all()


def test_large_images_become_small(tmp_path):
    """A smooth one, so that nothing but its size is lost."""
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones([200, 1, 3])
    found = kept(tmp_path, clean_cell(n=1), images=ramp[None])
    (picture,) = found.pictures
    assert found.examples[0].picture.endswith(".jpg")
    shown = pixels(picture).astype(float)
    assert shown.shape == (75, 112, 3)
    expected = np.linspace(0, 255, 112)[None, :, None]
    assert np.abs(shown - expected)[:, 2:-2].max() < 4
    assert len(picture) < 3000


def test_grey_images(tmp_path):
    found = kept(tmp_path, images=IMAGES[..., :1])
    np.testing.assert_array_equal(pixels(found.pictures[0]), IMAGES[0, ..., 0])


@pytest.mark.parametrize("known", [True, False])
def test_a_sequence_is_a_film_of_some_frames(tmp_path, known):
    n, frames = 9, 31
    films = RANDOM.integers(0, 256, [n, frames, 6, 6, 3], np.uint8)
    answers = RANDOM.integers(0, 3, [n, frames])
    labels = LABELS[:n] if known else [None] * n
    tilt = cell("p", "tilt", 1, n=n)
    found = kept(
        tmp_path, tilt, images=films, labels=labels, outputs=np.eye(3)[answers]
    )
    assert [e.frame for e in found.examples] == [0, 6, 12, 18, 24, 30]
    assert list(found.frames) == [NAMES[k] for k in answers[4]]
    for example, picture in zip(found.examples, found.pictures):
        assert example.place == 4
        np.testing.assert_array_equal(pixels(picture), films[4, example.frame])
        assert example.predicted == NAMES[answers[4, example.frame]]
        right = answers[4, example.frame] == LABELS[4] if known else None
        assert (example.right, example.label) == (
            right,
            NAMES[LABELS[4]] if known else None,
        )


@pytest.mark.parametrize(
    "severities, expected",
    [
        ((1, 2, 3, 4, 5), {1, 3}),
        ((3, 1, 5), {3}),
        ((2, 5), {2}),
        ((4,), {4}),
    ],
)
def test_one_severity_stands_for_all(tmp_path, severities, expected):
    target = Gallery(tmp_path, DATASET)
    cells = [cell("c", "fog", s, n=N) for s in severities]
    for fog in cells:
        show(target, fog)
        target.keep(fog)
    found = {fog.severity for fog in cells if read(tmp_path, fog)}
    assert found == expected
    # Another corruption begins anew, and every attack is shown.
    for other in (
        cell("c", "snow", 5, n=N),
        cell("fgsm", None, 0, n=N, setting="eps=1/255"),
        cell("fgsm", None, 0, n=N, setting="eps=2/255"),
    ):
        show(target, other)
        target.keep(other)
        assert read(tmp_path, other)


def test_only_what_is_shown_is_ever_touched(tmp_path):
    class Guarded:
        ndim = 4

        def __getitem__(self, row):
            touched.append(row)
            return IMAGES[row]

    touched = []
    target = Gallery(tmp_path, DATASET)
    places = np.arange(N)
    target.see(CELL, Guarded(), OUTPUTS, LABELS, places)
    assert touched == gallery.spread(N).tolist()
    assert len(target._seen) == gallery.COUNT
    # A view would keep the whole batch in memory.
    assert all(
        isinstance(image, Image.Image)
        for _, images, _, _ in target._seen
        for image in images
    )
    target.keep(CELL)
    assert not target._seen
    for severity in (1, 2):
        fog = cell("c", "fog", severity, n=N)
        target.see(fog, Guarded(), OUTPUTS, LABELS, places)
    assert len(touched) == 2 * gallery.COUNT


def test_a_cell_that_was_not_seen_leaves_nothing(tmp_path):
    target = Gallery(tmp_path, DATASET)
    target.keep(CELL)
    show(target)
    target.keep(clean_cell(n=N, model="other"))
    assert not list(tmp_path.iterdir())
    target.keep(CELL)
    assert len(list((tmp_path / "examples").iterdir())) == 7


def test_names_are_safe_and_tell_cells_apart(tmp_path):
    base = cell(
        "pgd",
        "fog/../x",
        3,
        n=N,
        setting="linf eps=4/255, 10 steps",
    )
    changes = {
        "dataset": "other",
        "suite": "fgsm",
        "corruption": "fog",
        "severity": 2,
        "source": "released",
        "n": N + 1,
        "model": "abd",
        "data": "1f",
        "seed": 1,
        "generator": "2-cifar",
        "setting": "linf eps=4/255, 20 steps",
        "preprocess": "resize224",
    }
    assert set(changes) >= {
        field.name
        for field in dataclasses.fields(base)
        if getattr(base, field.name) is not None
    }
    others = [dataclasses.replace(base, **{k: v}) for k, v in changes.items()]
    names = {gallery.stem(c) for c in (base, *others)}
    assert len(names) == 1 + len(others)
    found = kept(tmp_path, base)
    for example in found.examples:
        assert re.fullmatch(r"[A-Za-z0-9-]+\.png", example.picture)
    for other in others:
        assert read(tmp_path, other) is None


@pytest.mark.parametrize(
    "damage",
    [
        "no folder",
        "cut",
        "another cell",
        "no picture",
        "strange picture",
        "list",
        "nothing",
    ],
)
def test_what_is_not_whole_is_not_shown(tmp_path, damage):
    kept(tmp_path)
    folder = tmp_path / "examples"
    (path,) = folder.glob("*.json")
    content = json.loads(path.read_text())
    picture = folder / content["examples"][0]["picture"]
    if damage == "no folder":
        assert read(tmp_path / "elsewhere", CELL) is None
        return
    if damage == "cut":
        path.write_text(path.read_text()[:100])
    elif damage == "another cell":
        content["cell"]["model"] = "another"
    elif damage == "no picture":
        picture.unlink()
    elif damage == "strange picture":
        (tmp_path / "private.png").write_bytes(picture.read_bytes())
        content["examples"][0]["picture"] = "../private.png"
    elif damage == "list":
        content = []
    elif damage == "nothing":
        del content["examples"]
    if damage != "cut":
        path.write_text(json.dumps(content))
    assert read(tmp_path, CELL) is None


def test_a_kill_between_pictures_leaves_none_to_show(tmp_path, monkeypatch):
    written = []

    def write(path, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        original(path, content)

    original = gallery.write_atomically
    monkeypatch.setattr(gallery, "write_atomically", write)
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path)
    assert read(tmp_path, CELL) is None
    monkeypatch.undo()
    assert len(kept(tmp_path).examples) == 6
