"""Trees that the stylizer and DeepAugment write: bytes, kills, refusals."""

import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.commands import deepaugment as deepaugment_command
from noisymix_tf.commands import stylize as stylize_command
from noisymix_tf.commands.deepaugment import DeepAugmentConfig
from noisymix_tf.commands.stylize import StylizeConfig
from noisymix_tf.sets import changed, deepaugmented, layouts, stylized, writer
from support import augmentation as laws
from support import picture_folders as folders
from support.usage import assert_usage_error, parsed

DEEP = dict(autoencoder_steps=3, autoencoder_crops=8, autoencoder_width=4)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    folders.make(root / "photos", size=(12, 16))
    odd = root / "photos" / "train" / "dog" / "1.png"
    folders.save(odd, folders.picture(9, (17, 13)))
    folders.make_styles(root / "styles")
    return root


def stylize(inputs, output_dir, **changes):
    values = {"data_dir": inputs / "photos", "styles": inputs / "styles"}
    values |= {"output_dir": output_dir, "steps": 2, "batch_size": 2}
    stylize_command.run(parsed(StylizeConfig, **(values | changes)))


def deepaugment(inputs, output_dir, **changes):
    values = {"data_dir": inputs / "photos", "output_dir": output_dir}
    values |= {"batch_size": 2, **DEEP, **changes}
    deepaugment_command.run(parsed(DeepAugmentConfig, **values))


@pytest.fixture(scope="module", params=[stylize, deepaugment])
def door(request):
    return request.param


@pytest.fixture(scope="module")
def whole(door, inputs, tmp_path_factory):
    root = tmp_path_factory.mktemp("tree") / "whole"
    door(inputs, root)
    photos = inputs / "photos" / "train"
    assert list(folders.tree(root)) == list(folders.tree(photos))
    for name in folders.tree(root):
        image, original = map(folders.read, (root / name, photos / name))
        assert image.shape == original.shape and (image != original).any()
    assert (root / "sheet.png").exists()
    return root


