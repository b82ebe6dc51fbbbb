"""Released corrupted images in arrays: CIFAR-10-C, CIFAR-100-C, our own."""

import json
import pickle

import numpy as np
import pytest

from noisymix_tf import corruption_sets, corruptions, data
from noisymix_tf.data import released
from noisymix_tf.errors import UsageError
from support.released_sets import collect, dataset, noise

N = 12
LABELS = np.arange(N) % 10


def images_of(name):
    """Pixels that tell the severity (tens) and the image (ones) of a row."""
    rows = [10 * s + i for s in range(1, 6) for i in range(N)]
    base = np.array(rows, np.uint8)[:, None, None, None]
    return np.broadcast_to(base + len(name) % 3, [5 * N, 32, 32, 3])


def make(root, names=("fog", "gaussian_noise"), labels=None):
    root.mkdir(exist_ok=True)
    for name in names:
        np.save(root / f"{name}.npy", images_of(name))
    labels = np.tile(LABELS, 5).astype(np.uint8) if labels is None else labels
    np.save(root / "labels.npy", labels)
    return root


def error(function, *arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(root, name="fog", severity=1, classes=10, **keywords):
    opened = released.corrupted_images(root, dataset(classes), **keywords)
    return opened.split(name, severity)


def test_what_is_there(tmp_path):
    names = ("saturate", "fog", "elastic_transform", "gaussian_noise")
    root = make(tmp_path, names)
    opened = released.corrupted_images(root, dataset(10))
    assert opened.names == (
        "gaussian_noise",
        "fog",
        "elastic_transform",
        "saturate",
    )
    assert opened.layout == "arrays" and opened.source == "released"
    assert opened.severities("fog") == (1, 2, 3, 4, 5)
    assert str(root) in opened.description
    assert opened.description.endswith("preprocess as_stored")
    everything = make(tmp_path / "all", corruptions.names())
    opened = released.corrupted_images(everything, dataset(10))
    assert opened.names == corruptions.names()


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("tiled", [True, False])
def test_severities_are_the_fifths_of_the_rows(severity, tiled, tmp_path):
    root = make(tmp_path, labels=None if tiled else LABELS)
    split = read(root, "fog", severity)
    assert len(split) == N
    assert split.image_shape == (32, 32, 3)
    images, labels, sizes = collect(split, 5)
    assert sizes == [5, 5, 2]
    expected = 10 * severity + np.arange(N)
    assert images[:, 0, 0, 0].tolist() == expected.tolist()
    np.testing.assert_array_equal(images, images[:, :1, :1, :1] + 0 * images)
    assert labels.dtype == np.int32 and labels.tolist() == LABELS.tolist()
    assert split.labels.tolist() == LABELS.tolist()
    assert split.check() is None


def test_subset_keeps_its_order(tmp_path):
    split = read(make(tmp_path), "fog", 3)
    part = split.subset([7, 2, 11]).subset(range(2))
    images, labels, _ = collect(part)
    assert images[:, 5, 5, 1].tolist() == [37, 32]
    assert labels.tolist() == [7, 2]
    balanced = data.subset.balanced_subset(split, 10, 10)
    assert sorted(collect(balanced)[1]) == list(range(10))


def test_rows_are_mapped_and_not_loaded(tmp_path):
    split = read(make(tmp_path))
    assert isinstance(split._images, np.memmap)
    (batch, _), *_ = split.batches(4)
    assert type(batch) is np.ndarray
    assert not np.shares_memory(batch, split._images)


def test_another_preprocess(tmp_path):
    root = make(tmp_path)
    np.save(root / "fog.npy", noise(5 * N, 32, 32, 3))
    given = released.corrupted_images(
        root, dataset(10, side=24), preprocess="resize24"
    )
    assert given.description.endswith("preprocess resize24")
    images, _, _ = collect(given.split("fog", 2))
    stored = collect(read(root, "fog", 2))[0]
    expected = data.Preprocess(resize=24).apply(stored)
    np.testing.assert_array_equal(images, expected)


def test_images_of_another_size_than_the_dataset(tmp_path):
    opened = released.corrupted_images(make(tmp_path), dataset(10, side=64))
    message = error(opened.split, "fog", 1)
    assert "32 x 32" in message and "64 x 64" in message
    assert "give another preprocess, such as resize64-crop64" in message


# What is damaged, missing or something else


def test_a_missing_corruption_is_named_with_those_there(tmp_path):
    opened = released.corrupted_images(make(tmp_path), dataset(10))
    message = error(opened.split, "frost", 1)
    assert f"{tmp_path} lacks frost.npy" in message
    assert "(gaussian_noise, fog)" in message
    assert "Unknown corruption 'frosty'" in error(opened.split, "frosty", 1)
    for severity in (0, 6, "1"):
        assert "Severity" in error(opened.split, "fog", severity)


def test_missing_paths(tmp_path):
    message = error(read, tmp_path / "nowhere")
    assert "nowhere does not exist: give the directory of CIFAR-10-C" in message
    (tmp_path / "CIFAR-10-C.tar").write_bytes(b"x")
    assert "unpack it" in error(read, tmp_path / "CIFAR-10-C.tar")
    message = error(read, tmp_path)
    assert "holds no corrupted images: it holds CIFAR-10-C.tar" in message
    (tmp_path / "cifar10_corrupted").mkdir()
    assert f"tfds:{tmp_path}" in error(read, tmp_path)


def test_missing_labels(tmp_path):
    (make(tmp_path) / "labels.npy").unlink()
    assert "labels.npy: it does not exist" in error(read, tmp_path)


@pytest.mark.parametrize("number", [N - 1, 2 * N, 5 * N + 1, 1])
def test_labels_of_another_length(number, tmp_path):
    root = make(tmp_path, labels=np.zeros(number, int))
    message = error(read, root)
    assert f"fog.npy holds {5 * N} images for the {number} labels" in message


def test_labels_that_do_not_repeat(tmp_path):
    """Labels that run through all rows belong to some other order."""
    root = make(tmp_path, labels=np.arange(5 * N) % 10)
    message = error(read, root)
    assert "does not repeat the same labels 5 times" in message
    assert "5 severities of the same images in the same order" in message


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(N), "float64"),
        (np.full(N, np.nan), "float64"),
        (np.zeros([N, 10], int), "[12, 10], expected labels: integers [N]"),
        (np.full(N, -1), "the label -1: labels count from 0"),
        (np.full(N, 10), "the label 10, but cifar10 has only 10 classes"),
    ],
)
def test_labels_that_are_none(labels, words, tmp_path):
    assert words in error(read, make(tmp_path, labels=labels))


