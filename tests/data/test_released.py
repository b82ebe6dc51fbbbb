"""Released shifted and corrupted images, also of tensorflow-datasets."""

import itertools
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from numpy.testing import assert_array_equal as same
from PIL import Image

from noisymix_tf import corruptions, data
from noisymix_tf.data.classes import IMAGENET_R_CLASSES as R
from noisymix_tf.data.classes import imagenet_wnids
from noisymix_tf.data.released import corrupted_images, shifted_images
from support import released_sets
from support.corruption_oracle import photographs
from support.released_sets import assert_holds, collect, dataset, prepare
from support.usage import assert_usage_error as refused

pytestmark = pytest.mark.usefixtures("offline")


def as_stored(folder, split):
    """Images and labels in the stored order, by tensorflow-datasets."""
    builder = tfds.builder_from_directory(folder)
    records = list(tfds.as_numpy(builder.as_dataset(split=split)))
    return [r["image"] for r in records], [int(r["label"]) for r in records]


def jpeg(label, image):
    """An example of ImageNet; its label is a synset."""
    name = f"{label}-{image.shape}.JPEG"
    label = imagenet_wnids()[label]
    return released_sets.imagenet_example(label, image, name)


def test_cifar(monkeypatch, tmp_path):
    """Names are those of the released files; cells are known by the files."""
    root, names = tmp_path / "a", "frosted_glass_blur_1 fog_2 elastic_5".split()
    folders = []
    for seed, name in enumerate(names):
        images = enumerate(released_sets.noise(21, 32, 32, 3, seed=seed))
        examples = [{"image": image, "label": i % 10} for i, image in images]
        builder = tfds.builder(f"cifar10_corrupted/{name}", data_dir=root)
        folders.append(prepare(builder, {"test": enumerate(examples)}))
    there, full = f"tfds:{root}", dataset(10)
    cifar = corrupted_images(there, full)
    assert [*cifar.places] == ["glass_blur/1", "fog/2", "elastic_transform/5"]
    assert str(cifar.preprocess) == "as_stored"
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    assert cifar.places == corrupted_images("tfds", full).places
    for cell, folder in zip(cifar.places, folders):
        split = cifar.split(cell[:-2], int(cell[-1]))
        images, labels = as_stored(folder, "test")
        same(collect(split)[0], images)
    assert_holds(split, images, labels)
    # What is not there.
    empty, other = f"tfds:{tmp_path / 'empty'}", dataset(100, name="cifar100")
    for call, words in (
        (lambda: cifar.split("fog", 3), "among what is there (fog/2)"),
        (lambda: cifar.split("frost", 2), "(glass_blur, fog, elastic_tr"),
        (lambda: corrupted_images(there, other), "d as imagenet2012_corrupted"),
        (lambda: corrupted_images(empty, full), f"{empty[5:]} does not exist"),
    ):
        refused(call, words)
    assert list(tmp_path.iterdir()) == [root]
    for name in ("*.tfrecord*", "dataset_info.json"):
        (file,) = folders[1].glob(name)
        file.write_bytes(file.read_bytes()[:-2_000])
        cifar = corrupted_images(there, full)
        refused(lambda c=cifar: collect(c.split("fog", 2)), folders[1], "again")


