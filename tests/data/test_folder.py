"""Image folders: layouts, sizes, formats, and what is refused."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data import folder
from noisymix_tf.errors import UsageError


def save(path, size=(12, 16), mode="RGB", seed=0):
    """Writes a smooth random image of (height, width) and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, [4, 4, 4], dtype=np.uint8))
    image = small.resize(size[::-1], Image.Resampling.BICUBIC)
    image = image.convert("RGB").convert(mode) if mode != "RGBA" else image
    image.save(path)
    return path


def make(root, classes=("cat", "dog"), splits=("train", "val"), num=3):
    for split in splits:
        for name in classes:
            for i in range(num):
                save(root / split / name / f"{i}.png", seed=i)
    return root


def usage_error(*arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        data.load("folder", *arguments, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


def names(split):
    return ["/".join(path.split("/")[-2:]) for path in split.paths]


# Layouts


@pytest.mark.parametrize("test", ["val", "validation", "test"])
def test_layout_with_splits(test, tmp_path):
    dataset = data.load(
        "folder", data_dir=make(tmp_path, splits=("train", test))
    )
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (12, 16, 3)
    assert dataset.mean == (0.485, 0.456, 0.406)
    assert dataset.std == (0.229, 0.224, 0.225)
    assert dataset.flip and dataset.padding == 4
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert all(f"/{test}/" in path for path in dataset.test.paths)


def test_val_goes_before_test(tmp_path):
    make(tmp_path, splits=("train", "val", "test"))
    dataset = data.load("folder", data_dir=tmp_path)
    assert all("/val/" in path for path in dataset.test.paths)


def test_layout_without_splits(tmp_path):
    make(tmp_path, splits=(".",), num=10)
    one = data.load("folder", data_dir=tmp_path)
    two = data.load("folder", data_dir=str(tmp_path))
    assert one.train.paths == two.train.paths
    assert not set(one.train.paths) & set(one.test.paths)
    assert len(one.train) + len(one.test) == 20
    # A fifth of each class.
    assert one.test.labels.tolist() == [0, 0, 1, 1]
    # Those of the lowest SHA-256 (`printf 6.png | sha256sum`).
    assert names(one.test) == [
        "cat/0.png",
        "cat/6.png",
        "dog/0.png",
        "dog/6.png",
    ]


def test_small_classes_keep_one_image_to_test_on(tmp_path):
    make(tmp_path, splits=(".",), num=2)
    dataset = data.load("folder", data_dir=tmp_path)
    assert dataset.train.labels.tolist() == [0, 1]
    assert dataset.test.labels.tolist() == [0, 1]


def test_a_class_may_be_called_train(tmp_path):
    make(tmp_path, classes=("plane", "train"), splits=(".",), num=5)
    dataset = data.load("folder", data_dir=tmp_path)
    assert dataset.class_names == ("plane", "train")


def test_hidden_and_other_files_are_ignored(tmp_path):
    make(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "train" / ".hidden").mkdir()
    (tmp_path / "train" / "cat" / ".x.png").write_text("x")
    (tmp_path / "train" / "cat" / "list.csv").write_text("x")
    save(tmp_path / "train" / "cat" / "UPPER.JPEG")
    dataset = data.load("folder", data_dir=tmp_path)
    assert names(dataset.train)[:4] == [
        "cat/0.png",
        "cat/1.png",
        "cat/2.png",
        "cat/UPPER.JPEG",
    ]


def test_examples(tmp_path):
    dataset = data.load("folder", data_dir=make(tmp_path), train_examples=4)
    assert names(dataset.train) == [
        "cat/0.png",
        "cat/1.png",
        "dog/0.png",
        "dog/1.png",
    ]


# Pixels

FORMATS = [
    ("a.png", "RGB"),
    ("a.png", "RGBA"),
    ("a.png", "LA"),
    ("a.png", "L"),
    ("a.png", "P"),
    ("a.png", "1"),
    ("a.gif", "P"),
    ("a.gif", "L"),
    ("a.bmp", "RGB"),
    ("a.bmp", "L"),
    ("a.bmp", "P"),
    ("a.bmp", "1"),
    ("a.jpg", "RGB"),
    ("a.jpg", "L"),
]


@pytest.mark.parametrize(("name", "mode"), FORMATS)
def test_formats_become_the_rgb_of_pillow(name, mode, tmp_path):
    path = save(tmp_path / name, mode=mode)
    expected = np.asarray(Image.open(path).convert("RGB"))
    split = data.FileSplit([path], [0], (12, 16))
    np.testing.assert_array_equal(split.fetch(tf.constant([0]))[0], expected)
    ((batch, _),) = split.batches(1)
    np.testing.assert_array_equal(batch[0], expected)
    assert split.find_unreadable() == []


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full([8, 9], v, np.uint8)) for v in (10, 200)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    image = data.FileSplit([path], [0], (8, 9)).fetch(tf.constant([0]))
    assert image.numpy().max() == 10


@pytest.mark.parametrize(
    "size", [(40, 60), (60, 40), (40, 40), (24, 31), (24, 24), (9, 14)]
)
def test_resize_and_crop_against_pillow(size, tmp_path):
    path = save(tmp_path / "a.png", size=size)
    split = data.FileSplit([path], [0], 24)
    assert split.image_shape == (24, 24, 3)
    height, width = size
    shorter = min(size)
    scaled = (width * 24 // shorter, height * 24 // shorter)
    image = Image.open(path).resize(scaled, Image.Resampling.BILINEAR)
    left, top = (round((side - 24) / 2) for side in scaled)
    expected = np.asarray(image.crop([left, top, left + 24, top + 24]))
    actual = split.fetch(tf.constant([0]))[0].numpy()
    error = np.abs(actual.astype(int) - expected)
    # Pillow rounds between its two passes.
    assert error.max() <= 1
    assert abs((actual - expected.astype(float)).mean()) < 0.15
    if shorter == 24:
        assert error.max() == 0


def test_fetch_agrees_with_batches(tmp_path):
    paths = [save(tmp_path / f"{i}.png", seed=i) for i in range(7)]
    split = data.FileSplit(paths, range(7), (12, 16))
    batches = list(split.batches(3))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.tolist() == list(range(7))
    np.testing.assert_array_equal(split.fetch(tf.range(7)), images)
    mapped = tf.data.Dataset.range(6).batch(2, True).map(split.fetch)
    assert mapped.element_spec.shape == (2, 12, 16, 3)
    np.testing.assert_array_equal(
        np.concatenate(list(mapped.as_numpy_iterator())), images[:6]
    )


def test_subset_of_files(tmp_path):
    paths = [save(tmp_path / f"{i}.png", seed=i) for i in range(4)]
    part = data.FileSplit(paths, range(4), 8).subset(np.array([3, 1]))
    assert part.labels.tolist() == [3, 1]
    assert [p[-5:] for p in part.paths] == ["3.png", "1.png"]
    assert part.image_shape == (8, 8, 3)


# Refusals


def test_no_directory_given():
    assert "needs --data_dir=DIR" in usage_error()


def test_directory_that_does_not_exist(tmp_path):
    message = usage_error(data_dir=tmp_path / "nowhere")
    assert "nowhere does not exist" in message


def test_file_instead_of_a_directory(tmp_path):
    path = save(tmp_path / "a.png")
    assert "a.png is a file" in usage_error(data_dir=path)


def test_empty_directory(tmp_path):
    assert "holds no class folders" in usage_error(data_dir=tmp_path)


def test_images_without_class_folders(tmp_path):
    save(tmp_path / "a.png")
    assert "holds no class folders" in usage_error(data_dir=tmp_path)


def test_class_without_images(tmp_path):
    make(tmp_path)
    (tmp_path / "train" / "emu").mkdir()
    message = usage_error(data_dir=tmp_path)
    assert "emu holds no images" in message


def test_train_alone(tmp_path):
    message = usage_error(data_dir=make(tmp_path, splits=("train",)))
    assert "val, validation, test" in message


def test_one_class(tmp_path):
    message = usage_error(data_dir=make(tmp_path, classes=("cat",)))
    assert "one class only, 'cat'" in message


def test_class_of_one_image_cannot_be_divided(tmp_path):
    make(tmp_path, splits=(".",), num=4)
    save(tmp_path / "emu" / "single.png")
    message = usage_error(data_dir=tmp_path)
    assert "'emu'" in message and "single.png" in message


def test_classes_that_differ(tmp_path):
    make(tmp_path)
    save(tmp_path / "train" / "emu" / "0.png")
    save(tmp_path / "val" / "fox" / "0.png")
    message = usage_error(data_dir=tmp_path)
    assert f"only in {tmp_path}/train: emu" in message
    assert f"only in {tmp_path}/val: fox" in message


def test_several_sizes_need_image_size(tmp_path):
    make(tmp_path)
    save(tmp_path / "val" / "dog" / "big.png", size=(30, 20))
    message = usage_error(data_dir=tmp_path)
    assert "train/cat/0.png' is 12 x 16" in message
    assert "val/dog/big.png' is 30 x 20" in message
    assert "--image_size=N" in message
    dataset = data.load("folder", data_dir=tmp_path, image_size=10)
    assert dataset.image_shape == (10, 10, 3)
    assert sum(len(images) for images, _ in dataset.test.batches(4)) == 7


def test_image_size_must_be_positive(tmp_path):
    message = usage_error(data_dir=make(tmp_path), image_size=0)
    assert "--image_size=0" in message


def damage(path, how):
    content = save(path, size=(64, 64)).read_bytes()
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "junk": b"this is no image",
            "empty": b"",
        }[how]
    )
    return path


