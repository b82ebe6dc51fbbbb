"""Released corrupted images in folders: ImageNet-C, and our own."""

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruption_sets, corruptions, data
from noisymix_tf.data import released
from noisymix_tf.errors import UsageError
from support.released_sets import collect, dataset, noise, save_image

CLASSES = ("n01443537", "n01484850", "n02102040")


def make(root, name="fog", severities=(1, 3), side=32, suffix="JPEG", num=2):
    """`root/name/severity/class/image`; a pixel tells where it belongs."""
    for severity in severities:
        for label, folder in enumerate(CLASSES):
            for i in range(num):
                value = 60 * label + 10 * severity + i
                path = root / name / str(severity) / folder
                save_image(
                    path / f"ILSVRC2012_val_0000{i}.{suffix}",
                    np.full([side, side, 3], value, np.uint8),
                )
    return root


def error(function, *arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("group", [None, "weather", "extra"])
def test_both_places_of_a_corruption(group, tmp_path):
    make(tmp_path / group if group else tmp_path, suffix="png")
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    assert opened.names == ("fog",) and opened.layout == "tree"
    assert opened.source == "released"
    assert opened.severities("fog") == (1, 3)
    split = opened.split("fog", 3)
    images, labels, sizes = collect(split)
    assert sizes == [4, 2]
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images[:, 3, 4, 2].tolist() == [30, 31, 90, 91, 150, 151]
    part = collect(split.subset(np.array([5, 0])))
    assert part[0][:, 0, 0, 0].tolist() == [151, 30]
    assert part[1].tolist() == [2, 0]


def test_groups_of_the_archives_together(tmp_path):
    for group, name in (
        ("noise", "shot_noise"),
        ("blur", "defocus_blur"),
        ("digital", "jpeg_compression"),
        ("extra", "spatter"),
    ):
        make(tmp_path / group, name, severities=(1,), num=1)
    make(tmp_path, "snow", severities=(1,), num=1)
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    assert opened.names == (
        "shot_noise",
        "defocus_blur",
        "snow",
        "jpeg_compression",
        "spatter",
    )


def test_classes_are_matched_by_name_and_not_by_order(tmp_path):
    reordered = dataset(CLASSES[::-1])
    opened = released.corrupted_images(make(tmp_path, suffix="png"), reordered)
    images, labels, _ = collect(opened.split("fog", 1))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images[:, 0, 0, 0].tolist() == [130, 131, 70, 71, 10, 11]


@pytest.mark.parametrize(
    ("side", "own", "expected"),
    [
        (224, "as_stored", "resize256-crop224"),
        (224, "resize224-crop224", "resize256-crop224"),
        (64, "resize64-crop64", "resize64-crop64"),
        (64, "as_stored", "as_stored"),
    ],
)
def test_usual_preprocess(side, own, expected, tmp_path):
    """Resize 256 and crop 224 is what published tables were made with."""
    make(tmp_path, severities=(1,), side=side, num=1)
    sized = dataset(CLASSES, side=side, preprocess=own)
    for preprocess in (None, "auto"):
        opened = released.corrupted_images(
            tmp_path, sized, preprocess=preprocess
        )
        assert str(opened.preprocess) == expected
        assert opened.description.endswith(f"preprocess {expected}")
        assert opened.split("fog", 1).image_shape == (side, side, 3)


@pytest.mark.parametrize("word", ["as_stored", "resize224", "crop224"])
def test_224_pixels_as_they_are(word, tmp_path):
    image = noise(224, 224, 3)
    for name in CLASSES:
        save_image(tmp_path / "fog" / "1" / name / "a.png", image)
    opened = released.corrupted_images(
        tmp_path, dataset(CLASSES, side=224), preprocess=word
    )
    np.testing.assert_array_equal(
        collect(opened.split("fog", 1))[0], np.stack([image] * 3)
    )


def test_resize_and_crop_are_those_of_pillow(tmp_path):
    image = noise(224, 224, 3)
    for name in CLASSES:
        save_image(tmp_path / "fog" / "1" / name / "a.png", image)
    opened = released.corrupted_images(tmp_path, dataset(CLASSES, side=224))
    large = Image.fromarray(image).resize((256, 256), Image.BILINEAR)
    expected = np.asarray(large.crop((16, 16, 240, 240))).astype(int)
    for made in collect(opened.split("fog", 1))[0]:
        assert np.abs(made - expected).max() <= 1


def test_images_of_another_size_than_the_dataset(tmp_path):
    make(tmp_path, side=40)
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    message = error(opened.split, "fog", 1)
    assert "40 x 40" in message and "such as resize32-crop32" in message
    # One image in the middle is found when it is read.
    make(tmp_path / "b")
    odd = (
        tmp_path / "b" / "fog" / "1" / CLASSES[1] / "ILSVRC2012_val_00001.JPEG"
    )
    save_image(odd, noise(40, 32, 3))
    opened = released.corrupted_images(tmp_path / "b", dataset(CLASSES))
    message = error(collect, opened.split("fog", 1))
    assert str(odd) in message and "40 x 32" in message
    assert "or give a preprocess" in message


def test_missing_corruption_and_severity(tmp_path):
    make(tmp_path, "fog")
    make(tmp_path / "weather", "snow")
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    message = error(opened.split, "frost", 1)
    assert "lacks the folder frost" in message and "(snow, fog)" in message
    message = error(opened.split, "snow", 2)
    assert "weather/snow has no folder of severity 2, but 1, 3" in message


def test_videos_of_perturbations_are_no_corruptions(tmp_path):
    video = tmp_path / "snow" / CLASSES[0] / "a.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"x")
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    message = error(opened.split, "snow", 1)
    assert f"no folder of severity 1, but {CLASSES[0]}" in message


def test_classes_that_do_not_fit(tmp_path):
    make(tmp_path)
    opened = released.corrupted_images(tmp_path, dataset(CLASSES[:2]))
    message = error(opened.split, "fog", 1)
    assert "has the classes n02102040, which are none of the 2" in message
    opened = released.corrupted_images(tmp_path, dataset([*CLASSES, "n9"]))
    assert "lacks the classes n9 of cifar10" in error(opened.split, "fog", 1)
    opened = released.corrupted_images(tmp_path, dataset(10))
    assert "(class 0, class 1," in error(opened.split, "fog", 1)


def test_empty_folders(tmp_path):
    make(tmp_path)
    (tmp_path / "fog" / "2").mkdir()
    (tmp_path / "fog" / "1" / "n03000684").mkdir()
    opened = released.corrupted_images(tmp_path, dataset(CLASSES))
    assert "fog/2 holds no class folders" in error(opened.split, "fog", 2)
    assert "n03000684 holds no files" in error(opened.split, "fog", 1)


@pytest.mark.parametrize("how", ["truncated", "junk", "empty"])
def test_an_unreadable_image_is_named(how, tmp_path):
    make(tmp_path)
    bad = tmp_path / "fog" / "1" / CLASSES[1] / "ILSVRC2012_val_00001.JPEG"
    content = {"truncated": bad.read_bytes()[:-300], "junk": b"x", "empty": b""}
    bad.write_bytes(content[how])
    split = released.corrupted_images(tmp_path, dataset(CLASSES)).split(
        "fog", 1
    )
    assert str(bad) in error(collect, split)
    assert str(bad) in error(split.check)


# What this package writes


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_our_own_tree_is_read_back(image_format, tmp_path):
    digits = data.load("digits", test_examples=23)
    corruption_sets.write(
        digits,
        tmp_path,
        names=["fog"],
        severities=[1, 5],
        layout="tree",
        image_format=image_format,
        seed=3,
        progress=False,
    )
    opened = released.corrupted_images(tmp_path, digits)
    assert opened.source == "generated" and opened.layout == "tree"
    assert opened.severities("fog") == (1, 5)
    # The tree is in the order of classes, the digits are not.
    order = np.argsort(digits.test.labels, kind="stable")
    for severity in (1, 5):
        images, labels, _ = collect(opened.split("fog", severity))
        np.testing.assert_array_equal(labels, digits.test.labels[order])
        made = corruptions.corrupt(digits.test.images, "fog", severity, seed=3)
        if image_format == "png":
            np.testing.assert_array_equal(images, made[order])
        else:
            error_ = np.abs(images - made[order].astype(float))
            assert error_.mean() < 4


def test_our_own_tree_of_224_pixels_is_taken_as_stored(tmp_path):
    images = noise(2, 224, 224, 3)
    sized = dataset(("a", "b/c"), side=224)
    sized = data.Dataset(
        **{**vars(sized), "test": data.ArraySplit(images, [0, 1])}
    )
    corruption_sets.write(
        sized,
        tmp_path,
        names=["brightness"],
        severities=[2],
        layout="tree",
        image_format="png",
        progress=False,
    )
    opened = released.corrupted_images(tmp_path, sized)
    assert str(opened.preprocess) == "as_stored"
    made, labels, _ = collect(opened.split("brightness", 2))
    assert labels.tolist() == [0, 1]
    np.testing.assert_array_equal(
        made, corruptions.corrupt(images, "brightness", 2)
    )


def test_our_own_tree_that_is_not_finished(tmp_path):
    digits = data.load("digits", test_examples=12)
    corruption_sets.write(
        digits,
        tmp_path,
        names=["fog"],
        severities=[1],
        layout="tree",
        progress=False,
    )
    opened = released.corrupted_images(tmp_path, digits)
    assert len(opened.split("fog", 1)) == 12
    next((tmp_path / "fog" / "1").glob("*/*")).rename(tmp_path / "moved.JPEG")
    message = error(opened.split, "fog", 1)
    assert "has not finished, run it again" in message or "no files" in message
