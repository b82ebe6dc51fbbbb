"""Two processes on this machine that train together, as on a cluster."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

# Two processes and the restarts of one take six minutes on two cores.
pytestmark = pytest.mark.skipif(
    "NOISYMIX_CLUSTER_TESTS" not in os.environ,
    reason="six minutes long: set NOISYMIX_CLUSTER_TESTS=1",
)

ROOT = pathlib.Path(__file__).resolve().parents[1]
TINY = (
    "--flagfile=flags/quickstart.flags",
    "--train_examples=100",
    "--test_examples=50",
    "--batch_size=20",
    "--epochs=2",
    "--checkpoint_steps=2",
    "--suites=clean",
    "--notensorboard",
    "--noexport",
)
_TIMEOUT = 600


def _start(folder, logs, *more):
    """Starts both machines; returns their processes, the chief first."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    machines = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": hosts}, "task": task}
        with open(logs / f"{index}.log", "w") as log:
            machines.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        *("-m", "noisymix_tf.train", *TINY),
                        *("--strategy=multi_worker", f"--output_dir={folder}"),
                        *more,
                    ],
                    cwd=ROOT,
                    env={
                        **os.environ,
                        "TF_CONFIG": json.dumps(config),
                        "TMPDIR": str(logs),
                    },
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return machines


def _run(folder, logs, *more):
    machines = _start(folder, logs, *more)
    try:
        codes = [machine.wait(_TIMEOUT) for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert codes == [0, 0], (logs / "0.log").read_text()[-2000:]


def _weights(folder):
    return keras.models.load_model(folder / "model.keras").get_weights()


def _epochs(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """An uninterrupted run of NoisyMix by two machines."""
    folder = tmp_path_factory.mktemp("together")
    logs = tmp_path_factory.mktemp("logs")
    _run(folder / "run", logs, "--validation_epochs=1")
    return folder / "run", logs


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1], ids=["chief", "other"])
def test_a_killed_machine_ends_the_other_and_both_go_on(
    together, tmp_path, victim
):
    folder = tmp_path / "run"
    machines = _start(folder, tmp_path, "--validation_epochs=1")
    try:
        deadline = time.monotonic() + _TIMEOUT
        while not list(folder.glob("checkpoints/step-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        machines[victim].kill()
        survivor = machines[1 - victim]
        # Well before it would give up waiting for the network.
        assert survivor.wait(90) == 75
    finally:
        for machine in machines:
            machine.kill()
            machine.wait()
    said = (tmp_path / f"{1 - victim}.log").read_text()
    assert "another machine of this training has gone" in said
    assert not (folder / "model.keras").exists()
    _run(folder, tmp_path, "--validation_epochs=1")
    assert "Continued from step" in (tmp_path / "0.log").read_text()
    for a, b in zip(_weights(together[0]), _weights(folder)):
        np.testing.assert_array_equal(a, b)
    # Not the validation: each machine's has moving statistics of its own, which
    # a start from a checkpoint makes those of the chief.
    for a, b in zip(_epochs(together[0]), _epochs(folder)):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