@pytest.mark.parametrize("how", ["truncated", "junk", "empty"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "gif"])
def test_bad_file_is_named_when_the_folder_is_loaded(how, suffix, tmp_path):
    make(tmp_path)
    damage(tmp_path / "train" / "dog" / f"bad.{suffix}", how)
    message = usage_error(data_dir=tmp_path, image_size=8)
    assert f"train/dog/bad.{suffix}'" in message
    assert "Replace or remove it." in message


@pytest.mark.parametrize("how", ["junk", "empty"])
def test_bad_header_is_named(how, tmp_path):
    make(tmp_path)
    damage(tmp_path / "train" / "dog" / "bad.png", how)
    assert "train/dog/bad.png'" in usage_error(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "make_one", "words"),
    [
        ("cat/a.png", lambda p: p.symlink_to("gone"), "is a link that leads"),
        ("cat/a.png", os.mkfifo, "is neither a file nor a folder"),
        (b"cat/\xe9.png", save, r"cat/\udce9.png' is no line of UTF-8"),
        ("c\nd/a.png", save, r"c\nd' is no line of UTF-8"),
    ],
)
def test_what_is_no_image_file_is_named(name, make_one, words, tmp_path):
    """Tracebacks, a wait without end, and a class no export could name."""
    make_one(make(tmp_path) / "train" / os.fsdecode(name))
    assert words in usage_error(data_dir=tmp_path, image_size=8)


