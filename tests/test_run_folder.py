"""Whose output directory it is."""

import dataclasses
import errno
import os
import subprocess
import sys
import types

import pytest

from noisymix_tf.config import Config, MethodConfig, RunConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import RunFolder


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


def test_unusable_directories(tmp_path):
    with pytest.raises(UsageError, match="--output_dir is missing"):
        RunFolder(Config())
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        RunFolder(_config(file))
    with pytest.raises(UsageError, match="cannot be written"):
        RunFolder(_config(file / "below"))
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
