"""Shifted images of the same classes: ImageNet-R, and folders of one's own."""

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.data import released
from noisymix_tf.data.released.classes import imagenet_wnids
from noisymix_tf.data.released.shifted import shifted_images
from noisymix_tf.errors import UsageError
from support.released_sets import collect, dataset, noise, save_image

R = released.IMAGENET_R_CLASSES


def make(root, classes, num=1, side=32):
    """One image for each class; its pixels tell the place of the class."""
    for place, name in enumerate(classes):
        for i in range(num):
            image = np.full([side, side, 3], place, np.uint8)
            save_image(root / name / f"{i}.png", image)
    return root


def error(*arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        shifted_images(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_of_imagenet_r():
    """Their synsets, some of which are known by heart."""
    wnids = imagenet_wnids()
    assert len(wnids) == 1000 and list(wnids) == sorted(set(wnids))
    assert len(R) == 200 and list(R) == sorted(set(R))
    named = {wnids[i] for i in R}
    assert wnids[1] == "n01443537" and 1 in R  # goldfish
    assert wnids[2] == "n01484850" and 2 in R  # great white shark
    assert wnids[963] == "n07873807" and 963 in R  # pizza
    assert wnids[988] == "n12267677" and R[-1] == 988  # acorn
    assert "n01440764" not in named  # tench


def test_some_of_the_classes(tmp_path):
    """Labels count within the classes that are there, in their order."""
    full = dataset(("ant", "bee", "cat", "dog"))
    make(tmp_path, ("bee", "dog"), num=2)
    shifted = shifted_images(tmp_path, full)
    assert shifted.classes == (1, 3)
    images, labels, sizes = collect(shifted.split, 3)
    assert sizes == [3, 1]
    assert labels.tolist() == [0, 0, 1, 1]
    assert images[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    assert shifted.layout == "tree"
    assert "shifted images, 2 classes" in shifted.description
    part = collect(shifted.split.subset(np.array([3, 0])))
    assert part[1].tolist() == [1, 0]


def test_order_of_the_dataset_decides(tmp_path):
    reordered = dataset(("dog", "cat", "ant"))
    shifted = shifted_images(make(tmp_path, ("ant", "dog")), reordered)
    assert shifted.classes == (0, 2)
    images, labels, _ = collect(shifted.split)
    assert labels.tolist() == [0, 1]
    assert images[:, 0, 0, 0].tolist() == [1, 0]  # dog, ant


@pytest.mark.parametrize("layer", ["val", "validation", "test"])
def test_a_layer_inside(layer, tmp_path):
    make(tmp_path / layer, ("ant", "bee"))
    make(tmp_path / "train", ("ant", "bee", "zebra"))
    shifted = shifted_images(tmp_path, dataset(("ant", "bee", "cat")))
    assert shifted.classes == (0, 1)
    assert f"/{layer}/" in shifted.split.paths[0]


def test_classes_may_be_called_test(tmp_path):
    make(tmp_path, ("test", "val"))
    shifted = shifted_images(tmp_path, dataset(("test", "val")))
    assert shifted.classes == (0, 1)


@pytest.mark.parametrize("named", [True, False], ids=["synsets", "words"])
def test_imagenet_r(named, tmp_path):
    """The same places, whether or not the dataset's classes are synsets."""
    wnids = imagenet_wnids()
    full = dataset(wnids if named else 1000, side=8)
    make(tmp_path, [wnids[i] for i in R], side=8)
    (tmp_path / "README.txt").write_text("ImageNet-R")
    shifted = shifted_images(tmp_path, full)
    assert shifted.classes == R
    assert "ImageNet-R, 200 classes" in shifted.description
    images, labels, _ = collect(shifted.split, 64)
    assert labels.tolist() == list(range(200))
    assert images[:, 0, 0, 0].tolist() == list(range(200))


def test_synsets_are_no_places_in_the_alphabet(tmp_path):
    """A folder's own words are not in ImageNet's order: all mislabelled."""
    words = sorted(f"word {i}" for i in range(1000))
    make(tmp_path, imagenet_wnids()[:3], side=8)
    with pytest.raises(UsageError, match="order of the alphabet") as caught:
        shifted_images(tmp_path, dataset(words, side=8))
    assert "\n" not in str(caught.value)


def test_200_other_synsets_are_not_taken_for_imagenet_r(tmp_path):
    """ImageNet-A has 200 classes too, but others."""
    wnids = imagenet_wnids()
    chosen = sorted({*range(0, 1000, 5)})
    shifted = shifted_images(
        make(tmp_path, [wnids[i] for i in chosen], side=8),
        dataset(1000, side=8),
    )
    assert shifted.classes == tuple(chosen)
    assert "shifted images, 200 classes" in shifted.description


@pytest.mark.parametrize(
    ("names", "side", "own", "expected"),
    [
        (("n01443537", "n01484850"), 224, "as_stored", "resize256-crop224"),
        (("n01443537", "n01484850"), 64, "resize70-crop64", "resize70-crop64"),
        (("ant", "bee"), 224, "as_stored", "resize224-crop224"),
        (("ant", "bee"), 224, "resize256-crop224", "resize256-crop224"),
        (("ant", "bee"), 32, "as_stored", "resize32-crop32"),
    ],
)
def test_usual_preprocess(names, side, own, expected, tmp_path):
    image = noise(60, 90, 3)
    for name in names:
        save_image(tmp_path / name / "a.png", image)
    shifted = shifted_images(tmp_path, dataset(names, side, preprocess=own))
    assert str(shifted.preprocess) == expected
    assert shifted.description.endswith(f"preprocess {expected}")
    assert shifted.split.image_shape == (side, side, 3)
    assert collect(shifted.split)[0].shape == (2, side, side, 3)


def test_given_preprocess(tmp_path):
    image = noise(32, 32, 3)
    for name in ("ant", "bee"):
        save_image(tmp_path / name / "a.png", image)
    full = dataset(("ant", "bee"), side=24)
    shifted = shifted_images(tmp_path, full, preprocess="crop24")
    np.testing.assert_array_equal(
        collect(shifted.split)[0][0], image[4:28, 4:28]
    )
    message = error(tmp_path, full, preprocess="as_stored")
    assert "32 x 32" in message and "such as resize24-crop24" in message
    assert "preprocess='big' is not known" in error(
        tmp_path, full, preprocess="big"
    )


def test_grey_and_palette_images_are_rgb(tmp_path):
    image = Image.fromarray(noise(32, 32, 3))
    for name, mode in (("ant", "L"), ("bee", "P")):
        (tmp_path / name).mkdir()
        image.convert(mode).save(tmp_path / name / "a.png")
    shifted = shifted_images(tmp_path, dataset(("ant", "bee")))
    expected = [np.asarray(image.convert(m).convert("RGB")) for m in "LP"]
    np.testing.assert_array_equal(collect(shifted.split)[0], expected)


def test_refusals(tmp_path):
    full = dataset(("ant", "bee", "cat"))
    assert "does not exist" in error(tmp_path / "nowhere", full)
    (tmp_path / "imagenet-r.tar").write_bytes(b"x")
    assert "unpack it" in error(tmp_path / "imagenet-r.tar", full)
    assert "holds no class folders" in error(tmp_path, full)
    make(tmp_path, ("ant",))
    assert "one class only" in error(tmp_path, full)
    make(tmp_path, ("ant", "zebra"))
    message = error(tmp_path, full)
    assert "zebra, which are none of the 3 classes" in message
    assert "(ant, bee, cat)" in message
    (tmp_path / "zebra" / "0.png").unlink()
    assert "zebra holds no files" in error(tmp_path, full)


def test_an_unreadable_image_is_named(tmp_path):
    make(tmp_path, ("ant", "bee"), num=2)
    bad = tmp_path / "bee" / "1.png"
    bad.write_bytes(bad.read_bytes()[:-40])
    split = shifted_images(tmp_path, dataset(("ant", "bee"))).split
    with pytest.raises(UsageError, match=r"bee/1\.png'"):
        collect(split)
