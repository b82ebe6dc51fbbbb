"""Two processes on this machine that train together, as on a cluster."""

import contextlib
import json
import os
import signal
import socket
import time

import keras
import numpy as np
import pytest

from support import door_processes

pytestmark = pytest.mark.slow

STEPS = 60
TINY = (
    "--flagfile=flags/data/digits.flags",
    "--flagfile=flags/method/nfm.flags",
    "--model=tiny",
    "--taps=normalize,stage1",
    "--train_examples=100",
    "--test_examples=50",
    "--batch_size=20",
    f"--epochs={STEPS // 5}",
    "--checkpoint_steps=2",
    "--suites=clean",
    "--notensorboard",
    "--noexport",
)
# The same command, by two devices of one process.
_TWO_DEVICES = f"""
import runpy, sys, tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
sys.argv = ["train", *{TINY}, *sys.argv[1:]]
runpy.run_module("support.tiny_network", run_name="__main__", alter_sys=True)
"""


@contextlib.contextmanager
def _machines(folder, logs, *more):
    """Starts both machines; gives their processes, the chief first."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    with contextlib.ExitStack() as stack:
        machines = []
        for index in range(2):
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": hosts}, "task": task}
            machine = door_processes.Process(
                "support.tiny_network",
                *TINY,
                "--strategy=multi_worker",
                f"--output_dir={folder}",
                *more,
                log=logs / f"{index}.log",
                environment={
                    "TF_CONFIG": json.dumps(config),
                    "TMPDIR": str(logs),
                },
            )
            machines.append(stack.enter_context(machine))
        yield machines


def _run(folder, logs, *more):
    with _machines(folder, logs, *more) as machines:
        codes = [machine.wait() for machine in machines]
    assert codes == [0, 0], (logs / "0.log").read_text()[-2000:]


def _newest(folder):
    """Step of the newest checkpoint, 0 without one."""
    paths = folder.glob("checkpoints/step-*")
    return max((int(path.name[5:]) for path in paths), default=0)


def _weights(folder):
    return keras.models.load_model(folder / "model.keras").get_weights()


def _epochs(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """An uninterrupted run by two machines."""
    folder = tmp_path_factory.mktemp("together")
    logs = tmp_path_factory.mktemp("logs")
    _run(folder / "run", logs, "--validation_epochs=4")
    return folder / "run", logs


def test_only_the_chief_writes(together):
    folder, logs = together
    assert {path.name for path in folder.iterdir()} >= {
        "checkpoints",
        "evaluation",
        "flags.txt",
        "metrics.jsonl",
        "model.keras",
    }
    # What the other machine needed for itself is gone.
    assert not list(logs.glob("noisymix-*"))
    said = [(logs / f"{index}.log").read_text() for index in range(2)]
    assert "number 0, the chief" in said[0]
    assert "number 1)" in said[1]
    for text in said:
        assert "own part of each batch" in text
        assert f"{20 // 2} images each" in text
    assert str(folder) not in said[1]


def test_two_machines_are_two_devices(together, tmp_path):
    """Of one machine, to the last bit."""
    folder = tmp_path / "run"
    done = door_processes.run(
        door_processes.SCRIPT,
        _TWO_DEVICES,
        "--strategy=mirrored",
        f"--output_dir={folder}",
    )
    assert done.returncode == 0, done.stderr
    for a, b in zip(_weights(together[0]), _weights(folder), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(_epochs(together[0]), _epochs(folder), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)


def _end_early(folder, logs, index, number):
    """Starts both machines, sends one a signal; returns the return codes."""
    with _machines(folder, logs, "--validation_epochs=4") as machines:
        before = _newest(folder)
        deadline = time.monotonic() + 300
        while _newest(folder) == before:
            assert machines[0].is_running() and time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(machines[index].pid, number)
        # Well before the other would give up waiting for the network.
        return [machine.wait(90) for machine in machines]


def test_both_end_when_one_does_and_go_on_exactly(together, tmp_path):
    folder = tmp_path / "run"
    # One that schedulers announce ends with a checkpoint.
    assert _end_early(folder, tmp_path, 1, signal.SIGTERM) == [75, 75]
    step = _newest(folder)
    for index in range(2):
        text = (tmp_path / f"{index}.log").read_text()
        assert f"preempted: saved at step {step};" in text
    for victim in range(2):
        codes = _end_early(folder, tmp_path, victim, signal.SIGKILL)
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] == 75
        said = (tmp_path / f"{1 - victim}.log").read_text()
        assert "another machine of this training has gone" in said
        assert not (folder / "model.keras").exists()
    step = _newest(folder)
    _run(folder, tmp_path, "--validation_epochs=4")
    said = (tmp_path / "0.log").read_text()
    assert f"Continued from step {step}." in said
    for a, b in zip(_weights(together[0]), _weights(folder), strict=True):
        np.testing.assert_array_equal(a, b)
    # Not the validation: each machine's has moving statistics of its own, which
    # a start from a checkpoint makes those of the chief.
    for a, b in zip(_epochs(together[0]), _epochs(folder), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
