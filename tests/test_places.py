"""Where commands may read and write: on this machine, not among the images."""

import pathlib

import pytest

import noisymix_tf as nm
from noisymix_tf.comparison import trainings
from noisymix_tf.config import Config, EvaluateConfig
from noisymix_tf.config.deepaugment import DeepAugmentConfig
from noisymix_tf.config.stylize import StylizeConfig
from noisymix_tf.corruptions import __main__ as corruptions
from support import comparison_runs
from support.parsing import parsed
from support.usage import assert_usage_error


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of photographs, also known as `link`, to write beside."""
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def compare(line):
    """What a comparison makes of its line for one of its trainings."""
    words = *line.split(), "--methods=augmix"
    words, config, _ = comparison_runs.parsed(*words)
    return trainings.plan(words, config)[0].config


def reader(config):
    return lambda line: parsed(config, *line.split())


train = reader(Config)
FOLDER = "--dataset=folder --data_dir"


def corrupt(line):
    return corruptions.main(["corrupt", *line.split()])


@pytest.mark.parametrize(
    ("read", "line", "output"),
    [
        (train, f"{FOLDER}=photos", "photos/run1"),
        (train, f"{FOLDER}=photos", "photos"),
        (train, f"{FOLDER}=link", "photos/a/b/c"),
        (compare, f"{FOLDER}=photos", "link/../link/run1"),
        (train, "--train_data_dir=photos", "photos/run1"),
        (train, "--extra_data_dirs=elsewhere,photos", "photos/run1"),
        (compare, "--suites=r --shift_dir=photos", "photos/run1"),
        (reader(EvaluateConfig), "--suites=r --shift_dir=link", "photos/c"),
        (compare, "--suites=r --shift_dir=a:elsewhere,b:photos", "photos/c"),
        (reader(StylizeConfig), "--data_dir=photos --styles=a", "photos/c"),
        (reader(StylizeConfig), "--data_dir=a --styles=photos", "photos/c"),
        (reader(DeepAugmentConfig), "--data_dir=photos", "photos/c"),
        (corrupt, f"{FOLDER}=photos", "photos/c"),
    ],
)
def test_no_command_writes_among_images(read, line, output, photos):
    """The second run took the first for the class `run1`."""
    line = f"{line} --output_dir={output}"
    assert_usage_error(lambda: read(line), "--output_dir=", " lies in --")
    assert [path.name for path in photos.iterdir()] == ["cat"]


def test_beside_the_images_and_on_this_machine_is_fine(photos):
    for line in (
        f"{FOLDER}=photos --output_dir=photos2",
        f"{FOLDER}=photos --output_dir=.",
        # A directory of prepared datasets holds no folders of classes.
        "--dataset=cifar10 --data_dir=photos --output_dir=photos/run1",
        f"{FOLDER}=nowhere --output_dir=nowhere/run1",
        "--output_dir=runs/a:b --c_dir=tfds:/data/sets",
        "--c_dir=C:/sets --data_service=grpc://host:5050",
        "--tpu=grpc://10.0.0.2:8470",
    ):
        train(line)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nm.data.load("folder", data_dir="gs://bucket/data"),
        lambda: nm.data.load("digits", extra_data_dirs=["s3://bucket/data"]),
        lambda: nm.evaluate(None, None, output_dir="gs://bucket/run"),
        lambda: nm.evaluate(None, None, c_dir="tfds:gs://bucket"),
        lambda: nm.save(None, pathlib.Path("gs://bucket/m.keras")),
        lambda: nm.evaluation.load_classifier("gs://bucket/m.keras"),
        lambda: corrupt("--output_dir=gs://bucket/c"),
        lambda: nm.data.load("imagenet"),  # from the environment
        lambda: train("--output_dir=gs://bucket/run"),
        lambda: train("--extra_data_dirs=here,hdfs://bucket"),
        lambda: train("--c_dir=tfds:gs://bucket"),
        lambda: train("--reference=gs://bucket/report.json"),
        lambda: train("--train_data_dir=gs:/bucket"),
    ],
)
def test_buckets_are_refused(call, monkeypatch, tmp_path):
    """They would read or make a folder called `gs:`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/data")
    assert_usage_error(call, "bucket", "local folder")
    assert not list(tmp_path.iterdir())
