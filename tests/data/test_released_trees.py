"""Released corrupted images in folders: ImageNet-C."""

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.data.released import corrupted_images
from support.released_sets import (
    assert_holds,
    collect,
    dataset,
    noise,
    save_image,
)
from support.usage import assert_usage_error

CLASSES = ("n01443537", "n01484850", "n02102040")
IMAGES = noise(6, 32, 32, 3)


def make(root, name="fog", severities=(1, 3), suffix="png"):
    """`root/name/severity/class/image`, two images of each class."""
    for severity in severities:
        for place, image in enumerate(IMAGES):
            folder = root / f"{name}/{severity}/{CLASSES[place // 2]}"
            # Other pixels at every severity.
            save_image(folder / f"{place}.{suffix}", image ^ np.uint8(severity))
    return root


@pytest.mark.parametrize("group", [".", "weather", "extra"])
def test_both_places_of_a_corruption(group, tmp_path):
    """Classes are matched by name and not by order."""
    make(tmp_path / group)
    opened = corrupted_images(tmp_path, dataset(CLASSES))
    assert opened.names == ("fog",) and opened.layout == "tree"
    assert opened.source == "released"
    assert opened.severities("fog") == (1, 3)
    assert_holds(opened.split("fog", 3), IMAGES ^ 3, [0, 0, 1, 1, 2, 2])
    reordered = corrupted_images(tmp_path, dataset(CLASSES[::-1]))
    images = (IMAGES ^ 1)[[4, 5, 2, 3, 0, 1]]
    assert_holds(reordered.split("fog", 1), images, [0, 0, 1, 1, 2, 2])


def test_groups_of_the_archives_together(tmp_path):
    """In the benchmark's order; what lies at the top comes first."""
    for place in ("noise/shot_noise", "blur/defocus_blur", "digital/contrast"):
        make(tmp_path, place, (1,))
    make(tmp_path, "snow", (1, 2, 4))
    make(tmp_path, "weather/snow", (1,))
    opened = corrupted_images(tmp_path, dataset(CLASSES))
    assert opened.names == ("shot_noise", "defocus_blur", "snow", "contrast")
    assert opened.severities("snow") == (1, 2, 4)


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
    image = noise(side, side, 3)
    for name in CLASSES:
        save_image(tmp_path / "fog" / "1" / name / "a.png", image)
    full = dataset(CLASSES, side, preprocess=own)
    opened = corrupted_images(tmp_path, full, preprocess="auto")
    assert str(opened.preprocess) == expected
    assert opened.description.endswith(f"preprocess {expected}")
    made, _, _ = collect(opened.split("fog", 1))
    assert made.shape == (3, side, side, 3)
    if side == 224:
        large = Image.fromarray(image).resize((256, 256), Image.BILINEAR)
        wanted = np.asarray(large.crop((16, 16, 240, 240))).astype(int)
        assert np.abs(made - wanted).max() <= 1
        stored = corrupted_images(tmp_path, full, preprocess="as_stored")
        assert_holds(stored.split("fog", 1), [image] * 3, range(3))


def test_refusals(tmp_path):
    def refused(words, name="fog", severity=1, classes=CLASSES, side=32):
        opened = corrupted_images(tmp_path, dataset(classes, side))
        assert_usage_error(lambda: opened.split(name, severity), words)

    make(tmp_path)
    make(tmp_path / "weather", "snow")
    refused("such as resize40-crop40", side=40)
    refused("lacks the folder frost", "frost")
    refused("snow has no folder of severity 2, but 1, 3", "snow", 2)
    words = "has the classes n02102040, which are none of the 2"
    refused(words, classes=CLASSES[:2])
    words = "lacks the classes n9 of cifar10"
    refused(words, classes=(*CLASSES, "n9"))
    refused("(class 0, class 1,", classes=10)
    (tmp_path / "fog" / "2").mkdir()
    refused("fog/2 holds no class folders", severity=2)
    (tmp_path / "fog" / "1" / "n03000684").mkdir()
    refused("n03000684 holds no files")
    # Videos of perturbations are no corruptions.
    (tmp_path / "frost" / CLASSES[0]).mkdir(parents=True)
    refused(f"no folder of severity 1, but {CLASSES[0]}", "frost")


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    make(tmp_path, suffix="JPEG")
    bad = tmp_path / "fog" / "1" / CLASSES[1] / "3.JPEG"
    content = bad.read_bytes()
    split = corrupted_images(tmp_path, dataset(CLASSES)).split("fog", 1)
    for part in (content[:-300], b"x", b""):
        bad.write_bytes(part)
        assert_usage_error(lambda: collect(split), bad)
        assert_usage_error(split.check, bad)
    save_image(bad, noise(40, 32, 3))
    words = bad, "40 x 32", "or give a preprocess"
    assert_usage_error(lambda: collect(split), *words)
