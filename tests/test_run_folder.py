"""Whose output directory it is, and who writes there."""

import contextlib
import dataclasses
import errno
import fcntl
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from unittest import mock

import pytest

from noisymix_tf import data, model_card
from noisymix_tf.config import Config
from noisymix_tf.data import folder as folder_lib
from noisymix_tf.data.identity import Identity
from noisymix_tf.files import UNFINISHED, claimed
from noisymix_tf.run_folder import RunFolder, opened
from support import picture_folders as folders
from support.usage import assert_usage_error


def _config(path, run=None, train_examples=None, **method):
    given = {"train_examples": train_examples, **(run or {}), **method}
    return Config(output_dir=str(path), **given)


def _use(config, dataset=None):
    with opened(config, dataset):
        pass


def _refused(config, *words):
    return assert_usage_error(lambda: _use(config), *words)


def test_only_the_same_configuration_may_come_back(tmp_path, monkeypatch):
    path = tmp_path / "new" / "run"
    config, flags = _config(path), path / "flags.txt"
    _use(config)
    before = flags.read_text()
    assert "--alpha=1.0\n" in before and f"--output_dir={path}\n" in before
    words = "--alpha=2.0 (was --alpha=1.0)", "--augmix_all_ops (was --noaugmix"
    line = _refused(_config(path, alpha=2.0, augmix_all_ops=True), *words)
    assert "jsd_weight" not in line
    _refused(_config(path, {"seed": 1}), "--seed=1 (was --seed=0)")
    _refused(_config(path, train_examples=9), "was --train_examples not set")
    assert flags.read_text() == before and os.listdir(path) == ["flags.txt"]
    more = dataclasses.replace(config, epochs=300)
    _refused(more, "--epochs=300 (was --epochs=200)", " --extend goes on")
    _use(dataclasses.replace(more, extend=True))
    assert {"--epochs=300", "--extend"} <= {*flags.read_text().split()}
    fewer = dataclasses.replace(config, extend=True)
    _refused(fewer, "--epochs=200 (was --epochs=300)")
    flags.write_text(before.replace("--epochs=200", "--epochs=many"))
    _refused(config, "--epochs=200 (was --epochs=many)")
    flags.write_text(before)
    _use(_config(path, {"input_threads": 7, "progress": "none"}))
    assert "--input_threads=7\n" in flags.read_text()
    with opened(config):
        _refused(config, "written by another process")
    # Older versions did not expand it.
    monkeypatch.setenv("HOME", "/me")
    flags.write_text(f"{before}--extra_data_dirs=~/a,~/b\n")
    _use(_config(path, extra_data_dirs=("/me/a", "/me/b")))
    flags.write_bytes(b"--alpha=\xff\n")
    _refused(config, "txt cannot be read")


def _train_on(path, root):
    """As `train` begins or continues; what is then kept of the data."""
    _use(_config(path / "run"), data.load("folder", data_dir=root))
    return json.loads((path / "run" / "data.json").read_text())


