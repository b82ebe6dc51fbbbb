"""The strategy by name, what is asked about it, and what is said of it."""

import json

import pytest
import tensorflow as tf

from noisymix_tf import devices
from noisymix_tf import distribution as lib
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    ("gpus", "auto", "mirrored"), [(0, None, 2), (1, None, 1), (2, 2, 2)]
)
def test_strategies_of_one_machine(monkeypatch, gpus, auto, mirrored):
    """Devices are made up: CPUs under the name of GPUs."""
    cpus = tf.config.list_logical_devices("CPU")[:2]
    found = {"GPU": cpus[:gpus], "CPU": cpus}
    monkeypatch.setattr(tf.config, "list_logical_devices", found.get)
    wanted = {"auto": auto, "mirrored": mirrored, "single": None}
    error = tf.errors.UnavailableError(None, None, "gone")
    for name, count in wanted.items():
        made = lib.strategy(name)
        assert (made is None) == (count is None)
        assert lib.num_replicas(made) == (count or 1)
        # A second default strategy of a process breaks.
        assert lib.strategy(name) is made
        assert lib.is_chief(made) and not lib.has_many_machines(made)
        assert not lib.is_lost_machine(made, error)
        with lib.scope(made):
            assert tf.distribute.has_strategy() == (made is not None)
        lib.check_batch(made, 8)
        lib.check_jit(made, not count or count == 1)
        lib.check_accumulation(made, 1 if count else 2)


def test_mistakes_are_one_line():
    two = lib.strategy("mirrored")
    for call, *words in (
        (lambda: lib.strategy("gpu"), "'gpu': choose auto, single, mirrored"),
        (lambda: lib.strategy(None), "None: choose auto, single"),
        (lambda: lib.check_batch(two, 7), "--batch_size=7 does", "such as 6"),
        (lambda: lib.check_batch(two, 1), "such as 2"),
        (lambda: lib.check_jit(two, True), "--jit_compile=true"),
        (lambda: lib.check_accumulation(two, 2), "MirroredStrategy"),
        (lambda: lib.strategy("tpu", "local"), "No TPU was found"),
        (lambda: lib.strategy("tpu", "grpc://127.0.0.1:1"), "--tpu=grpc"),
        (lambda: lib.strategy("auto", "mine"), "--tpu=mine belongs"),
    ):
        assert_usage_error(call, *words)


def test_what_is_no_cluster(monkeypatch):
    def config(kind, index, **cluster):
        task = {"type": kind, "index": index}
        return json.dumps({"cluster": cluster, "task": task})

    for text in (
        *("", "not JSON", "[]", config("ps", 0, ps=["a:1"])),
        config("worker", 2, worker=["a:1", "b:1"]),
        config("worker", None, worker=["a:1"]),
        config("worker", 0, worker=[1]),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        words = "TF_CONFIG", '"cluster"'
        assert_usage_error(lambda: lib.strategy("multi_worker"), *words)


def test_a_line_says_what_runs_and_one_warns_of_an_unseen_gpu(
    capsys, monkeypatch
):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""

    def said(*arguments, **more):
        devices.announce(*arguments, **more)
        return capsys.readouterr().err

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for files, tool in (([], None), (["/dev/x"], None), ([], "/dev/x")):
        monkeypatch.setattr(devices.glob, "glob", lambda _, f=files: f)
        monkeypatch.setattr(devices.shutil, "which", lambda _, t=tool: t)
        line = said(xla=True, precision="half")
        assert line.startswith("Runs on CPU:0 (") and "no accelerator" in line
        assert "; XLA on; half; operations that need not be determ" in line
        warned = "NVIDIA GPU (/dev/x)" in line, "noisymix_tf[gpu]" in line
        assert warned == (bool(files or tool),) * 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    line = said(lib.strategy("mirrored"), xla=False)
    assert line.startswith("Runs on CPU:0, CPU:1 (") and "XLA off" in line
    assert "NVIDIA" not in line and "XLA" not in said()