def test_imagenet_c_and_imagenet_r(tmp_path):
    """Labels are synsets there, whatever the order of the dataset is."""
    examples = list(map(jpeg, (5, 700, 0), photographs(3, 224, 224)))
    builder = tfds.builder("imagenet2012_corrupted/snow_4", data_dir=tmp_path)
    folder = prepare(builder, {"validation": enumerate(examples)})
    stored, stored_labels = as_stored(folder, "validation")
    full = dataset(imagenet_wnids()[::-1], side=224, name="folder")
    opened = corrupted_images(f"tfds:{tmp_path}", full, preprocess="as_stored")
    assert [*opened.places] == ["snow/4"]
    made, labels, _ = collect(opened.split("snow", 4))
    assert labels.tolist() == [999 - label for label in stored_labels]
    # The accurate inverse DCT, as in Pillow, instead of the fast one.
    assert np.abs(made - np.array(stored, float)).max() <= 10
    usual = corrupted_images(f"tfds:{tmp_path}", full)
    resized = collect(usual.split("snow", 4))[0]
    same(resized, data.Preprocess(256, 224).apply(made))

    def opened(root="", classes=1000, side=32, preprocess=None):
        there, own = f"tfds:{tmp_path / root}", dataset(classes, side)
        return shifted_images(there, own, preprocess=preprocess)

    images = [photographs(1, 40 + i, 60)[0] for i in range(4)]
    examples = list(map(jpeg, (988, 1, 6, 1), images))
    builder = tfds.builder("imagenet_r", data_dir=tmp_path)
    folder = prepare(builder, {"test": enumerate(examples)})
    _, stored = as_stored(folder, "test")
    shifted = opened()
    assert shifted.classes == R
    assert str(shifted.preprocess) == "resize32-crop32"
    images, labels, _ = collect(shifted.split)
    assert images.shape == (4, 32, 32, 3)
    assert labels.tolist() == [R.index(label) for label in stored]
    assert labels.tolist() == shifted.split.labels.tolist()
    assert str(opened(side=224).preprocess) == "resize256-crop224"
    refused(lambda: opened(preprocess="as_stored"), "several sizes")
    refused(lambda: opened(classes=10), "none of the 10 classes")
    for root, split in (("b", "test"), ("c", "train")):
        builder = tfds.builder("imagenet_r", data_dir=tmp_path / root)
        prepare(builder, {split: [(0, jpeg(0, images[0]))]})
    refused(lambda: opened("c"), "no images to test on")
    refused(lambda: opened("b"), "has images of other classes")


def make(root, classes, shape=(8, 8)):
    """One image of each class; its pixels tell the place of the class."""
    for place, name in enumerate(classes):
        image = np.full([*shape, 3], place, np.uint8)
        released_sets.save_image(root / name / "0.png", image)


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
    make(tmp_path / "one", ("ant",))
    refused(lambda: shifted_images(tmp_path / "one", full), "folders (ant)")
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


def test_a_folder_of_imagenet_r(tmp_path):
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


def test_shifted_images_are_read_as_published(tmp_path):
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


N = 12
LABELS = np.arange(N) % 10
IMAGES = released_sets.noise(5 * N, 32, 32, 3)
CLASSES = ("n01443537", "n01484850", "n02102040")
PICTURES = released_sets.noise(6, 32, 32, 3)


def make_arrays(root, names=("fog", "gaussian_noise"), labels=LABELS):
    for name in names:
        np.save(root / f"{name}.npy", IMAGES)
    np.save(root / "labels.npy", labels)
    return root


def read(root, name="fog", severity=1, classes=10, side=32):
    return corrupted_images(root, dataset(classes, side)).split(name, severity)


def unread(root, words, *what, **options):
    refused(lambda: read(root, *what, **options), words)


@pytest.mark.parametrize("labels", [LABELS, np.tile(LABELS, 5).astype("u1")])
def test_severities_are_the_fifths_of_the_rows(labels, tmp_path):
    names = corruptions.names()[3::4]
    make_arrays(tmp_path, names[::-1], labels)
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
    same(made, rule.apply(IMAGES[N : 2 * N]))