def test_the_same_files_may_come_back_and_be_moved(tmp_path, monkeypatch):
    photos = folders.make(tmp_path / "photos", train=3, test=1)
    with open(photos / "train" / "dog" / "2.png", "ab") as file:
        file.write(b"1")  # Behind the end of the image.
    kept, file = _train_on(tmp_path, photos), tmp_path / "run" / "data.json"
    moved, copy = photos.rename(tmp_path / "moved"), tmp_path / "copy"
    assert _train_on(tmp_path, moved) == kept
    # `cp -r` makes new times, which are then those that are kept.
    shutil.copytree(moved, copy, copy_function=shutil.copyfile)
    image = copy / "train" / "dog" / "2.png"
    os.utime(image, (1, 1))
    after = _train_on(tmp_path, copy)
    assert after.pop("times") != kept.pop("times") and after == kept
    # The test images are no part of the training.
    folders.save(copy / "val" / "dog" / "9.png", folders.picture(9))
    _train_on(tmp_path, copy)
    image.write_bytes(image.read_bytes()[:-1] + b"0")
    call = functools.partial(_train_on, tmp_path, copy)
    assert_usage_error(call, "now: other contents.")
    # Of many files, which are not read, what to do about copies is said.
    monkeypatch.setattr(folder_lib, "_CHECKED_FILES", 5)
    file.unlink()
    call()
    os.utime(image, (2, 2))
    assert_usage_error(call, "times of ", " remove ", "data.json")
    file.write_text("half")
    assert_usage_error(call, "data.json is damaged")


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    """Images that came, went or changed under a run were not noticed."""

    def use(dog="dog", **values):
        known = dict.fromkeys(("names", "labels", "contents", "reading"), "a")
        known |= {"images": 20, "times": "a", **values}
        split = mock.Mock(identity=Identity(**known), files=None)
        names = ["cat", dog]
        _use(_config(tmp_path), mock.Mock(train=split, class_names=names))

    kept = tmp_path / "data.json"
    use()
    before = kept.read_bytes()
    for words, changes in (
        ("classes hound (was dog).", {"dog": "hound"}),
        ("19 training images (was 20).", {"images": 19}),
        ("other contents.", {"contents": "b", "times": "b"}),
        ("other names of files.", {"names": "b"}),
        ("other labels.", {"labels": "b"}),
        ("other way of reading files.", {"reading": "b"}),
    ):
        other = functools.partial(use, **changes)
        assert_usage_error(other, f"now: {words}")
        assert kept.read_bytes() == before
    # An older run keeps what its data is from now on.
    kept.unlink()
    other()
    assert_usage_error(use, "was")


def test_nor_with_other_pictures_to_mix_with(tmp_path):
    folders.save(picture := tmp_path / "set/a/1.png", folders.picture(1))
    mixed = {"views": "pixmix", "mixing_dir": str(tmp_path / "set")}
    use = functools.partial(_use, _config(tmp_path / "run", mixed))
    digits = data.load("digits")
    use(digits)
    use(digits)
    folders.save(picture, folders.picture(2))
    call = functools.partial(use, digits)
    assert_usage_error(call, "other pictures in --mixing_dir. Put the data ")
    # An older run keeps what they are from now on.
    kept = tmp_path / "run/data.json"
    now = json.loads(kept.read_text())
    del now["mixed_with"]
    kept.write_text(json.dumps(now))
    use(digits)
    assert json.loads(kept.read_text())["mixed_with"]
    (lost := picture.with_name("2.png")).symlink_to("nowhere")
    assert_usage_error(call, f"picture to mix with '{lost}' cannot be read")


