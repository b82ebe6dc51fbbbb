"""What commands say of the devices they run on, where there is no GPU."""

import pytest

from noisymix_tf import devices, distribution


def _said(capsys, monkeypatch, *arguments, files=(), tool=None, **more):
    monkeypatch.setattr(devices.glob, "glob", lambda _: files)
    monkeypatch.setattr(devices.shutil, "which", lambda _: tool)
    devices.announce(*arguments, **more)
    return capsys.readouterr().err


def test_the_line_says_what_runs(determinism, capsys, monkeypatch):
    more = {"xla": True, "precision": "mixed_bfloat16"}
    said = _said(capsys, monkeypatch, **more)
    assert said.startswith("Runs on CPU:0 (") and said.count("\n") == 1
    assert "no accelerator was found" in said
    assert "; XLA on; mixed_bfloat16; deterministic operations\n" in said
    two = distribution.strategy("mirrored")
    said = _said(capsys, monkeypatch, two, xla=False)
    assert said.startswith("Runs on CPU:0, CPU:1 (") and "XLA off" in said
    assert "XLA" not in _said(capsys, monkeypatch)


@pytest.mark.parametrize(
    ("files", "tool"),
    [(["/dev/nvidia0"], None), ([], "/usr/bin/nvidia-smi")],
)
def test_a_gpu_that_tensorflow_does_not_see_is_warned_of(
    monkeypatch, capsys, files, tool
):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    said = _said(capsys, monkeypatch, files=files, tool=tool)
    assert "; operations that need not be deterministic\n" in said
    assert f"NVIDIA GPU ({[*files, tool][0]})" in said
    assert 'pip install "noisymix_tf[gpu]"' in said
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    said = _said(capsys, monkeypatch, files=files, tool=tool)
    assert "NVIDIA" not in said