def test_bad_file_in_a_large_folder_is_named_when_read(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "_CHECKED_FILES", 5)
    make(tmp_path)
    bad = damage(tmp_path / "val" / "dog" / "1.png", "truncated")
    dataset = data.load("folder", data_dir=tmp_path, image_size=8)
    batches = dataset.test.batches(2)
    next(batches), next(batches)
    with pytest.raises(UsageError, match=r"val/dog/1\.png'"):
        next(batches)
    ((path, reason),) = dataset.test.find_unreadable()
    assert path == str(bad)
    assert "PNG" in reason and "{{" not in reason
    # What the training loop sees, and asks `find_unreadable` about.
    pipeline = data.views(dataset.test, batch_size=6)
    with pytest.raises(tf.errors.InvalidArgumentError):
        next(iter(pipeline))


def test_file_of_another_size_than_expected_is_named(tmp_path):
    paths = [save(tmp_path / "a.png"), save(tmp_path / "b.png", (30, 20))]
    split = data.FileSplit(paths, [0, 1], (12, 16))
    with pytest.raises(UsageError, match=r"b\.png'.*30 x 20.*12 x 16"):
        list(split.batches(2))


def test_file_that_has_gone_is_named(tmp_path):
    paths = [save(tmp_path / "a.png"), save(tmp_path / "b.png")]
    split = data.FileSplit(paths, [0, 1], 8)
    paths[1].unlink()
    with pytest.raises(UsageError, match=r"b\.png'"):
        list(split.batches(2))


# Photographs


@pytest.fixture(scope="module")
def photographs(data_dir):
    root = data_dir / "imagenette_small"
    if not root.is_dir():
        pytest.skip(f"no photographs at {root}")
    return root


def test_photographs(photographs):
    dataset = data.load("folder", data_dir=photographs, test_examples=50)
    assert dataset.num_classes == 10
    assert list(dataset.class_names) == sorted(dataset.class_names)
    assert dataset.image_shape == (224, 224, 3)
    counts = [
        len(list((photographs / "train" / n).iterdir()))
        for n in dataset.class_names
    ]
    assert np.bincount(dataset.train.labels).tolist() == counts
    assert np.bincount(dataset.test.labels).tolist() == [5] * 10
    images, labels = next(dataset.test.batches(20))
    assert images.shape == (20, 224, 224, 3) and images.dtype == np.uint8
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    for image, path in zip(images, dataset.test.paths):
        expected = np.asarray(Image.open(path).convert("RGB"))
        assert np.abs(image.astype(int) - expected).max() <= 1


def test_photographs_resized_in_the_pipeline(photographs):
    dataset = data.load("folder", data_dir=photographs, image_size=96)
    views, labels = next(iter(data.views(dataset.train, batch_size=16)))
    assert views.shape == (16, 1, 96, 96, 3) and views.dtype == tf.uint8
    assert len(set(labels.numpy())) > 3
