"""Numbered folders that appear whole or not at all."""

import errno
import os
from unittest import mock

import pytest
import tensorflow as tf

from noisymix_tf.serving import versions
from support.usage import assert_usage_error


def written(path):
    with versions.new_version(path) as folder:
        (folder / "saved_model.pb").write_text("ours")
        return versions.publish(folder)


def test_each_export_takes_the_next_version(tmp_path, monkeypatch):
    path = tmp_path / "m"
    assert [written(path).name, written(path).name] == ["1", "2"]
    (path / "7").mkdir()
    (path / "notes").mkdir()
    assert written(path).name == "8"
    rename = versions.pathlib.Path.rename

    def someone_is_faster(self, target):
        monkeypatch.undo()
        target.mkdir()
        (target / "saved_model.pb").write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(versions.pathlib.Path, "rename", someone_is_faster)
    assert written(path).name == "10"
    assert (path / "9" / "saved_model.pb").read_text() == "theirs"
    assert {*os.listdir(path)} == {*"1 2 7 8 9 10 notes".split()}


@pytest.mark.parametrize(
    "path, words",
    [
        ("file", "Not a directory"),
        ("new/" + 300 * "x", "File name too long"),
        ("closed/m", "Permission denied"),
        ("gs://bucket/m", "give a local folder"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path, monkeypatch, path, words):
    (tmp_path / "file").write_text("text")
    if path == "closed/m":  # Whoever is root may write anywhere.
        closed = mock.Mock(side_effect=PermissionError(13, "Permission denied"))
        monkeypatch.setattr(versions.pathlib.Path, "mkdir", closed)
    place = path if "://" in path else tmp_path / path
    assert_usage_error(lambda: written(place), words)
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk(tmp_path):
    with pytest.raises(OSError, match="No space left") as error:
        with versions.new_version(tmp_path / "m") as folder:
            message = f"{folder}/saved_model.pb; No space left on device"
            raise tf.errors.ResourceExhaustedError(None, None, message)
    assert error.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []
