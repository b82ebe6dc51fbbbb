"""Whose output directory it is."""

import dataclasses

import pytest

from noisymix_tf.config import Config, MethodConfig, RunConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import RunFolder


def _config(path, **method):
    return Config(
        run=RunConfig(output_dir=str(path)), method=MethodConfig(**method)
    )


def test_the_same_configuration_may_come_back(tmp_path):
    path = tmp_path / "new" / "run"
    RunFolder(_config(path))
    flags = (path / "flags.txt").read_text()
    assert "--alpha=1.0\n" in flags and f"--output_dir={path}\n" in flags
    RunFolder(_config(path))
    assert sorted(p.name for p in path.iterdir()) == ["flags.txt"]


def test_another_configuration_is_refused_with_the_differences(tmp_path):
    RunFolder(_config(tmp_path, alpha=1.0))
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
    RunFolder(config)
    run = dataclasses.replace(config.run, input_threads=7, progress="none")
    RunFolder(dataclasses.replace(config, run=run))
    run = dataclasses.replace(config.run, seed=1)
    with pytest.raises(UsageError, match=r"--seed=1 \(was --seed=0\)"):
        RunFolder(dataclasses.replace(config, run=run))


def test_a_flag_that_was_not_set_is_named(tmp_path):
    config = _config(tmp_path)
    RunFolder(config)
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