def test_the_labels_of_a_smaller_dataset(tmp_path):
    """CIFAR-10-C given to a classifier of CIFAR-100."""
    root = make(tmp_path)
    np.save(root / "labels.npy", np.tile(np.arange(1000) % 10, 5))
    message = error(read, root, classes=100)
    assert "end at 9, but cifar10 has 100 classes" in message


def test_no_pickle_is_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    root = make(tmp_path)
    objects = np.empty(5 * N, object)
    objects[:] = [Bomb()] * (5 * N)
    np.save(root / "fog.npy", objects, allow_pickle=True)
    (root / "gaussian_noise.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("fog", "gaussian_noise"):
        message = error(read, root, name)
        assert f"{name}.npy" in message and "is refused" in message
        assert "pickled Python objects" in message
    np.save(root / "labels.npy", objects[:N], allow_pickle=True)
    assert "is refused" in error(read, root)


@pytest.mark.parametrize("rest", [0, 5, 60, 200, 10_000])
def test_a_file_that_is_cut_short(rest, tmp_path):
    path = make(tmp_path) / "fog.npy"
    path.write_bytes(path.read_bytes()[:rest])
    message = error(read, tmp_path)
    assert f"Cannot read the array {path}" in message
    assert "download it again" in message
    # The others are not touched by it.
    assert len(read(tmp_path, "gaussian_noise")) == N


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros([5 * N, 32, 32, 3], np.float32), "float32 [60, 32, 32, 3]"),
        (np.full([5 * N, 32, 32, 3], np.nan), "expected uint8 [N, H, W, 3]"),
        (np.zeros([5 * N, 32, 32, 3], np.int64), "int64"),
        (np.zeros([5 * N, 3, 32, 32], np.uint8), "the channels come first"),
        (np.zeros([5 * N, 32, 32], np.uint8), "[60, 32, 32]"),
        (np.zeros([5 * N, 32, 32, 1], np.uint8), "give RGB images"),
        (np.zeros([5 * N, 3072], np.uint8), "[60, 3072]"),
        (np.zeros([N, 31, 32, 32, 3], np.uint8), "sequences, for suite p"),
        (np.zeros([4 * N, 32, 32, 3], np.uint8), "48 images for the 60 labels"),
    ],
    ids=str,
)
def test_arrays_of_another_kind(array, words, tmp_path):
    np.save(make(tmp_path) / "fog.npy", array)
    message = error(read, tmp_path)
    assert "fog.npy" in message
    assert words in message


# What this package writes


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", test_examples=23)


def test_our_own_arrays_are_read_back(digits, tmp_path):
    corruption_sets.write(
        digits,
        tmp_path,
        names=["fog", "shot_noise"],
        severities=[4, 2],
        seed=3,
        progress=False,
    )
    opened = released.corrupted_images(tmp_path, digits)
    assert opened.names == ("shot_noise", "fog")
    assert opened.source == "generated"
    assert "generated from digits, seed 3" in opened.description
    assert opened.severities("fog") == (2, 4)
    for name in opened.names:
        for severity in (2, 4):
            images, labels, _ = collect(opened.split(name, severity))
            expected = corruptions.corrupt(
                digits.test.images, name, severity, seed=3
            )
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(labels, digits.test.labels)
    assert "no severity 3, but 2, 4" in error(opened.split, "fog", 3)


def test_a_manifest_that_does_not_fit(digits, tmp_path):
    corruption_sets.write(
        digits, tmp_path, suite="p", names=["brightness"], progress=False
    )
    message = error(released.corrupted_images, tmp_path, digits)
    assert "holds sets of suite p" in message
    (tmp_path / "manifest.json").write_text("{")
    assert "is damaged" in error(released.corrupted_images, tmp_path, digits)


def test_the_manifest_of_another_program_is_no_concern(tmp_path):
    root = make(tmp_path)
    for content in ([], {"settings": {}}, {"files": 3}):
        (root / "manifest.json").write_text(json.dumps(content))
        assert len(read(root)) == N
