"""What commands say of the devices they run on."""

import pytest
import tensorflow as tf

from noisymix_tf import devices, distribution


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("for a machine without a GPU")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_gpu_in_sight", lambda: None)


def _said(capsys, *arguments, **more):
    devices.announce(*arguments, **more)
    return capsys.readouterr().err


def test_the_line_says_what_runs(capsys):
    said = _said(capsys, xla=True, precision="mixed_bfloat16")
    assert said.startswith("Runs on CPU:0 (")
    assert "no accelerator was found" in said
    assert "XLA on; mixed_bfloat16; operations that need not be" in said
    assert said.count("\n") == 1
    assert "XLA off" in _said(capsys, xla=False)
    assert "XLA" not in _said(capsys)


def test_determinism_is_what_tensorflow_has_been_told(determinism, capsys):
    assert "; deterministic operations" in _said(capsys)


def test_mirrored_says_that_its_devices_are_cpus(capsys):
    """Without an accelerator it falls back to the logical CPUs."""
    two = distribution.strategy("mirrored")
    if two.num_replicas_in_sync != 2:
        pytest.skip("for two devices")
    assert _said(capsys, two).startswith("Runs on CPU:0, CPU:1 (")


@pytest.mark.parametrize(
    ("found", "tool"),
    [("/dev/nvidia0", None), (None, "/usr/bin/nvidia-smi")],
)
def test_a_gpu_that_tensorflow_does_not_see_is_warned_of(
    monkeypatch, capsys, found, tool
):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""
    monkeypatch.undo()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(
        devices.glob, "glob", lambda _: [found] if found else []
    )
    monkeypatch.setattr(devices.shutil, "which", lambda _: tool)
    said = _said(capsys)
    assert f"NVIDIA GPU ({found or tool})" in said
    assert 'pip install "noisymix_tf[gpu]"' in said
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "NVIDIA" not in _said(capsys)
