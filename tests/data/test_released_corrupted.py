"""Released corrupted images: CIFAR-10-C and CIFAR-100-C, ImageNet-C."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruptions, data
from noisymix_tf.data.released import corrupted_images
from support import released_sets
from support.released_sets import assert_holds, collect, dataset, save_image
from support.usage import assert_usage_error

N = 12
LABELS = np.arange(N) % 10
IMAGES = released_sets.noise(5 * N, 32, 32, 3)


def make(root, names=("fog", "gaussian_noise"), labels=LABELS):
    for name in names:
        np.save(root / f"{name}.npy", IMAGES)
    np.save(root / "labels.npy", labels)
    return root


def read(root, name="fog", severity=1):
    return corrupted_images(root, dataset(10)).split(name, severity)


@pytest.mark.parametrize("labels", [LABELS, np.tile(LABELS, 5).astype("u1")])
def test_severities_are_the_fifths_of_the_rows(labels, tmp_path):
    names = corruptions.names()[3::4]
    make(tmp_path, names[::-1], labels)
    opened = corrupted_images(tmp_path, dataset(10))
    assert opened.names == names
    assert opened.layout == "arrays" and opened.source == "released"
    assert opened.severities("snow") == corruptions.SEVERITIES
    assert str(tmp_path) in opened.description
    assert opened.description.endswith("preprocess as_stored")
    for severity, images in enumerate(np.split(IMAGES, 5), 1):
        split = opened.split("snow", severity)
        assert_holds(split, images, LABELS)
        # Private: only mapped, so that memory holds one batch.
        assert isinstance(split._images, np.memmap)


def test_another_preprocess(tmp_path):
    small = dataset(10, side=24)
    opened = corrupted_images(make(tmp_path), small, preprocess="resize24")
    assert opened.description.endswith("preprocess resize24")
    images, _, _ = collect(opened.split("fog", 2))
    expected = data.Preprocess(resize=24).apply(IMAGES[N : 2 * N])
    np.testing.assert_array_equal(images, expected)
    opened = corrupted_images(tmp_path, small)
    words = "32 x 32", "24 x 24", "another preprocess, such as resize24-crop24"
    assert_usage_error(lambda: opened.split("fog", 1), *words)


def refused(root, words, **keywords):
    assert_usage_error(lambda: read(root, **keywords), words)


def test_what_is_missing(tmp_path):
    refused(tmp_path / "nowhere", "nowhere does not exist: give the directory")
    archive = tmp_path / "CIFAR-10-C.tar"
    archive.write_bytes(b"x")
    refused(archive, "unpack it")
    refused(tmp_path, "no corrupted images: it holds CIFAR-10-C.tar")
    (tmp_path / "cifar10_corrupted").mkdir()
    refused(tmp_path, f"tfds:{tmp_path}")
    make(tmp_path)
    words = f"{tmp_path} lacks frost.npy: download it, or choose among"
    refused(tmp_path, words, name="frost")
    refused(tmp_path, "Unknown corruption 'frosty'", name="frosty")
    refused(tmp_path, "Severity '1'", severity="1")
    (tmp_path / "labels.npy").unlink()
    refused(tmp_path, "labels.npy: it does not exist")


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def images(*shape, dtype=np.uint8):
    return "fog.npy", np.zeros(shape, dtype)


def labels(*values):
    return "labels.npy", np.array(values)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (*images(5 * N, 32, 32, 3, dtype="f4"), "is float32 [60, 32, 32, 3]"),
        (*images(5 * N, 32, 32, 3, dtype="i8"), "expected uint8 [N, H, W, 3]"),
        (*images(5 * N, 3, 32, 32), "the channels come first"),
        (*images(5 * N, 32, 32), "[60, 32, 32]"),
        (*images(5 * N, 32, 32, 1), "give RGB images"),
        (*images(N, 31, 32, 32, 3), "sequences, for suite p"),
        (*images(4 * N, 32, 32, 3), "48 images for the 12 labels of"),
        ("fog.npy", np.array([Bomb()] * N), "pickled Python objects"),
        ("fog.npy", pickle.dumps(Bomb()), "is refused"),
        ("fog.npy", b"", "download it again"),
        ("fog.npy", b"\x93NUMPY\x01", "download it again"),
        ("fog.npy", 10_000, "it is cut short; download it again"),
        (*labels(*[0] * (N - 1)), "60 images for the 11 labels of"),
        (*labels(*range(10), *[0] * 50), "not repeat the same labels 5 times"),
        (*labels(0.0, 1.0), "float64"),
        (*labels([0, 1], [0, 1]), "[2, 2], expected labels: integers [N]"),
        (*labels(*[-1] * N), "the label -1: labels count from 0"),
        (*labels(*[10] * N), "the label 10, but cifar10 has only 10 classes"),
        (*labels(*[8] * 500), "end at 8, but cifar10 has 10 classes"),
        ("labels.npy", np.array([Bomb()] * N), "is refused"),
    ],
)
def test_files_of_another_kind(file, content, words, tmp_path):
    path = make(tmp_path) / file
    if isinstance(content, int):  # Cut short.
        content = path.read_bytes()[:content]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    assert_usage_error(lambda: read(tmp_path), file, words)
    if file == "fog.npy":  # The others are not touched by it.
        assert len(read(tmp_path, "gaussian_noise")) == N


def test_manifests_that_do_not_fit(tmp_path):
    """That of another program is no concern."""
    settings = dict.fromkeys(["dataset", "seed", "generator", "table"], 1)
    ours = {"settings": {**settings, "suite": "p"}, "files": {}}
    manifest = make(tmp_path) / "manifest.json"
    for content in ([], {"settings": {}}, {"files": 3}):
        manifest.write_text(json.dumps(content))
        assert len(read(tmp_path)) == N
    manifest.write_text(json.dumps(ours))
    refused(tmp_path, "holds sets of suite p")
    manifest.write_text("{")
    refused(tmp_path, "is damaged")


CLASSES = ("n01443537", "n01484850", "n02102040")
PICTURES = released_sets.noise(6, 32, 32, 3)


def make_tree(root, name="fog", severities=(1, 3), suffix="png"):
    """`root/name/severity/class/image`, two images of each class."""
    for severity in severities:
        for place, image in enumerate(PICTURES):
            folder = root / f"{name}/{severity}/{CLASSES[place // 2]}"
            # Other pixels at every severity.
            save_image(folder / f"{place}.{suffix}", image ^ np.uint8(severity))


@pytest.mark.parametrize("group", [".", "weather", "extra"])
def test_trees_at_the_top_or_in_groups(group, tmp_path):
    """Classes are matched by name and not by order."""
    make_tree(tmp_path / group)
    make_tree(tmp_path, "noise/shot_noise", (1, 2, 4))
    opened = corrupted_images(tmp_path, dataset(CLASSES))
    assert opened.layout == "tree" and opened.source == "released"
    assert opened.names == ("shot_noise", "fog")
    assert opened.severities("shot_noise") == (1, 2, 4)
    assert opened.severities("fog") == (1, 3)
    assert_holds(opened.split("fog", 3), PICTURES ^ 3, [0, 0, 1, 1, 2, 2])
    reordered = corrupted_images(tmp_path, dataset(CLASSES[::-1]))
    images = (PICTURES ^ 1)[[4, 5, 2, 3, 0, 1]]
    assert_holds(reordered.split("fog", 1), images, [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("side", "own", "expected"),
    [
        (224, "as_stored", "resize256-crop224"),
        (32, "as_stored", "as_stored"),
        (64, "resize70-crop64", "resize70-crop64"),
    ],
)
def test_usual_preprocess(side, own, expected, tmp_path):
    """As for the published tables, and otherwise as the dataset's own."""
    image = released_sets.noise(side, side, 3)
    for name in CLASSES:
        save_image(tmp_path / "fog" / "1" / name / "a.png", image)
    full = dataset(CLASSES, side, preprocess=own)
    opened = corrupted_images(tmp_path, full, preprocess="auto")
    assert opened.description.endswith(f"preprocess {opened.preprocess}")
    assert str(opened.preprocess) == expected
    made, _, _ = collect(opened.split("fog", 1))
    assert made.shape == (3, side, side, 3)
    if side == 224:
        large = Image.fromarray(image).resize((256, 256), Image.BILINEAR)
        wanted = np.asarray(large, int)[16:240, 16:240]
        assert np.abs(made - wanted).max() <= 1
        stored = corrupted_images(tmp_path, full, preprocess="as_stored")
        assert_holds(stored.split("fog", 1), [image] * 3, range(3))


