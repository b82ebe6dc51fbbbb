"""What the functions of the package say to paths of other machines."""

import pathlib

import pytest

import noisymix_tf as nm
from noisymix_tf.corruption_sets import command


@pytest.mark.parametrize(
    "call",
    [
        lambda: nm.data.load("folder", data_dir="gs://bucket/data"),
        lambda: nm.data.load("digits", extra_data_dirs=["s3://bucket/data"]),
        lambda: nm.evaluate(None, None, output_dir="gs://bucket/run"),
        lambda: nm.evaluate(None, None, c_dir="tfds:gs://bucket"),
        lambda: nm.save(None, pathlib.Path("gs://bucket/m.keras")),
        lambda: nm.evaluation.load_classifier("gs://bucket/m.keras"),
        lambda: command.run(["corruptions", "--output_dir=gs://bucket/c"]),
    ],
)
def test_buckets_are_refused(call, monkeypatch, tmp_path):
    """They would read or make a folder called `gs:`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(nm.UsageError, match="is no path of this machine"):
        call()
    assert not list(tmp_path.iterdir())


def test_a_bucket_of_prepared_datasets_in_the_environment(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/data")
    with pytest.raises(nm.UsageError, match="data_dir=gs://bucket/data is no"):
        nm.data.load("imagenet")
