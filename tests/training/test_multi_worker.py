"""Two processes on this machine that train together, as on a cluster."""

import contextlib
import json
import signal
import socket
import time

import keras
import pytest

from support import door_processes
from support.trainings import assert_equal, log_of

pytestmark = pytest.mark.slow

TINY = """--flagfile=flags/data/digits.flags --flagfile=flags/method/nfm.flags
    --model=tiny --taps=normalize,stage1 --batch_size=20 --train_examples=100
    --test_examples=50 --epochs=12 --checkpoint_steps=2 --validation_epochs=4
    --suites=clean --notensorboard --noexport --noise_scale=std""".split()
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
def _machines(folder, logs):
    free = "127.0.0.1", 0
    with socket.create_server(free) as one, socket.create_server(free) as two:
        hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    words = *TINY, "--strategy=multi_worker", f"--output_dir={folder}"

    def start(index):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": hosts}, "task": task}
        given = {"TF_CONFIG": json.dumps(config), "TMPDIR": str(logs)}
        given = {"log": logs / f"{index}.log", "environment": given}
        return door_processes.Process("support.tiny_network", *words, **given)

    with start(0) as chief, start(1) as other:
        yield chief, other


def _said(logs):
    return [(logs / f"{index}.log").read_text() for index in range(2)]


def _run(folder, logs):
    with _machines(folder, logs) as machines:
        codes = [machine.wait() for machine in machines]
    said = _said(logs)
    assert codes == [0, 0], said[0][-2000:]
    return said


def _newest(folder):
    paths = folder.glob("checkpoints/step-*")
    return max((int(path.name[5:]) for path in paths), default=0)


def _assert_same(one, other):
    """To the last bit, but for validation, where statistics are one's own."""
    models = [keras.models.load_model(f / "model.keras") for f in (one, other)]
    assert_equal(models[0].get_weights(), models[1].get_weights())
    losses = [[line["loss"] for line in log_of(f)] for f in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def _end_early(folder, logs, index, number):
    """Starts both machines, sends one a signal; returns the return codes."""
    with _machines(folder, logs) as machines:
        before = _newest(folder)
        while _newest(folder) == before:
            assert machines[0].is_running()
            time.sleep(0.01)
        machines[index].send_signal(number)
        # Well before the other would give up waiting for the network.
        return [machine.wait(90) for machine in machines]


def test_two_machines_are_two_devices_and_the_chief_writes(tmp_path):
    """Both end when one does, and go on exactly."""
    together, devices, folder = (tmp_path / name for name in "abc")
    said = _run(together, tmp_path)
    names = {"checkpoints", "evaluation", "metrics.jsonl", "model.keras"}
    assert {path.name for path in together.iterdir()} >= names
    # What the other machine needed for itself is gone.
    assert not list(tmp_path.glob("noisymix-*"))
    assert "number 0, the chief" in said[0] and "number 1)" in said[1]
    assert "own part of each batch" in said[0] and "10 images each" in said[1]
    assert str(together) not in said[1]
    more = "--strategy=mirrored", f"--output_dir={devices}"
    done = door_processes.run(door_processes.SCRIPT, _TWO_DEVICES, *more)
    assert done.returncode == 0, done.stderr
    _assert_same(together, devices)
    # One that schedulers announce ends with a checkpoint.
    assert _end_early(folder, tmp_path, 1, signal.SIGTERM) == [75, 75]
    for text in _said(tmp_path):
        assert f"preempted: saved at step {_newest(folder)};" in text
    for victim in range(2):
        codes = _end_early(folder, tmp_path, victim, signal.SIGKILL)
        assert codes[victim] == -signal.SIGKILL and codes[1 - victim] == 75
        said = _said(tmp_path)[1 - victim]
        assert "another machine of this training has gone" in said
        assert not (folder / "model.keras").exists()
    words = f"Continued from step {_newest(folder)}."
    assert words in _run(folder, tmp_path)[0]
    _assert_same(together, folder)
