"""Shifted images of the same classes: ImageNet-R, and folders of one's own."""

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.data.released import IMAGENET_R_CLASSES as R
from noisymix_tf.data.released import shifted_images
from noisymix_tf.data.released.classes import imagenet_wnids
from support.released_sets import (
    assert_holds,
    collect,
    dataset,
    noise,
    save_image,
)
from support.usage import assert_usage_error


def make(root, classes, shape=(8, 8)):
    """One image of each class; its pixels tell the place of the class."""
    for place, name in enumerate(classes):
        image = np.full([*shape, 3], place, np.uint8)
        save_image(root / name / "0.png", image)
    return root


def test_classes_of_imagenet_r():
    """Goldfish, great white shark, pizza and acorn are there, tench is not."""
    wnids = imagenet_wnids()
    assert len(wnids) == 1000 and list(wnids) == sorted(set(wnids))
    assert len(R) == 200 and list(R) == sorted(set(R))
    known = {wnids[place]: place for place in R}
    assert known["n01443537"] == 1 and known["n01484850"] == 2
    assert known["n07873807"] == 963 and known["n12267677"] == 988
    assert wnids[0] == "n01440764" and 0 not in R


def test_some_of_the_classes_in_the_order_of_the_dataset(tmp_path):
    """Labels count within the classes that are there; greys become RGB."""
    image = Image.fromarray(noise(32, 32, 3))
    for name, mode in (("dog", "L"), ("ant", "P")):
        for place in "01":
            path = tmp_path / name / f"{place}.png"
            path.parent.mkdir(exist_ok=True)
            image.convert(mode).save(path)
    full = dataset(("dog", "cat", "bee", "ant"))
    shifted = shifted_images(tmp_path, full, preprocess="as_stored")
    assert shifted.classes == (0, 3)
    assert shifted.layout == "tree"
    assert "shifted images, 2 classes" in shifted.description
    images = [np.asarray(image.convert(m).convert("RGB")) for m in "LLPP"]
    assert_holds(shifted.split, images, [0, 0, 1, 1])


@pytest.mark.parametrize("layer", ["val", "validation", "test"])
def test_a_layer_inside(layer, tmp_path):
    """A class may be called so too."""
    make(tmp_path / layer, ("ant", "bee"))
    make(tmp_path / "train", ("ant", "bee", "zebra"))
    shifted = shifted_images(tmp_path, dataset(("ant", "bee", "cat")))
    assert shifted.classes == (0, 1)
    assert f"/{layer}/" in shifted.split.paths[0]
    make(tmp_path / "own", (layer, "train"))
    shifted = shifted_images(tmp_path / "own", dataset((layer, "train")))
    assert shifted.classes == (0, 1)


@pytest.mark.parametrize("named", [True, False], ids=["synsets", "words"])
def test_imagenet_r(named, tmp_path):
    """The same places, whether or not the dataset's classes are synsets.

    ImageNet-A has 200 classes too, but others.
    """
    wnids = imagenet_wnids()
    full = dataset(wnids if named else 1000, side=8)
    make(tmp_path / "r", [wnids[i] for i in R])
    (tmp_path / "r" / "README.txt").write_text("ImageNet-R")
    make(tmp_path / "a", wnids[::5])
    for name, what, classes in (
        ("r", "ImageNet-R", R),
        ("a", "shifted images", tuple(range(0, 1000, 5))),
    ):
        shifted = shifted_images(tmp_path / name, full)
        assert shifted.classes == classes
        assert f"{what}, 200 classes" in shifted.description
        images, labels, _ = collect(shifted.split, 64)
        assert labels.tolist() == list(range(200))
        assert images[:, 0, 0, 0].tolist() == list(range(200))


SYNSETS, WORDS = ("n01443537", "n01484850"), ("ant", "bee")


@pytest.mark.parametrize(
    ("names", "side", "own", "given", "expected"),
    [
        (SYNSETS, 24, "as_stored", "crop24", "crop24"),
        (SYNSETS, 224, "as_stored", None, "resize256-crop224"),
        (SYNSETS, 64, "resize70-crop64", None, "resize70-crop64"),
        (WORDS, 224, "as_stored", "auto", "resize224-crop224"),
        (WORDS, 224, "resize256-crop224", None, "resize256-crop224"),
    ],
)
def test_preprocess(names, side, own, given, expected, tmp_path):
    make(tmp_path, names, (60, 90))
    full = dataset(names, side, preprocess=own)
    shifted = shifted_images(tmp_path, full, preprocess=given)
    assert str(shifted.preprocess) == expected
    assert shifted.description.endswith(f"preprocess {expected}")
    images = np.full([2, side, side, 3], 0) + np.arange(2).reshape(2, 1, 1, 1)
    assert_holds(shifted.split, images, [0, 1])


def test_refusals(tmp_path):
    def refused(path, words, classes=("ant", "bee", "cat"), **keywords):
        full = dataset(classes, side=24)
        assert_usage_error(
            lambda: shifted_images(path, full, **keywords), words
        )

    refused(tmp_path / "nowhere", "does not exist")
    (tmp_path / "imagenet-r.tar").write_bytes(b"x")
    refused(tmp_path / "imagenet-r.tar", "unpack it")
    refused(tmp_path, "holds no class folders")
    make(tmp_path, ("ant",))
    refused(tmp_path, "one class only")
    make(tmp_path, ("ant", "bee"))
    refused(tmp_path, "such as resize24-crop24", preprocess="as_stored")
    refused(tmp_path, "preprocess='big' is not known", preprocess="big")
    bad = tmp_path / "bee" / "0.png"
    bad.write_bytes(bad.read_bytes()[:-20])
    split = shifted_images(tmp_path, dataset(("ant", "bee"))).split
    assert_usage_error(lambda: collect(split), bad)
    make(tmp_path, ("ant", "zebra"))
    refused(tmp_path, "zebra, which are none of the 3 classes")
    (tmp_path / "zebra" / "0.png").unlink()
    refused(tmp_path, "zebra holds no files")
    # A folder's own words are not in ImageNet's order: all mislabelled.
    make(tmp_path / "synsets", imagenet_wnids()[:3])
    alphabet = sorted(f"word {i}" for i in range(1000))
    refused(tmp_path / "synsets", "order of the alphabet", alphabet)