def test_killed_it_ends_the_same(door, inputs, whole, tmp_path, monkeypatch):
    calls = []

    def dying(image, path):
        calls.append(path)
        if len(calls) == 2:
            path.with_name(f".{path.name}.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        save(image, path)

    save = layouts.save
    monkeypatch.setattr(layouts, "save", dying)
    (tmp_path / ".partial.keras").write_bytes(b"half")
    shutil.copy(whole / "manifest.json", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        door(inputs, tmp_path)
    # The disk lost what it held of another file.
    (tmp_path / "dog" / "2.png").parent.mkdir(exist_ok=True)
    (tmp_path / "dog" / "2.png").write_bytes(b"")
    first = calls[0].stat().st_mtime_ns
    assert not (tmp_path / "sheet.png").exists()
    monkeypatch.setattr(layouts, "save", save)
    # Trained once only.
    monkeypatch.setattr(deepaugmented, "trained", None)
    door(inputs, tmp_path)
    assert folders.tree(tmp_path) == folders.tree(whole)
    assert calls[0].stat().st_mtime_ns == first
    assert (tmp_path / "sheet.png").exists()


OTHER = {
    stylize: [
        ("steps", 3, "steps 3 (was 2)"),
        ("styles", None, "--styles is missing"),
        ("styles", "nowhere", "--styles=nowhere does not exist"),
        ("output_dir", None, "--output_dir is missing"),
        ("data_dir", None, "needs --data_dir"),
        ("train_examples", 2, "images 2"),
        ("train_examples", 1, "=1 leaves some of the 2 classes without"),
        ("vgg_weights", "nowhere.h5", "--vgg_weights=nowhere.h5 cannot"),
    ],
    deepaugment: [
        ("strength", 0.5, "strength 0.5 (was 1.0)"),
        ("autoencoder_steps", 1, "autoencoder_steps 1 (was 3)"),
        ("image_size", 20, "image_size 20 (was None)"),
    ],
}


def test_what_cannot_go_on_is_one_line(door, inputs, whole, tmp_path):
    before = folders.tree(whole)
    # Only sizes were compared.
    changed = shutil.copytree(inputs, tmp_path / "changed")
    path = next((changed / "photos" / "train").rglob("*.png"))
    folders.save(path, 255 - folders.read(path))
    shutil.rmtree(changed / "styles")
    folders.make_styles(changed / "styles", 2)
    for name, value, words in [
        *OTHER[door],
        ("data_dir", changed / "photos", "of other settings: names"),
        ("output_dir", inputs, "is not empty and holds no image"),
    ]:
        values = {"inputs": inputs, "output_dir": whole, name: value}
        assert_usage_error(door, words, **values)
    assert folders.tree(whole) == before
    if door is stylize:
        values |= {"output_dir": whole, "styles": changed / "styles"}
        assert_usage_error(door, "pictures 2", **values)
    else:
        new = tmp_path / "new"
        wild = {"inputs": inputs, "output_dir": new, "learning_rate": 1e30}
        assert_usage_error(door, "diverged with --learning_rate=1e", **wild)
        (new / "autoencoder.keras").write_bytes(b"half")
        assert_usage_error(door, "is damaged; remove it", **wild)


def test_images_are_brought_to_a_size(inputs, tmp_path):
    of = {"data_dir": inputs / "photos", "image_size": 10}
    config = parsed(StylizeConfig, **of, output_dir=tmp_path)
    source = changed.source(config, "png")
    with changed.tree_folder(config, source) as tree:
        part = changed.ChangedPart(source, lambda images, _: images, 4)
        writer.write(tree, [part], progress=False)
    ((images, _),) = data.load("folder", **of).train.batches(6)
    written = map(folders.read, sorted(tmp_path.glob("*/*.png")))
    np.testing.assert_array_equal([*written], images)


def test_each_image_gets_its_own_style_and_operations_are_deterministic(
    inputs, monkeypatch
):
    experimental, deterministic = tf.config.experimental, mock.Mock()
    monkeypatch.setattr(experimental, "enable_op_determinism", deterministic)
    flags = [f"--{n}={inputs / n}" for n in ("styles", "output_dir")]
    flags.append(f"--data_dir={inputs / 'photos'}")
    config = parsed(StylizeConfig, *flags)
    changed.begin(config)
    deterministic.assert_called_once_with()

    def transfer(*_):
        made = mock.Mock(side_effect=lambda images, wanted: wanted[0])
        made.moments = lambda picture: [tf.cast(picture[:, 0, 0], tf.float32)]
        return made

    monkeypatch.setattr(stylized, "Transfer", transfer)
    source = changed.source(config, "png")
    stylist, places = stylized.Stylist(config, source), range(len(source))
    drawn = [stylist.styles.draw(0, name) for name in source.names]
    assert len({*drawn}) > 1
    pictures = [stylist.styles.read(number, 12)[0, 0] for number in drawn]
    made = stylist(np.zeros([len(source), 12, 16, 3], np.uint8), places)
    np.testing.assert_array_equal(made, pictures)


def test_styles_are_drawn_by_seed_and_name(inputs, tmp_path):
    root = shutil.copytree(inputs / "styles", tmp_path / "s")
    styles = stylized.Styles(root)
    names = [f"cat/{i}.png" for i in range(600)]
    draws = [[styles.draw(seed, name) for name in names] for seed in (0, 1, 0)]
    drawn, other, again = draws
    assert drawn == again != other
    laws.assert_law(np.array(drawn), dict.fromkeys(range(3), 1 / 3))
    for hidden in (".hidden.png", ".cache/a.png"):
        folders.save(root / hidden, folders.stripes(0))
    folders.save(root / "deep" / "er" / "4.jpg", folders.stripes(0))
    assert len(stylized.Styles(root)) == 4
    folders.save(root / "0.png", np.full([20, 40], 9, np.uint8))
    assert (styles.read(0, 8).numpy() == 9).all()
    (root / "0.png").write_bytes(b"no image")
    assert_usage_error(lambda: styles.read(0, 8), "Cannot read the style")
    (root / "0.png").rename(root / "\udce9.png")
    assert_usage_error(lambda: stylized.Styles(root), "is no line of")