def test_unusable_directories(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("mine")
    _refused(Config(), "--output_dir is missing")
    _refused(_config(file), "cannot be written (Not a directory)")
    _refused(_config(tmp_path / ("x" * 300)), "(File name too long)")
    _refused(_config(tmp_path), "not empty and holds no run")
    assert file.read_text() == "mine"
    # A read-only disk is no mistake of the user's: its status is 74.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for flag, number in ((os.ST_RDONLY, errno.EROFS), (0, errno.EACCES)):
        disk = mock.Mock(**{"return_value.f_flag": flag})
        monkeypatch.setattr(os, "statvfs", disk)
        with pytest.raises(ValueError, match="cannot be written") as error:
            _use(_config(tmp_path / "run"))
        assert error.value.__cause__.errno == number


_COMMANDS = """
import os, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from noisymix_tf import __main__
for command in sys.argv[2:]:
    if os.fork() == 0:
        output = "--output_dir=" + sys.argv[1]
        sys.argv = ["noisymix", *command.split(), output]
        __main__.main()
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def test_mistakes_cost_no_imports(tmp_path):
    (tmp_path / "file").write_text("mine")
    command = [sys.executable, "-c", _COMMANDS, tmp_path / "file" / "below"]
    command += "train theory corrupt deepaugment toy".split()
    command += ["evaluate --model=run", "export --model=run"]
    command += ["compare --methods=nfm", "stylize --styles=pictures"]
    mistakes = {
        "model=vgg": "Unknown model 'vgg'. Known: preact_resnet18",
        "suites=d": "Unknown suite 'd'. Known: clean",
        "dataset=digit": "Unknown dataset 'digit'. Known: digits",
        "corruptions=rain": "Unknown corruption 'rain'",
        "suites=p --perturbations=rain": "Unknown perturbation 'rain'",
        "attack_norms=l3": "Unknown norm 'l3'. Known: linf, l2",
        "attack_losses=mse": "Unknown loss 'mse'. Known: cross_entropy",
        "c_dir=/none": "--c_dir=/none does not exist",
        "data_service=host:1": "--data_service=host:1 is no address",
    }
    command += [f"train --{flags}" for flags in mistakes]
    helps = [f"{name} --helpfull" for name in ("stylize", "deepaugment")]
    done = subprocess.run([*command, *helps], capture_output=True, text=True)
    statuses = re.findall("(?m)^\\d$", done.stdout)
    assert statuses == ["2"] * (9 + len(mistakes)) + ["0"] * 2
    end = "(Not a directory); name a writable directory.\n"
    assert done.stderr.count(end) == 9
    for line, words in zip(done.stderr.splitlines()[9:], mistakes.values()):
        assert words in line


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    def leave(*names):
        for path in map(tmp_path.joinpath, names):
            path.parent.mkdir(exist_ok=True)
            path.write_text("half")

    leave(".flags.txt.x2.partial", ".lock")
    _use(_config(tmp_path))
    assert os.listdir(tmp_path) == ["flags.txt"]
    left = [".model.partial.card.json", "flags.txt", "other", "saved_model"]
    leave(left[0], ".metrics.jsonl.x1.partial", "other/.notes.partial")
    (tmp_path / f"saved_model/{UNFINISHED}1").mkdir(parents=True)
    _use(_config(tmp_path))
    assert sorted(os.listdir(tmp_path)) == left
    assert not os.listdir(tmp_path / "saved_model")
    # One that another program wrote stopped a run at its very end.
    (tmp_path / "saved_model" / "7").mkdir()
    assert not RunFolder(tmp_path).has_export("old")
    # A run that was extended kept the SavedModel of its first end.
    (tmp_path / "saved_model" / "1").mkdir()
    card = {"model": {"fingerprint": "old"}}
    monkeypatch.setattr(model_card, "read", lambda path: card)
    with opened(_config(tmp_path)) as folder:
        assert folder.has_export("old") and not folder.has_export("new")
    _use(_config(tmp_path / "other"))
    assert {*os.listdir(tmp_path / "other")} == {".notes.partial", "flags.txt"}


_HOLDER = """
import sys, time, noisymix_tf.files
with noisymix_tf.files.claimed(sys.argv[1], "run"):
    print("held", flush=True); time.sleep(60)
"""


def _held(folder):
    stack = contextlib.ExitStack()
    stack.enter_context(claimed(folder, "run"))
    return stack


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path):
    command = [sys.executable, "-c", _HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        words = f"--output_dir={tmp_path} is being written", f"({holder.pid} on"
        assert_usage_error(lambda: _held(tmp_path), *words)
        holder.kill()
    assert (tmp_path / ".lock").exists()
    lock = _held(tmp_path)
    assert_usage_error(lambda: _held(tmp_path), f"({os.getpid()} on ")
    # A forked child does not keep it.
    if (pid := os.fork()) == 0:
        signal.pause()
    with mock.patch("pathlib.Path.unlink", side_effect=OSError):
        lock.close()
    try:
        _held(tmp_path).close()
        assert list(tmp_path.iterdir()) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_removed_files_and_systems_without_locks(tmp_path, monkeypatch, capsys):
    """Opened before, locked after the release of the one who had it."""
    first, flock = _held(tmp_path), fcntl.flock

    def late(descriptor, operation):
        if operation & fcntl.LOCK_EX:
            first.close()
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = _held(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / ".lock").exists()
    assert_usage_error(lambda: _held(tmp_path), "another process")
    second.close()

    def fail(module, name, number):
        error = OSError(number, os.strerror(number))
        monkeypatch.setattr(module, name, mock.Mock(side_effect=error))

    for number in (errno.ENOLCK, errno.ENOSYS):
        fail(fcntl, "flock", number)
        with _held(tmp_path):
            [line] = capsys.readouterr().err.splitlines()
        assert "without locks" in line and str(tmp_path) in line
    fail(fcntl, "flock", errno.EIO)
    assert_usage_error(lambda: _held(tmp_path), "Input/output error")
    fail(os, "open", errno.EROFS)
    assert_usage_error(lambda: _held(tmp_path), "written (Read-only")
