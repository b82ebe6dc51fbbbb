"""Whose output directory it is."""

import dataclasses
import errno
import functools
import json
import os
import shutil
import subprocess
import sys
import types

import pytest

from noisymix_tf import data
from noisymix_tf.config import Config, MethodConfig, RunConfig
from noisymix_tf.data import folder as folder_lib
from noisymix_tf.data.identity import Identity
from noisymix_tf.run_folder import RunFolder
from support import picture_folders as folders
from support.usage import assert_usage_error


def _config(path, **method):
    run = RunConfig(output_dir=str(path))
    return Config(run=run, method=MethodConfig(**method))


def _use(config, dataset=None):
    with RunFolder(config, dataset):
        pass


def _refused(config, *words):
    return assert_usage_error(lambda: RunFolder(config), *words)


def _with(config, group, **values):
    changed = dataclasses.replace(getattr(config, group), **values)
    return dataclasses.replace(config, **{group: changed})


def _names(path):
    return sorted(entry.name for entry in path.iterdir())


def test_only_the_same_configuration_may_come_back(tmp_path):
    path = tmp_path / "new" / "run"
    config = _config(path)
    _use(config)
    flags = (path / "flags.txt").read_text()
    assert "--alpha=1.0\n" in flags and f"--output_dir={path}\n" in flags
    words = "--alpha=2.0 (was --alpha=1.0)", "--augmix_all_ops (was --noaugmix"
    line = _refused(_config(path, alpha=2.0, augmix_all_ops=True), *words)
    assert "jsd_weight" not in line
    _refused(_with(config, "run", seed=1), "--seed=1 (was --seed=0)")
    words = "was --train_examples not set"
    _refused(_with(config, "data", train_examples=9), words)
    assert (path / "flags.txt").read_text() == flags
    assert _names(path) == ["flags.txt"]
    _use(_with(config, "run", input_threads=7, progress="none"))
    assert "--input_threads=7\n" in (path / "flags.txt").read_text()
    with RunFolder(config):
        _refused(config, "written by another process")
    (path / "flags.txt").write_bytes(b"--alpha=\xff\n")
    _refused(config, "txt cannot be read")


def _train_on(path, root):
    """As `train` begins or continues; what is then kept of the data."""
    _use(_config(path / "run"), data.load("folder", data_dir=root))
    return (path / "run" / "data.json").read_text()


def test_the_same_files_may_come_back_and_be_moved(tmp_path, monkeypatch):
    photos = folders.make(tmp_path / "photos", train=3, test=1)
    with open(photos / "train" / "dog" / "2.png", "ab") as file:
        file.write(b"1")  # Behind the end of the image.
    kept = _train_on(tmp_path, photos)
    moved = photos.rename(tmp_path / "moved")
    assert _train_on(tmp_path, moved) == kept
    # `cp -r` makes new times, which are then those that are kept.
    copy = tmp_path / "copy"
    shutil.copytree(moved, copy, copy_function=shutil.copyfile)
    image = copy / "train" / "dog" / "2.png"
    os.utime(image, (1, 1))
    after, before = json.loads(_train_on(tmp_path, copy)), json.loads(kept)
    assert after.pop("times") != before.pop("times") and after == before
    # The test images are no part of the training.
    folders.save(copy / "val" / "dog" / "9.png", folders.picture(9))
    _train_on(tmp_path, copy)
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    call = functools.partial(_train_on, tmp_path, copy)
    assert_usage_error(call, "now: other contents.")
    # Of many files, which are not read, what to do about copies is said.
    monkeypatch.setattr(folder_lib, "_CHECKED_FILES", 5)
    (tmp_path / "run" / "data.json").unlink()
    call()
    os.utime(image, (2, 2))
    assert_usage_error(call, "times of ", " remove ", "data.json")
    (tmp_path / "run" / "data.json").write_text("half")
    assert_usage_error(call, "data.json is damaged")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 19}, "now: 19 training images (was 20)."),
        ({"contents": "b", "times": "b"}, "now: other contents."),
        ({"names": "b"}, "now: other names of files."),
        ({"labels": "b"}, "now: other labels."),
        ({"reading": "b"}, "now: other way of reading files."),
        ({}, "now: classes hound (was dog)."),
    ],
)
def test_a_run_does_not_go_on_with_other_data(tmp_path, changes, words):
    """Images that came, went or changed under a run were not noticed."""

    def dataset(*classes, **values):
        known = {name: "a" for name in ("names", "labels", "contents")}
        known |= {"images": 20, "reading": "a", "times": "a", **values}
        split = types.SimpleNamespace(identity=Identity(**known), files=None)
        return types.SimpleNamespace(train=split, class_names=classes)

    config, kept = _config(tmp_path), tmp_path / "data.json"
    _use(config, dataset("cat", "dog"))
    before = kept.read_bytes()
    other = dataset("cat", "dog" if changes else "hound", **changes)
    assert_usage_error(lambda: _use(config, other), words)
    assert kept.read_bytes() == before
    # An older run keeps what its data is from now on.
    kept.unlink()
    _use(config, other)
    assert_usage_error(lambda: _use(config, dataset("cat", "dog")), "was")


def test_unusable_directories(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("mine")
    _refused(Config(), "--output_dir is missing")
    _refused(_config(file), "cannot be written (Not a directory)")
    _refused(_config(tmp_path / ("x" * 300)), "(File name too long)")
    _refused(_config(tmp_path), "not empty and holds no run")
    assert file.read_text() == "mine"
    # A read-only disk is no mistake of the user's: status 74, see `doors.run`.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for flag, number in ((os.ST_RDONLY, errno.EROFS), (0, errno.EACCES)):
        disk = types.SimpleNamespace(f_flag=flag)
        monkeypatch.setattr(os, "statvfs", lambda path, disk=disk: disk)
        with pytest.raises(ValueError, match="cannot be written") as error:
            RunFolder(_config(tmp_path / "run"))
        assert error.value.__cause__.errno == number


_COMMANDS = """
import os, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from noisymix_tf import __main__
for command in ("train", "evaluate --model=run", "export --model=run", "theory",
                "compare --methods=nfm", "corruptions", "deepaugment", "toy",
                "stylize --styles=pictures"):
    if os.fork() == 0:
        output = "--output_dir=" + sys.argv[1]
        sys.argv = ["noisymix", *command.split(), output]
        __main__.main()
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_an_impossible_directory_costs_no_imports(tmp_path):
    """It cost 6 to 16 seconds of them."""
    (tmp_path / "file").write_text("mine")
    command = [sys.executable, "-c", _COMMANDS, tmp_path / "file" / "below"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] * 9
    end = "(Not a directory); name a writable directory.\n"
    assert done.stderr.count(end) == done.stderr.count("\n") == 9


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / ".flags.txt.x2.partial").write_text("half")
    (tmp_path / ".lock").write_text("77 on elsewhere")
    _use(_config(tmp_path))
    assert _names(tmp_path) == ["flags.txt"]
    for name in (".metrics.jsonl.x1.partial", ".model.partial.card.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / "saved_model" / ".tmp-1").mkdir(parents=True)
    _use(_config(tmp_path))
    left = [".model.partial.card.json", "flags.txt", "saved_model"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == left
    other = tmp_path / "other"
    other.mkdir()
    (other / ".notes.partial").write_text("mine")
    _refused(_config(other), "holds no run")
    assert _names(other) == [".notes.partial"]
