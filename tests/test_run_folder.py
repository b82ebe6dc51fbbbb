"""Whose output directory it is."""

import dataclasses
import errno
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
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import RunFolder
from support import picture_folders as folders


def _config(path, **method):
    return Config(
        run=RunConfig(output_dir=str(path)), method=MethodConfig(**method)
    )


def _use(config):
    with RunFolder(config):
        pass


def test_the_same_configuration_may_come_back(tmp_path):
    path = tmp_path / "new" / "run"
    _use(_config(path))
    flags = (path / "flags.txt").read_text()
    assert "--alpha=1.0\n" in flags and f"--output_dir={path}\n" in flags
    _use(_config(path))
    assert sorted(p.name for p in path.iterdir()) == ["flags.txt"]


def test_another_configuration_is_refused_with_the_differences(tmp_path):
    _use(_config(tmp_path, alpha=1.0))
    before = (tmp_path / "flags.txt").read_text()
    with pytest.raises(UsageError) as error:
        RunFolder(_config(tmp_path, alpha=2.0, augmix_all_ops=True))
    message = str(error.value)
    assert "--alpha=2.0 (was --alpha=1.0)" in message
    assert "--augmix_all_ops (was --noaugmix_all_ops)" in message
    assert "jsd_weight" not in message
    assert (tmp_path / "flags.txt").read_text() == before


def test_flags_that_do_not_change_training_are_free(tmp_path):
    config = _config(tmp_path)
    _use(config)
    run = dataclasses.replace(config.run, input_threads=7, progress="none")
    _use(dataclasses.replace(config, run=run))
    run = dataclasses.replace(config.run, seed=1)
    with pytest.raises(UsageError, match=r"--seed=1 \(was --seed=0\)"):
        RunFolder(dataclasses.replace(config, run=run))


def test_a_flag_that_was_not_set_is_named(tmp_path):
    config = _config(tmp_path)
    _use(config)
    data = dataclasses.replace(config.data, train_examples=100)
    with pytest.raises(UsageError, match="was --train_examples not set"):
        RunFolder(dataclasses.replace(config, data=data))


@pytest.fixture
def photos(tmp_path):
    root = folders.make(tmp_path / "photos", train=3, test=1)
    with open(root / "train" / "dog" / "2.png", "ab") as file:
        file.write(b"1")  # Behind the end of the image.
    return root


def load(root, **more):
    return data.load("folder", data_dir=root, **more)


def _train_on(path, dataset):
    """As `train` begins or continues; what is then kept of the data."""
    with RunFolder(_config(path / "run"), dataset):
        return (path / "run" / "data.json").read_text()


def test_the_same_data_may_come_back_and_be_moved(photos, tmp_path):
    kept = _train_on(tmp_path, load(photos))
    assert _train_on(tmp_path, load(photos)) == kept
    moved = photos.rename(tmp_path / "moved")
    assert _train_on(tmp_path, load(moved)) == kept
    # `cp -r` makes new times, which are then those that are kept.
    copy = tmp_path / "copy"
    shutil.copytree(moved, copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    after = json.loads(_train_on(tmp_path, load(copy)))
    before = json.loads(kept)
    assert after.pop("times") != before.pop("times") and after == before
    # The test images are no part of the training.
    folders.save(copy / "val" / "dog" / "9.png", folders.picture(9))
    _train_on(tmp_path, load(copy))


def _add(root):
    for name in folders.CLASSES:
        folders.save(root / "train" / name / "9.png", folders.picture(9))


def _edit(root):
    folders.save(root / "train" / "dog" / "2.png", folders.picture(9))


def _edit_a_byte(root):
    path = root / "train" / "dog" / "2.png"
    path.write_bytes(path.read_bytes()[:-1] + b"2")


def _rename_a_class(root):
    for part in ("train", "val"):
        (root / part / "dog").rename(root / part / "hound")


def _rename_a_file(root):
    path = root / "train" / "dog" / "2.png"
    path.rename(path.with_name("3.png"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_add, r"now: 8 training images \(was 6\)\."),
        (_edit, r"now: other contents\."),
        (_edit_a_byte, r"now: other contents\."),
        (_rename_a_class, r"now: classes hound \(was dog\)\."),
        (_rename_a_file, r"now: other names of files\."),
    ],
)
def test_a_run_does_not_go_on_with_other_data(photos, tmp_path, change, words):
    """Images that came, went or changed under a run were not noticed."""
    kept = _train_on(tmp_path, load(photos))
    flags = (tmp_path / "run" / "flags.txt").read_bytes()
    change(photos)
    with pytest.raises(UsageError, match=words) as caught:
        _train_on(tmp_path, load(photos))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / "data.json").read_text() == kept
    assert (tmp_path / "run" / "flags.txt").read_bytes() == flags


def test_trees_that_are_joined_are_data_too(photos, tmp_path):
    tree = shutil.copytree(photos / "train", tmp_path / "tree")
    for more in ({"extra_data_dirs": [tree]}, {"train_data_dir": tree}):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        _train_on(tmp_path, load(photos, **more))
        _train_on(tmp_path, load(photos, **more))
        path = tree / "cat" / "0.png"
        folders.save(path, 255 - folders.read(path))
        with pytest.raises(UsageError, match="other contents"):
            _train_on(tmp_path, load(photos, **more))


