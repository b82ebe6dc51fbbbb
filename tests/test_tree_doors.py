"""The doors that write trees, and training on what they wrote."""

import dataclasses

import pytest
from absl import flags

from noisymix_tf import command_line, model_card
from noisymix_tf.config import Config
from noisymix_tf.config.deepaugment import DeepAugmentConfig
from noisymix_tf.config.stylize import StylizeConfig
from noisymix_tf.training import setup
from support import door_processes
from support import picture_folders as folders
from support.usage import assert_usage_error

METHODS = ("stylized", "stylized_joined", "deepaugment")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    return folders.make(root, train=4, size=(32, 32))


def run(module, *arguments):
    done = door_processes.run(f"noisymix_tf.{module}", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_trees_are_written_and_trained_on(photos, tmp_path):
    styles = folders.make_styles(tmp_path / "styles", 2)
    said = run(
        "stylize",
        f"--data_dir={photos}",
        f"--styles={styles}",
        f"--output_dir={tmp_path / 'stylized'}",
        "--steps=2",
    )
    assert "8 training images, 2 styles, vgg16 with random weights" in said
    said = run(
        "deepaugment",
        f"--data_dir={photos}",
        f"--output_dir={tmp_path / 'deepaugment'}",
        *("--autoencoder_steps=2", "--autoencoder_width=4", "--format=jpeg"),
    )
    assert "grey levels (RMS)" in said
    said = run(
        "train",
        *("--dataset=folder", f"--data_dir={photos}", "--method=deepaugment"),
        f"--train_data_dir={tmp_path / 'stylized'}",
        f"--extra_data_dirs={tmp_path / 'deepaugment'}",
        *("--model=resnet20", "--width=0.25", "--epochs=1", "--batch_size=4"),
        *("--suites=clean", "--noexport", "--notensorboard"),
        f"--output_dir={tmp_path / 'run'}",
    )
    assert "16 training and 2 test images" in said
    assert "1 epochs of 4 steps" in said
    card = model_card.read(tmp_path / "run" / "model.keras")
    assert card["dataset"]["train_examples"] == 16
    lines = (tmp_path / "run" / "flags.txt").read_text()
    assert f"--extra_data_dirs={tmp_path / 'deepaugment'}" in lines


def parse(*arguments, config=Config):
    values = flags.FlagValues()
    command_line.define_flags(values, config=config)
    flags.DEFINE_string("flagfile", "", "As absl's own.", flag_values=values)
    return command_line.parse(["door", *arguments], values, config)


@pytest.mark.parametrize("config", [StylizeConfig, DeepAugmentConfig])
def test_each_door_has_flags_of_its_own(config, capsys):
    for argument, words in (
        ("--format=gif", "--format=gif"),
        ("--batch_size=0", "--batch_size=0 must be at least 1"),
        ("--nothing=1", "nothing"),
    ):
        assert_usage_error(
            lambda argument=argument: parse(argument, config=config), words
        )
    with pytest.raises(SystemExit):
        parse("--help", config=config)
    assert "--train_examples" in capsys.readouterr().out


@pytest.mark.parametrize("method", METHODS)
def test_methods_train_on_a_tree_where_it_lies(
    method, photos, tmp_path, monkeypatch
):
    config = parse(f"--method={method}", "--dataset=folder")
    data = dataclasses.replace(config.data, data_dir=str(photos))
    # The paths of the flagfiles, relative to the working directory.
    monkeypatch.chdir(tmp_path)
    door = "deepaugment" if method == "deepaugment" else "stylize"
    tree = door.replace("ize", "ized")
    assert_usage_error(
        lambda: setup.dataset(data),
        f"=trees/{tree} does not exist",
        f"python -m noisymix_tf.{door}",
    )
    for name in folders.CLASSES:
        path = tmp_path / "trees" / tree / name / "0.png"
        folders.save(path, folders.picture(0, (32, 32)))
    dataset = setup.dataset(data)
    number = 2 if method == "stylized" else 8 + 2
    assert (len(dataset.train), len(dataset.test)) == (number, 2)