def test_refusals_of_trees(tmp_path):
    def refused(words, name="fog", severity=1, classes=CLASSES, side=32):
        opened = corrupted_images(tmp_path, dataset(classes, side))
        assert_usage_error(lambda: opened.split(name, severity), words)

    make_tree(tmp_path)
    make_tree(tmp_path / "weather", "snow")
    refused("such as resize40-crop40", side=40)
    refused("lacks the folder frost", "frost")
    refused("snow has no folder of severity 2, but 1, 3", "snow", 2)
    refused("n02102040, which are none of the 2", classes=CLASSES[:2])
    refused("lacks the classes n9 of cifar10", classes=(*CLASSES, "n9"))
    refused("(class 0, class 1,", classes=10)
    (tmp_path / "fog" / "2").mkdir()
    refused("fog/2 holds no class folders", severity=2)
    (tmp_path / "fog" / "1" / "n03000684").mkdir()
    refused("n03000684 holds no files")
    # Videos of perturbations are no corruptions.
    (tmp_path / "frost" / CLASSES[0]).mkdir(parents=True)
    refused(f"no folder of severity 1, but {CLASSES[0]}", "frost")


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    make_tree(tmp_path, suffix="JPEG")
    bad = tmp_path / "fog" / "1" / CLASSES[1] / "3.JPEG"
    content = bad.read_bytes()
    split = corrupted_images(tmp_path, dataset(CLASSES)).split("fog", 1)
    for part in (content[:-300], b"x", b""):
        bad.write_bytes(part)
        assert_usage_error(lambda: collect(split), bad)
        assert_usage_error(split.check, bad)
    save_image(bad, released_sets.noise(40, 32, 3))
    words = bad, "40 x 32", "or give a preprocess"
    assert_usage_error(lambda: collect(split), *words)
