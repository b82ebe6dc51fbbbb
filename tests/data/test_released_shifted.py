"""Shifted images of the same classes: ImageNet-R, and folders of one's own."""

import numpy as np
from PIL import Image

from noisymix_tf.data.classes import imagenet_wnids
from noisymix_tf.data.released import IMAGENET_R_CLASSES as R
from noisymix_tf.data.released import shifted_images
from support import released_sets
from support.released_sets import assert_holds, collect, dataset, save_image
from support.usage import assert_usage_error


def make(root, classes, shape=(8, 8)):
    """One image of each class; its pixels tell the place of the class."""
    for place, name in enumerate(classes):
        save_image(root / name / "0.png", np.full([*shape, 3], place, np.uint8))


def test_some_of_the_classes_in_the_order_of_the_dataset(tmp_path):
    image, images = Image.fromarray(released_sets.noise(32, 32, 3)), []
    for name, mode in zip(("dog/0", "dog/1", "ant/0", "ant/1"), "LLPP"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.convert(mode).save(tmp_path / f"{name}.png")
        images.append(image.convert(mode).convert("RGB"))
    full = dataset(("dog", "cat", "bee", "ant"))
    shifted = shifted_images(tmp_path, full, preprocess="as_stored")
    assert shifted.classes == (0, 3)
    assert_holds(shifted.split, images, [0, 0, 1, 1])
    # A layer inside; a class may be called so, too.
    for layer in ("val", "validation", "test"):
        root = tmp_path / f"with {layer}"
        make(root / layer, ("ant", "bee"))
        make(root / "train", ("ant", "bee", "zebra"))
        make(root / "own", (layer, "train"))
        shifted = shifted_images(root, dataset(("ant", "bee", "cat")))
        own = shifted_images(root / "own", dataset((layer, "train")))
        assert shifted.classes == own.classes == (0, 1)
        assert f"/{layer}/" in shifted.split.paths[0]


def test_imagenet_r(tmp_path):
    """ImageNet-A has 200 classes too, but others."""
    wnids = imagenet_wnids()
    assert len(wnids) == 1000 and list(wnids) == sorted(set(wnids))
    assert len(R) == 200 and list(R) == sorted(set(R))
    # Goldfish, great white shark, pizza and acorn are there, tench is not.
    names = "n01440764 n01443537 n01484850 n07873807 n12267677".split()
    places = [wnids.index(name) for name in names]
    assert places == [0, 1, 2, 963, 988] and {*places} - {*R} == {0}
    others = ("shifted images", tuple(range(0, 1000, 5)))
    for what, classes in (("ImageNet-R", R), others):
        make(tmp_path / what, [wnids[place] for place in classes])
        (tmp_path / what / "README.txt").write_text("")
        for names in (wnids, 1000):  # Of synsets, and of words.
            shifted = shifted_images(tmp_path / what, dataset(names, side=8))
            assert shifted.classes == classes
            images, labels, _ = collect(shifted.split, 64)
            assert labels.tolist() == list(range(200))
            assert images[:, 0, 0, 0].tolist() == list(range(200))


def test_preprocess(tmp_path):
    synsets, words = ("n01443537", "n01484850"), ("ant", "bee")
    for names, side, own, given, expected in (
        (synsets, 24, "as_stored", "crop24", "crop24"),
        (synsets, 224, "as_stored", None, "resize256-crop224"),
        (synsets, 64, "resize70-crop64", None, "resize70-crop64"),
        (words, 224, "as_stored", "auto", "resize224-crop224"),
        (words, 224, "resize256-crop224", None, "resize256-crop224"),
    ):
        make(tmp_path / names[0], names, (60, 90))
        full = dataset(names, side, preprocess=own)
        shifted = shifted_images(tmp_path / names[0], full, preprocess=given)
        assert str(shifted.preprocess) == expected
        images = [np.full([side, side, 3], place) for place in (0, 1)]
        assert_holds(shifted.split, images, [0, 1])


def test_refusals(tmp_path):
    def refused(path, words, classes=("ant", "bee", "cat"), **given):
        full = dataset(classes, side=24)
        assert_usage_error(lambda: shifted_images(path, full, **given), words)

    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, "holds 0 class folders")
    make(tmp_path, ("ant",))
    refused(tmp_path, "holds 1 class folders (ant)")
    make(tmp_path, ("ant", "bee"))
    refused(tmp_path, "such as resize24-crop24", preprocess="as_stored")
    make(tmp_path, ("ant", "zebra"))
    refused(tmp_path, "zebra, which are none of the 3 classes")
    # A folder's own words are not in ImageNet's order: all mislabelled.
    make(tmp_path / "synsets", imagenet_wnids()[:3])
    alphabet = sorted(f"word {i}" for i in range(1000))
    refused(tmp_path / "synsets", "order of the alphabet", alphabet)
