"""Trees of stylized images and of DeepAugment's, and training on them."""

import dataclasses

import pytest
from absl import flags

from noisymix_tf import command_line, model_card
from noisymix_tf.training import setup
from support import door_processes
from support import picture_folders as folders
from support.usage import assert_usage_error


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    return folders.make(root, train=4, size=(32, 32))


@pytest.mark.slow
def test_trees_are_written_and_trained_on(photos, tmp_path):
    styles = folders.make_styles(tmp_path / "styles", 2)

    def run(door, output, words, **paths):
        paths |= {"data_dir": photos, "output_dir": tmp_path / output}
        words = [*words.split(), *(f"--{k}={v}" for k, v in paths.items())]
        done = door_processes.run(f"noisymix_tf.{door}", *words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    said = run("stylize", "stylized", "--steps=2", styles=styles)
    assert "8 training images, 2 styles, vgg16 with random weights" in said
    words = "--autoencoder_steps=2 --autoencoder_width=4 --format=jpeg"
    assert "grey levels (RMS)" in run("deepaugment", "deep", words)
    words = """--dataset=folder --method=deepaugment --model=resnet20
        --width=0.25 --epochs=1 --batch_size=4 --suites=clean --noexport
        --notensorboard"""
    given = {"train_data_dir": tmp_path / "stylized"}
    given["extra_data_dirs"] = tmp_path / "deep"
    said = run("train", "run", words, **given)
    assert "16 training and 2 test images" in said
    assert "1 epochs of 4 steps" in said
    card = model_card.read(tmp_path / "run" / "model.keras")
    assert card["dataset"]["train_examples"] == 16
    lines = (tmp_path / "run" / "flags.txt").read_text()
    assert f"--extra_data_dirs={tmp_path / 'deep'}" in lines


@pytest.mark.parametrize(
    ("method", "door", "tree", "number"),
    [
        ("stylized", "stylize", "stylized", 2),
        ("stylized_joined", "stylize", "stylized", 8 + 2),
        ("deepaugment", "deepaugment", "deepaugment", 8 + 2),
    ],
)
def test_methods_train_on_a_tree_where_it_lies(
    method, door, tree, number, photos, tmp_path, monkeypatch
):
    values = flags.FlagValues()
    command_line.define_flags(values)
    line = ["door", f"--method={method}", "--dataset=folder"]
    config = command_line.parse(line, values)
    data = dataclasses.replace(config.data, data_dir=str(photos))
    # The paths of the flagfiles, relative to the working directory.
    monkeypatch.chdir(tmp_path)
    words = f"=trees/{tree} does not exist", f"python -m noisymix_tf.{door}"
    assert_usage_error(lambda: setup.dataset(data), *words)
    for name in folders.CLASSES:
        path = tmp_path / "trees" / tree / name / "0.png"
        folders.save(path, folders.picture(0, (32, 32)))
    dataset = setup.dataset(data)
    assert (len(dataset.train), len(dataset.test)) == (number, 2)
