"""Released corrupted images: CIFAR-10-C and CIFAR-100-C, ImageNet-C."""

import itertools
import json

import numpy as np
import pytest

from noisymix_tf import corruptions, data
from noisymix_tf.data.released import corrupted_images
from support import released_sets
from support.released_sets import assert_holds, collect, dataset, save_image
from support.usage import assert_usage_error

N = 12
LABELS = np.arange(N) % 10
IMAGES = released_sets.noise(5 * N, 32, 32, 3)
CLASSES = ("n01443537", "n01484850", "n02102040")
PICTURES = released_sets.noise(6, 32, 32, 3)


def make(root, names=("fog", "gaussian_noise"), labels=LABELS):
    for name in names:
        np.save(root / f"{name}.npy", IMAGES)
    np.save(root / "labels.npy", labels)
    return root


def read(root, name="fog", severity=1, classes=10, side=32):
    return corrupted_images(root, dataset(classes, side)).split(name, severity)


def refused(root, words, *what, **options):
    assert_usage_error(lambda: read(root, *what, **options), words)


@pytest.mark.parametrize("labels", [LABELS, np.tile(LABELS, 5).astype("u1")])
def test_severities_are_the_fifths_of_the_rows(labels, tmp_path):
    names = corruptions.names()[3::4]
    make(tmp_path, names[::-1], labels)
    opened = corrupted_images(tmp_path, dataset(10))
    cells = itertools.product(names, corruptions.SEVERITIES)
    assert [*opened.places] == [f"{n}/{s}" for n, s in cells]
    assert str(opened.preprocess) == "as_stored" and opened.manifest is None
    for severity, images in enumerate(np.split(IMAGES, 5), 1):
        split = opened.split("snow", severity)
        assert_holds(split, images, LABELS)
        # Private: only mapped, so that memory holds one batch.
        assert isinstance(split._array, np.memmap)
    small, rule = dataset(10, side=24), data.Preprocess(resize=24)
    opened = corrupted_images(tmp_path, small, preprocess="resize24")
    made = collect(opened.split("snow", 2))[0]
    np.testing.assert_array_equal(made, rule.apply(IMAGES[N : 2 * N]))


def test_what_is_missing_and_files_of_another_kind(tmp_path):
    """Tuples are shapes of images, lists are labels, and 10,000 is a cut."""
    archive = tmp_path / "CIFAR-10-C.tar"
    refused(archive, "C.tar does not exist: give the directory")
    archive.write_bytes(b"x")
    refused(archive, "unpack it")
    refused(tmp_path, "holds CIFAR-10-C.tar, no such set")
    (tmp_path / "cifar10_corrupted").mkdir()
    refused(tmp_path, f"tfds:{tmp_path}")
    make(tmp_path)
    refused(tmp_path, "lacks frost/1: add it, or choose among what", "frost")
    refused(tmp_path, "Unknown corruption 'frosty'", "frosty")
    refused(tmp_path, "Severity '1'", severity="1")
    refused(tmp_path, "24 x 24: give another preprocess, such as", side=24)
    settings = dict.fromkeys("dataset seed generator table".split(), 1)
    ours = {"settings": {**settings, "suite": "p"}, "files": {}}
    manifest = tmp_path / "manifest.json"
    for content in ([], {"settings": {}}, {"files": 3}):
        manifest.write_text(json.dumps(content))
        assert len(read(tmp_path)) == N
    manifest.write_text(json.dumps(ours))
    refused(tmp_path, "holds sets of suite p")
    manifest.write_text("{")
    refused(tmp_path, "Write the sets again")
    manifest.unlink()
    (tmp_path / "labels.npy").unlink()
    refused(tmp_path, "labels.npy: [Errno 2] No such file")
    for content, words in (
        (np.zeros([5 * N, 32, 32, 3], "f4"), "float32 [60, 32, 32, 3], exp"),
        ((5 * N, 3, 32, 32), "the channels last: convert it"),
        ((5 * N, 32, 32), "[60, 32, 32]"),
        ((5 * N, 32, 32, 1), "expected uint8 [N, H, W, 3] (suite c), the"),
        ((N, 31, 32, 32, 3), "[N, H, W, 3] (suite c), the"),
        ((4 * N, 32, 32, 3), "48 images for the 12 labels of"),
        (np.array([None] * N), "pickled Python objects"),
        # A pickle that ends whoever loads it.
        (b"\x80\x02csys\nexit\n(tR.", "are refused"),
        (b"\x93NUMPY\x01", "Download it again"),
        (10_000, "Download it again if cut short"),
        ([0] * (N - 1), "60 images for the 11 labels of"),
        ([*range(10), *[0] * 50], "60 images for the 60 labels of"),
        ([*LABELS, *LABELS], "60 images for the 24 labels of"),
        ([0.0, 1.0], "float64"),
        ([[0, 1], [0, 1]], "[2, 2] from 0, expected integers [N]"),
        ([-1] * N, "from -1, expected integers [N] from 0"),
        ([10] * N, "end at 10, those of cifar10 at 9"),
        ([8] * 500, "end at 8, those of cifar10 at 9"),
    ):
        file = "labels.npy" if isinstance(content, list) else "fog.npy"
        path = make(tmp_path) / file
        if isinstance(content, tuple):
            content = np.zeros(content, np.uint8)
        if isinstance(content, int):
            content = path.read_bytes()[:content]
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content, allow_pickle=True)
        assert_usage_error(lambda: read(tmp_path), file, words)
        if file == "fog.npy":  # The others are not touched by it.
            assert len(read(tmp_path, "gaussian_noise")) == N


