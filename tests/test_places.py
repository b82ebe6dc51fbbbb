"""Where commands may read and write: on this machine, not among the images."""

import functools
import os
import pathlib

import numpy as np
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import run_folder
from noisymix_tf.commands import COMMANDS
from noisymix_tf.commands.deepaugment import DeepAugmentConfig
from noisymix_tf.commands.evaluate import EvaluateConfig
from noisymix_tf.commands.stylize import StylizeConfig
from noisymix_tf.comparison import trainings
from noisymix_tf.config import Config
from noisymix_tf.models.classifier import locate
from support import comparison_runs, small_trainer
from support.usage import assert_usage_error, parsed


def compare(line):
    """What a comparison makes of its line for one of its trainings."""
    words = *line.split(), "--methods=augmix"
    words, config = comparison_runs.parsed(*words)
    return trainings.plan(words, config)[0].config


def corrupted(line):
    return COMMANDS.get("corrupt")(["corrupt", *line.split()])


def reader(config):
    return lambda line: parsed(config, *line.split())


train, FOLDER = reader(Config), "--dataset=folder --data_dir"


def test_no_command_writes_among_images_but_beside_them(tmp_path, monkeypatch):
    """The second run took the first for the class `run1`."""
    photos = tmp_path / "photos"
    (photos / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    for read, line, output in (
        (train, f"{FOLDER}=photos", "photos"),
        (train, f"{FOLDER}=link", "photos/a/b/c"),
        (compare, f"{FOLDER}=photos", "link/../link/run1"),
        (train, "--train_data_dir=photos", "photos/run1"),
        (train, "--extra_data_dirs=elsewhere,photos", "photos/run1"),
        (reader(EvaluateConfig), "--suites=r --shift_dir=link", "photos/c"),
        (compare, "--suites=r --shift_dir=a:elsewhere,b:photos", "photos/c"),
        (reader(StylizeConfig), "--data_dir=photos --styles=a", "photos/c"),
        (reader(StylizeConfig), "--data_dir=a --styles=photos", "photos/c"),
        (train, "--views=pixmix --mixing_dir=photos", "photos/c"),
        (reader(DeepAugmentConfig), "--data_dir=photos", "photos/c"),
        (corrupted, f"{FOLDER}=photos", "photos/c"),
    ):
        call = functools.partial(read, f"{line} --output_dir={output}")
        assert_usage_error(call, "--output_dir=", " lies in --")
    assert [path.name for path in photos.iterdir()] == ["cat"]
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


def test_buckets_are_refused(monkeypatch, tmp_path):
    """They would read or make a folder called `gs:`; no run locks a bucket."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/data")
    for call in (
        lambda: nm.data.load("folder", data_dir="gs://bucket/data"),
        lambda: nm.data.load("digits", extra_data_dirs=["s3://bucket/data"]),
        lambda: nm.evaluate(None, None, output_dir="gs://bucket/run"),
        lambda: nm.evaluate(None, None, c_dir="tfds:gs://bucket"),
        lambda: nm.save(None, pathlib.Path("gs://bucket/m.keras")),
        lambda: nm.data.load("imagenet"),  # from the environment
        lambda: train("--output_dir=gs://bucket/run"),
        lambda: train("--extra_data_dirs=here,hdfs://bucket"),
        lambda: train("--c_dir=tfds:gs://bucket"),
        lambda: train("--train_data_dir=gs:/bucket"),
    ):
        line = assert_usage_error(call, "bucket", "local folder")
        assert ("output_dir=" in line) == ("neither the lock nor the" in line)
    assert not list(tmp_path.iterdir())


def test_models_are_read_from_buckets(tmp_path):
    """They were refused. Of a run its model is copied, and its card."""
    model, bucket = small_trainer.classifier(), f"ram:/{tmp_path}"
    nm.save(model, tmp_path / "run/model.keras", flags=["--dataset=digits"])
    (tmp_path / "run/big").write_text("stays")
    model.export(tmp_path / "served/1", verbose=False)
    for path in filter(pathlib.Path.is_file, tmp_path.rglob("*")):
        place = f"{bucket}/{path.relative_to(tmp_path)}"
        tf.io.gfile.makedirs(os.path.dirname(place))
        tf.io.gfile.copy(path, place)
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3))
    for name in ("run", "run/model.keras", "served", "served/1/"):
        found = nm.evaluation.load_classifier(f"{bucket}/{name}")(images)
        np.testing.assert_allclose(found, model(images), rtol=1e-5)
        assert not (locate(f"{bucket}/{name}").parent / "big").exists()
        flags = run_folder.flags_of_model(f"{bucket}/{name}")
        assert flags == ({"dataset": "digits"} if "run" in name else {})
    call = functools.partial(nm.evaluation.load_classifier, "ram://none/m")
    assert_usage_error(call, "There is no model at 'ram://none/m'")
