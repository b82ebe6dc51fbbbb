"""Training on further trees of images, joined or alone."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import UsageError, data
from noisymix_tf.data import ArraySplit, JoinedSplit, RandomResizedCrop, trees
from support import picture_folders as folders


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return folders.make(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """`class/name`, the order of whose classes on disk is no matter."""
    root = tmp_path_factory.mktemp("flat")
    for name in reversed(folders.CLASSES):
        for i in range(2):
            image = folders.picture([7, i, len(name + str(i)), ord(name[0])])
            folders.save(root / name / f"{i}.png", image)
    folders.save(root / "sheet.png", folders.picture(0))
    return root


def load(clean, **arguments):
    return data.load("folder", data_dir=clean, **arguments)


def usage_error(*arguments, **more):
    with pytest.raises(UsageError) as caught:
        load(*arguments, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_joined_training_set_is_longer_and_test_images_stay(clean, flat):
    alone, joined = load(clean), load(clean, extra_data_dirs=[flat, flat])
    assert len(joined.train) == len(alone.train) + 4 + 4
    assert joined.train.labels.tolist() == [0] * 3 + [1] * 3 + [0, 0, 1, 1] * 2
    assert joined.test.paths == alone.test.paths
    assert data.steps_per_epoch(joined.train, 4) == 3
    ((images, labels),) = joined.train.batches(14)
    expected = [folders.read(path) for path in alone.train.paths]
    added = [flat / c / f"{i}.png" for c in folders.CLASSES for i in range(2)]
    expected += 2 * [folders.read(path) for path in added]
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, joined.train.labels)


def test_only_training_images_of_a_tree_with_splits_are_joined(clean):
    joined = load(clean, extra_data_dirs=[clean])
    assert len(joined.train) == 12
    assert all("/train/" in path for path in joined.train.parts[1].paths)


def test_a_tree_alone_is_trained_on_and_clean_images_measure(clean, flat):
    dataset = load(clean, train_data_dir=str(flat))
    assert [p.removeprefix(str(flat)) for p in dataset.train.paths] == [
        "/cat/0.png",
        "/cat/1.png",
        "/dog/0.png",
        "/dog/1.png",
    ]
    assert dataset.test.paths == load(clean).test.paths


def test_a_subset_is_of_the_own_images(clean, flat):
    dataset = load(clean, train_examples=2, extra_data_dirs=[flat])
    assert dataset.train.labels.tolist() == [0, 1, 0, 0, 1, 1]


def test_trees_come_to_the_size_of_the_dataset(clean, tmp_path):
    root = folders.make(tmp_path, size=(30, 41))
    arguments = {"image_size": 16, "extra_data_dirs": [root]}
    joined = load(clean, **arguments)
    assert joined.train.fetch(tf.range(8)).shape == (8, 16, 16, 3)
    assert "its size is 30 x 41, expected 24 x 24" in usage_error(
        clean, extra_data_dirs=[root]
    )


def test_trees_join_any_dataset(tmp_path):
    for digit in range(10):
        image = folders.picture(digit, (32, 32))
        folders.save(tmp_path / str(digit) / "a.png", image)
    digits = data.load("digits", train_examples=20, extra_data_dirs=[tmp_path])
    assert digits.train.labels[20:].tolist() == list(range(10))
    image = digits.train.fetch(tf.constant([27]))[0]
    np.testing.assert_array_equal(image, folders.picture(7, (32, 32)))


def arrays(number, start):
    generator = np.random.default_rng(start)
    shape = (number, 8, 8, 3)
    return ArraySplit(
        generator.integers(0, 256, shape, np.uint8),
        np.arange(start, start + number),
    )


def test_joined_arrays_read_as_one_array():
    parts = [arrays(5, 0), arrays(3, 5), arrays(4, 8)]
    whole = np.concatenate([part.images for part in parts])
    joined = JoinedSplit(parts)
    order = np.array([11, 0, 7, 5, 0, 4, 8])
    np.testing.assert_array_equal(joined.fetch(order), whole[order])
    part = joined.subset(order[:5])
    assert part.labels.tolist() == [11, 0, 7, 5, 0]
    again = part.subset(np.array([2, 0]))
    np.testing.assert_array_equal(again.fetch(tf.range(2)), whole[[7, 11]])
    seen = list(joined.batches(5))
    assert [len(images) for images, _ in seen] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([i for i, _ in seen]), whole)
    with pytest.raises(UsageError, match="one size, not 8 x 8 and 4 x 4"):
        other = ArraySplit(np.zeros([1, 4, 4, 3], np.uint8), [0])
        JoinedSplit([parts[0], other])


def test_crops_are_functions_of_seed_and_position():
    parts = [arrays(4, 0), arrays(4, 0)]
    joined, crop = JoinedSplit(parts), RandomResizedCrop()
    seed = tf.constant([3, 4])
    cut = joined.fetch_crops(tf.range(8), seed, crop).numpy()
    order = [6, 1, 3]
    np.testing.assert_array_equal(
        joined.fetch_crops(tf.constant(order), seed, crop), cut[order]
    )
    # One image in two parts is cropped in two ways.
    assert (cut[:4] != cut[4:]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("crop", [None, RandomResizedCrop()])
def test_training_goes_on_in_the_middle_of_an_epoch(clean, flat, crop):
    train = load(clean, extra_data_dirs=[flat]).train

    def batches(start, count):
        views = data.views(
            train, batch_size=3, seed=5, start_step=start, crop=crop
        )
        return [(v.numpy(), l.numpy()) for v, l in views.take(count)]

    whole = batches(0, 7)
    for (views, labels), (again, same) in zip(batches(2, 5), whole[2:]):
        np.testing.assert_array_equal(views, again)
        np.testing.assert_array_equal(labels, same)
    if crop is None:
        # An epoch of ten images: three batches of different ones.
        seen = np.concatenate([v for v, _ in whole[:3]]).reshape(9, -1)
        assert len(np.unique(seen, axis=0)) == 9


def test_a_folder_for_each_class_whatever_their_names():
    """Two classes of one name shared a folder; `..` led out of the tree."""
    names = ["crane", "owl", "crane", "..", ".hidden", "", "a/b"]
    assert trees.folder_names(names) == [
        *("crane_0", "owl", "crane_2"),
        *("_.", "_hidden", "_", "a_b"),
    ]
    names_of_three = trees.folder_names(["owl", "owl", "owl_0"])
    assert names_of_three == ["owl_0", "owl_1", "owl_0_2"]
    split = ArraySplit(np.zeros((2, 4, 4, 3), np.uint8), [0, 2])
    found = trees.image_names(split, names, ".png")
    assert found == ["crane_0/0.png", "crane_2/1.png"]


def test_what_cannot_be_joined_is_one_line(clean, flat, tmp_path):
    missing = usage_error(clean, extra_data_dirs=["nowhere"])
    assert "--extra_data_dirs=nowhere does not exist" in missing
    assert "python -m noisymix_tf.stylize" in missing
    assert "python -m noisymix_tf.deepaugment" in missing
    alone = usage_error(clean, train_data_dir="nowhere")
    assert "--train_data_dir=nowhere does not exist" in alone
    file = str(flat / "sheet.png")
    assert "is a file" in usage_error(clean, extra_data_dirs=[file])
    tested = usage_error(clean, extra_data_dirs=[clean / "val"])
    assert "holds the images that are measured on" in tested
    other = folders.make(tmp_path / "a", classes=("cat", "emu"))
    words = usage_error(clean, extra_data_dirs=[other])
    assert "missing: dog; not known: emu" in words
    (tmp_path / "b").mkdir()
    empty = usage_error(clean, extra_data_dirs=[tmp_path / "b"])
    assert "holds no class folders" in empty
    bad = folders.make(tmp_path / "c")
    (bad / "train" / "cat" / "0.png").write_bytes(b"no image")
    words = usage_error(clean, extra_data_dirs=[bad])
    assert "Cannot read the image" in words and "cat/0.png" in words


def test_a_bad_image_is_named_while_it_is_read(clean, tmp_path):
    root = folders.make(tmp_path)
    joined = load(clean, extra_data_dirs=[root])
    (root / "train" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"dog/1\.png"):
        list(joined.train.batches(4))
    with pytest.raises(UsageError, match=r"dog/1\.png"):
        joined.train.check()
    joined.train.check(range(6))


def test_service_is_refused_where_a_tree_has_bmp(clean, tmp_path):
    for name in folders.CLASSES:
        folders.save(tmp_path / name / "a.bmp", folders.picture(1))
    train = load(clean, extra_data_dirs=[tmp_path]).train
    assert train.needs_python
    assert not load(clean, extra_data_dirs=[clean]).train.needs_python
