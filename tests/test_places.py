"""Where commands may write: not among the images that they read."""

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments
from noisymix_tf.config import Config, EvaluateConfig
from noisymix_tf.config.compare import ComparisonFlags
from noisymix_tf.config.deepaugment import DeepAugmentConfig
from noisymix_tf.config.stylize import StylizeConfig
from noisymix_tf.corruption_sets import command as corruptions
from noisymix_tf.errors import UsageError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of photographs, also known as `link`, to write beside."""
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def parse(config, line):
    values = flags.FlagValues()
    command_line.define_flags(values, config=config)
    return command_line.parse(["door", *line.split()], values, config)


def compare(line):
    """What a comparison makes of its line for one of its trainings."""
    values = flags.FlagValues()
    for config in (Config, ComparisonFlags):
        command_line.define_flags(values, config=config)
    words = arguments.tidy(line.split() + ["--methods=augmix"], values)
    place = next(w for w in words if w.startswith("--output_dir="))
    folder = f"{place.partition('=')[2]}/augmix/seed0"
    return arguments.training(words, "augmix", 0, folder, values)


@pytest.mark.parametrize(
    "line",
    [
        "--dataset=folder --data_dir=photos --output_dir=photos/run1",
        "--dataset=folder --data_dir=photos --output_dir=photos",
        "--dataset=folder --data_dir=link --output_dir=photos/a/b/c",
        "--dataset=folder --data_dir=photos --output_dir=link/../link/run1",
        "--train_data_dir=photos --output_dir=photos/run1",
        "--extra_data_dirs=elsewhere,photos --output_dir=photos/run1",
        "--suites=r --shift_dir=photos --output_dir=photos/run1",
    ],
)
@pytest.mark.parametrize("reader", [lambda x: parse(Config, x), compare])
def test_a_training_does_not_write_among_images(reader, line, photos):
    """The second run took the first for the class `run1`."""
    with pytest.raises(UsageError, match=r"--output_dir=.* lies in --.*dirs?="):
        reader(line)
    assert [path.name for path in photos.iterdir()] == ["cat"]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (EvaluateConfig, "--dataset=folder --data_dir=photos"),
        (EvaluateConfig, "--suites=r --shift_dir=link"),
        (StylizeConfig, "--data_dir=photos --styles=elsewhere"),
        (StylizeConfig, "--data_dir=elsewhere --styles=photos"),
        (DeepAugmentConfig, "--data_dir=photos"),
    ],
)
def test_no_door_writes_among_images(config, line, photos):
    with pytest.raises(UsageError, match=r"--output_dir=photos/new lies in --"):
        parse(config, f"{line} --output_dir=photos/new")


def test_corrupted_sets_are_not_written_among_images(photos):
    line = "corrupt --dataset=folder --data_dir=photos --output_dir=photos/c"
    with pytest.raises(UsageError, match="--output_dir=photos/c lies in --da"):
        corruptions.run(line.split())
    assert not (photos / "c").exists()


@pytest.mark.parametrize(
    "line",
    [
        "--dataset=folder --data_dir=photos --output_dir=photos2",
        "--dataset=folder --data_dir=photos --output_dir=.",
        # A directory of prepared datasets holds no folders of classes.
        "--dataset=cifar10 --data_dir=photos --output_dir=photos/run1",
        "--dataset=folder --data_dir=nowhere --output_dir=nowhere/run1",
    ],
)
def test_beside_the_images_is_fine(line, photos):
    assert parse(Config, line).run.output_dir