def test_an_older_run_keeps_what_its_data_is_from_now_on(photos, tmp_path):
    _train_on(tmp_path, load(photos))
    (tmp_path / "run" / "data.json").unlink()
    _edit(photos)
    _train_on(tmp_path, load(photos))
    _add(photos)
    with pytest.raises(UsageError, match="was 6"):
        _train_on(tmp_path, load(photos))


def test_many_files_are_known_by_their_times(photos, tmp_path, monkeypatch):
    """They are not read; what to do about copies is said."""
    monkeypatch.setattr(folder_lib, "_CHECKED_FILES", 5)
    _train_on(tmp_path, load(photos))
    os.utime(photos / "train" / "dog" / "2.png", (1, 1))
    with pytest.raises(UsageError, match=r"times of .* remove .*data\.json"):
        _train_on(tmp_path, load(photos))
    (tmp_path / "run" / "data.json").write_text("half")
    with pytest.raises(UsageError, match=r"data\.json is damaged"):
        _train_on(tmp_path, load(photos))
    (tmp_path / "run" / "data.json").unlink()
    _train_on(tmp_path, load(photos))


def test_images_in_memory_are_known_by_their_pixels(tmp_path):
    digits = data.load("digits", train_examples=20, test_examples=10)
    _train_on(tmp_path, digits)
    digits.train.images[-1] ^= 1
    with pytest.raises(UsageError, match="other contents"):
        _train_on(tmp_path, digits)


def test_unusable_directories(tmp_path):
    with pytest.raises(UsageError, match="--output_dir is missing"):
        RunFolder(Config())
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        RunFolder(_config(file))
    with pytest.raises(UsageError, match="cannot be written"):
        RunFolder(_config(file / "below"))
    with pytest.raises(UsageError, match=r"\(File name too long\)"):
        RunFolder(_config(tmp_path / ("x" * 300)))
    with pytest.raises(UsageError, match="not empty and holds no run"):
        RunFolder(_config(tmp_path))
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "evaluate --model=run",
        "export --model=run",
        "compare --methods=nfm",
        "corruptions",
        "stylize --styles=pictures",
        "deepaugment",
        "theory",
        "toy",
    ],
)
def test_an_impossible_directory_costs_no_imports(tmp_path, command):
    """It cost 6 to 16 seconds of them."""
    file = tmp_path / "file"
    file.write_text("mine")
    words = ["noisymix", *command.split(), f"--output_dir={file / 'below'}"]
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
sys.argv = {words!r}
from noisymix_tf import __main__
__main__.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith(
        "(Not a directory); name a writable directory.\n"
    )
    assert done.stderr.count("\n") == 1


def test_a_read_only_disk_is_told_apart(tmp_path, monkeypatch):
    """It is no mistake of the user's: status 74, see `doors.run`."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for flag, number in ((os.ST_RDONLY, errno.EROFS), (0, errno.EACCES)):
        disk = types.SimpleNamespace(f_flag=flag)
        monkeypatch.setattr(os, "statvfs", lambda path, disk=disk: disk)
        with pytest.raises(UsageError) as error:
            RunFolder(_config(tmp_path / "run"))
        assert error.value.__cause__.errno == number


def test_damaged_flags_are_one_line(tmp_path):
    """They were a traceback."""
    _use(_config(tmp_path))
    (tmp_path / "flags.txt").write_bytes(b"--alpha=\xff\n")
    with pytest.raises(UsageError, match="txt cannot be read"):
        RunFolder(_config(tmp_path))


def test_one_process_at_a_time(tmp_path):
    config = _config(tmp_path / "run")
    with RunFolder(config):
        with pytest.raises(UsageError, match="written by another process"):
            RunFolder(config)
    _use(config)
    # A refused configuration does not keep the directory either.
    with pytest.raises(UsageError, match="another configuration"):
        RunFolder(_config(tmp_path / "run", alpha=2.0))
    _use(config)


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path):
    _use(_config(tmp_path))
    for name in (".metrics.jsonl.x1.partial", ".flags.txt.x2.partial"):
        (tmp_path / name).write_text("half")
    kept = tmp_path / ".model.partial.card.json"
    kept.write_text("{}")
    (tmp_path / "saved_model" / ".tmp-1").mkdir(parents=True)
    (tmp_path / ".lock").write_text("77 on elsewhere")
    _use(_config(tmp_path))
    names = sorted(p.name for p in tmp_path.rglob("*"))
    assert names == [kept.name, "flags.txt", "saved_model"]


def test_a_start_that_was_killed_and_a_directory_of_others(tmp_path):
    (tmp_path / ".flags.txt.x2.partial").write_text("half")
    (tmp_path / ".lock").write_text("")
    _use(_config(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["flags.txt"]
    other = tmp_path / "other"
    other.mkdir()
    (other / ".notes.partial").write_text("mine")
    with pytest.raises(UsageError, match="holds no run"):
        RunFolder(_config(other))
    assert [p.name for p in other.iterdir()] == [".notes.partial"]
