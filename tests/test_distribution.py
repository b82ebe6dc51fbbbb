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


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda two: lib.strategy("gpu"), "'gpu': choose auto, single, mirr"),
        (lambda two: lib.strategy(None), "None: choose auto, single"),
        (lambda two: lib.check_batch(two, 7), "=7 does not"),
        (lambda two: lib.check_batch(two, 7), "such as 6"),
        (lambda two: lib.check_batch(two, 1), "such as 2"),
        (lambda two: lib.check_jit(two, True), "--jit_compile=true"),
        (lambda two: lib.check_accumulation(two, 2), "MirroredStrategy"),
        (lambda two: lib.strategy("tpu", "local"), "No TPU was found"),
        (lambda two: lib.strategy("tpu", "grpc://127.0.0.1:1"), "--tpu=grpc"),
        (lambda two: lib.strategy("auto", "mine"), "--tpu=mine belongs"),
    ],
)
def test_mistakes_are_one_line(call, words):
    assert_usage_error(lambda: call(lib.strategy("mirrored")), words)


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


def _said(capsys, *arguments, **more):
    devices.announce(*arguments, **more)
    return capsys.readouterr().err


def test_a_line_says_what_runs_and_one_warns_of_an_unseen_gpu(
    determinism, capsys, monkeypatch
):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for files, tool in (([], None), (["/dev/x"], None), ([], "/dev/x")):
        monkeypatch.setattr(devices.glob, "glob", lambda _, f=files: f)
        monkeypatch.setattr(devices.shutil, "which", lambda _, t=tool: t)
        said = _said(capsys, xla=True, precision="half")
        assert said.startswith("Runs on CPU:0 (") and "no accelerator" in said
        assert "; XLA on; half; deterministic operations\n" in said
        assert ("NVIDIA GPU (/dev/x)" in said) == bool(files or tool)
        assert ('pip install "noisymix_tf[gpu]"' in said) == bool(files or tool)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "NVIDIA" not in _said(capsys)


def test_the_line_names_all_devices_and_only_what_is_known(capsys):
    said = _said(capsys, lib.strategy("mirrored"), xla=False)
    assert said.startswith("Runs on CPU:0, CPU:1 (") and "XLA off" in said
    assert "; operations that need not be deterministic\n" in said
    assert "XLA" not in _said(capsys)
