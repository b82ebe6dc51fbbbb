"""What commands say of the devices they run on, where there is no GPU."""

import pytest

from noisymix_tf import devices, distribution


@pytest.fixture
def sight(monkeypatch):
    """Sets what is seen of a GPU: files of its driver, and its tool."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def see(files, tool):
        monkeypatch.setattr(devices.glob, "glob", lambda _: files)
        monkeypatch.setattr(devices.shutil, "which", lambda _: tool)

    see([], None)
    return see


def test_the_line_says_what_runs(sight, determinism, capsys):
    devices.announce(xla=True, precision="mixed_bfloat16")
    said = capsys.readouterr().err
    assert said.startswith("Runs on CPU:0 (") and said.count("\n") == 1
    assert "no accelerator was found" in said
    assert "; XLA on; mixed_bfloat16; deterministic operations\n" in said
    devices.announce(distribution.strategy("mirrored"), xla=False)
    said = capsys.readouterr().err
    assert said.startswith("Runs on CPU:0, CPU:1 (") and "XLA off" in said
    devices.announce()
    assert "XLA" not in capsys.readouterr().err


def test_operations_are_what_tensorflow_has_been_told():
    assert devices.operations() == "operations that need not be deterministic"


@pytest.mark.parametrize(
    ("files", "tool"),
    [(["/dev/nvidia0"], None), ([], "/usr/bin/nvidia-smi")],
)
def test_a_gpu_that_tensorflow_does_not_see_is_warned_of(
    sight, monkeypatch, capsys, files, tool
):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""
    sight(files, tool)
    devices.announce()
    said = capsys.readouterr().err
    assert f"NVIDIA GPU ({[*files, tool][0]})" in said
    assert 'pip install "noisymix_tf[gpu]"' in said
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    devices.announce()
    assert "NVIDIA" not in capsys.readouterr().err