def make_tree(root, severities=(1, 3)):
    """`root/severity/class/image`, two of each class, others at each level."""
    for level, place in itertools.product(severities, range(6)):
        file = root / f"{level}/{CLASSES[place // 2]}/{place}.png"
        save_image(file, PICTURES[place] ^ np.uint8(level))


@pytest.mark.parametrize("group", [".", "weather", "extra"])
def test_trees_at_the_top_or_in_groups(group, tmp_path):
    """Classes are matched by name; images are prepared as published."""
    make_tree(tmp_path / group / "fog")
    make_tree(tmp_path / "noise/shot_noise", (1, 2, 4))
    opened = corrupted_images(tmp_path, dataset(CLASSES))
    cells = "shot_noise/1 shot_noise/2 shot_noise/4 fog/1 fog/3"
    assert [*opened.places] == cells.split()
    assert_holds(opened.split("fog", 3), PICTURES ^ 3, [0, 0, 1, 1, 2, 2])
    reordered = read(tmp_path, classes=CLASSES[::-1])
    images = (PICTURES ^ 1)[[4, 5, 2, 3, 0, 1]]
    assert_holds(reordered, images, [0, 0, 1, 1, 2, 2])
    # Other words go the way of those of shifted images.
    full = dataset(CLASSES, 224)
    opened = corrupted_images(tmp_path, full, preprocess="auto")
    assert str(opened.preprocess) == "resize256-crop224"
    wanted = data.Preprocess(256, 224).apply(PICTURES ^ 1)
    assert_holds(opened.split("fog", 1), wanted, [0, 0, 1, 1, 2, 2])


def test_refusals_of_trees(tmp_path):
    make_tree(tmp_path / "fog")
    # Videos of perturbations are no corruptions.
    (tmp_path / "frost" / CLASSES[0]).mkdir(parents=True)
    (tmp_path / "fog" / "2").mkdir()
    (tmp_path / "snow" / "1" / "n03000684").mkdir(parents=True)
    for words, *what in (
        ("such as resize40-crop40", "fog", 1, CLASSES, 40),
        ("lacks contrast", "contrast"),
        (
            "lacks snow/3: add it, or choose among what is there (snow/1)",
            "snow",
            3,
        ),
        ("n02102040, which are none of the 2", "fog", 1, CLASSES[:2]),
        ("lacks the classes n9 of cifar10", "fog", 1, (*CLASSES, "n9")),
        ("(class 0, class 1,", "fog", 1),
        ("fog/2 holds 0 class folders", "fog", 2),
        ("n03000684 holds no files", "snow", 1),
        ("lacks frost", "frost"),
    ):
        refused(tmp_path, words, *what)