def test_what_is_missing_and_files_of_another_kind(tmp_path):
    """Tuples are shapes of images, lists are labels, and 10,000 is a cut."""
    archive = tmp_path / "CIFAR-10-C.tar"
    unread(archive, "C.tar does not exist: give the directory")
    archive.write_bytes(b"x")
    unread(tmp_path, "holds CIFAR-10-C.tar, no such set")
    (tmp_path / "cifar10_corrupted").mkdir()
    unread(tmp_path, f"tfds:{tmp_path}")
    make_arrays(tmp_path)
    unread(tmp_path, "Unknown corruption 'frosty'", "frosty")
    unread(tmp_path, "Severity '1'", severity="1")
    unread(tmp_path, "24 x 24: give another preprocess, such as", side=24)
    settings = dict.fromkeys("dataset seed generator table".split(), 1)
    ours = {"settings": {**settings, "suite": "p"}, "files": {}}
    manifest = tmp_path / "manifest.json"
    for content in ([], {"settings": {}}, {"files": 3}):
        manifest.write_text(json.dumps(content))
        assert len(read(tmp_path)) == N
    manifest.write_text(json.dumps(ours))
    unread(tmp_path, "holds sets of suite p")
    manifest.write_text("{")
    unread(tmp_path, "Write the sets again")
    manifest.unlink()
    (tmp_path / "labels.npy").unlink()
    unread(tmp_path, "labels.npy: [Errno 2] No such file")
    for content, words in (
        (np.zeros([5 * N, 32, 32, 3], "f4"), "float32 [60, 32, 32, 3], exp"),
        ((5 * N, 3, 32, 32), "the channels last: convert it"),
        ((N, 31, 32, 32, 3), "[N, H, W, 3] (suite c), the"),
        ((4 * N, 32, 32, 3), "48 images for the 12 labels of"),
        (np.array([None] * N), "pickled Python objects"),
        # A pickle that ends whoever loads it.
        (b"\x80\x02csys\nexit\n(tR.", "are refused"),
        (10_000, "Download it again if cut short"),
        ([0] * (N - 1), "60 images for the 11 labels of"),
        ([*range(10), *[0] * 50], "60 images for the 60 labels of"),
        ([0.0, 1.0], "float64"),
        ([[0, 1], [0, 1]], "[2, 2] from 0, expected integers [N]"),
        ([-1] * N, "from -1, expected integers [N] from 0"),
        ([10] * N, "end at 10, those of cifar10 at 9"),
        ([8] * 500, "end at 8, those of cifar10 at 9"),
    ):
        file = "labels.npy" if isinstance(content, list) else "fog.npy"
        path = make_arrays(tmp_path) / file
        if isinstance(content, tuple):
            content = np.zeros(content, np.uint8)
        if isinstance(content, int):
            content = path.read_bytes()[:content]
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content, allow_pickle=True)
        refused(lambda: read(tmp_path), file, words)
        if file == "fog.npy":  # The others are not touched by it.
            assert len(read(tmp_path, "gaussian_noise")) == N


def make_tree(root, severities=(1, 3)):
    """`root/severity/class/image`, two of each class, others at each level."""
    for level, place in itertools.product(severities, range(6)):
        file = root / f"{level}/{CLASSES[place // 2]}/{place}.png"
        level = np.uint8(float(level))
        released_sets.save_image(file, PICTURES[place] ^ level)


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


def test_severities_of_imagenet_c_bar_are_its_constants(tmp_path):
    place, bar = tmp_path / "plasma_noise", dataset(CLASSES)
    make_tree(place, ("4.75", "10.00"))
    opened = corrupted_images(tmp_path, bar, bar=True)
    assert [*opened.places] == ["plasma_noise/1", "plasma_noise/5"]
    assert opened.places["plasma_noise/5"] == str(place / "10.00")
    split = opened.split("plasma_noise", 5)
    assert_holds(split, PICTURES ^ 10, np.arange(6) // 2)
    refused(lambda: opened.split("ripple", 1), "lacks ripple/1")
    refused(lambda: corrupted_images(tmp_path, bar), "no such set")
    (tmp_path / "fog").mkdir()
    refused(lambda: corrupted_images(tmp_path / "fog", bar, bar=True), "C-bar")


def test_refusals_of_trees(tmp_path):
    make_tree(tmp_path / "fog")
    # Videos of perturbations are no corruptions.
    (tmp_path / "frost" / CLASSES[0]).mkdir(parents=True)
    (tmp_path / "fog" / "2").mkdir()
    for words, *what in (
        ("lacks the classes n9 of cifar10", "fog", 1, (*CLASSES, "n9")),
        ("(class 0, class 1,", "fog", 1),
        ("fog/2 holds 0 class folders", "fog", 2),
        ("lacks frost", "frost"),
    ):
        unread(tmp_path, words, *what)
