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


def test_floats_are_rounded_large_images_made_small_and_grey_ones_kept(
    tmp_path,
):
    values = np.full([1, 4, 4, 3], 3.6, np.float32)
    values[0, 0, 0] = [-5.0, 255.4, 300.0]
    shown = pixels(kept(tmp_path, clean_cell(n=1), images=values).pictures[0])
    assert shown[0, 0].tolist() == [0, 255, 255] and (shown[1:] == 4).all()
    grey = kept(tmp_path, images=IMAGES[..., :1])
    np.testing.assert_array_equal(pixels(grey.pictures[0]), IMAGES[0, ..., 0])
    # A smooth one, so that nothing but its size is lost.
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones([200, 1, 3])
    found = kept(tmp_path, clean_cell(n=1), images=ramp[None])
    assert found.examples[0].picture.endswith(".jpg")
    shown = pixels(found.pictures[0]).astype(float)
    assert shown.shape == (75, 112, 3) and len(found.pictures[0]) < 3000
    expected = np.linspace(0, 255, 112)[None, :, None]
    assert np.abs(shown - expected)[:, 2:-2].max() < 4


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
        answer = answers[4, example.frame]
        assert example.predicted == NAMES[answer]
        if known:
            assert example.label == NAMES[LABELS[4]]
            assert example.right == (answer == LABELS[4])
        else:
            assert (example.label, example.right) == (None, None)


@pytest.mark.parametrize(
    "severities, expected",
    [((1, 2, 3, 4, 5), {1, 3}), ((3, 1, 5), {3}), ((4,), {4})],
)
def test_one_severity_stands_for_all(tmp_path, severities, expected):
    target = Gallery(tmp_path, DATASET)
    cells = [cell("c", "fog", s, n=N) for s in severities]
    # Another corruption begins anew, and every attack is shown.
    others = [
        cell("c", "snow", 5, n=N),
        cell("fgsm", None, 0, n=N, setting="eps=1/255"),
        cell("fgsm", None, 0, n=N, setting="eps=2/255"),
    ]
    for each in (*cells, *others):
        show(target, each)
        target.keep(each)
    found = {fog.severity for fog in cells if read(tmp_path, fog)}
    assert found == expected
    assert all(read(tmp_path, other) for other in others)


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
    # Private, because memory is at stake: a view would keep the whole batch.
    images = [image for _, row, _, _ in target._seen for image in row]
    assert len(images) == gallery.COUNT
    assert all(isinstance(image, Image.Image) for image in images)
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
    base = cell("pgd", "fog/../x", 3, n=N, setting="linf eps=4/255, 10 steps")
    found = kept(tmp_path, base)
    for example in found.examples:
        assert re.fullmatch(r"[A-Za-z0-9-]+\.png", example.picture)
    names = {gallery.stem(base)}
    for field in dataclasses.fields(base):
        value = getattr(base, field.name)
        other = value + 1 if isinstance(value, int) else f"{value}0"
        other = dataclasses.replace(base, **{field.name: other})
        names.add(gallery.stem(other))
        assert read(tmp_path, other) is None
    assert len(names) == 1 + len(dataclasses.fields(base))


def strange(path, content):
    picture = path.parent / content["examples"][0]["picture"]
    (path.parents[1] / "private.png").write_bytes(picture.read_bytes())
    content["examples"][0]["picture"] = "../private.png"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, content: content["cell"].update(model="another"),
        lambda path, content: next(path.parent.glob("*-0.png")).unlink(),
        strange,
        lambda path, content: content.pop("examples"),
        lambda path, content: [],
        lambda path, content: path.read_text()[:100],
    ],
    ids=["another", "no picture", "strange", "nothing", "list", "cut"],
)
def test_what_is_not_whole_is_not_shown(tmp_path, damage):
    kept(tmp_path)
    assert read(tmp_path / "elsewhere", CELL) is None
    (path,) = (tmp_path / "examples").glob("*.json")
    content = json.loads(path.read_text())
    found = damage(path, content)
    content = found if isinstance(found, list | str) else content
    cut = isinstance(content, str)
    path.write_text(content if cut else json.dumps(content))
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
