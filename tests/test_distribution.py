"""The strategy by name, and what is asked about it."""

import json

import pytest
import tensorflow as tf

from noisymix_tf import distribution as lib
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    ("gpus", "auto", "mirrored"), [(0, None, 2), (1, None, 1), (2, 2, 2)]
)
def test_strategies_of_one_machine(monkeypatch, gpus, auto, mirrored):
    """Devices are made up: CPUs under the name of GPUs."""
    cpus = tf.config.list_logical_devices("CPU")[:2]
    devices = {"GPU": cpus[:gpus], "CPU": cpus}
    monkeypatch.setattr(tf.config, "list_logical_devices", devices.get)
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


def _cluster(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda two: lib.strategy("gpu"), "'gpu': choose auto, single, mirr"),
        (lambda two: lib.strategy(None), "None: choose auto, single"),
        (lambda two: lib.check_batch(two, 7), "--batch_size=7 does not"),
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


@pytest.mark.parametrize(
    "config",
    [
        "",
        "not JSON",
        "[]",
        _cluster({"type": "worker", "index": 2}, worker=["a:1", "b:1"]),
        _cluster({"type": "ps", "index": 0}, ps=["a:1"]),
        _cluster({"type": "worker"}, worker=["a:1"]),
        _cluster({"type": "worker", "index": 0}, worker=[1]),
    ],
)
def test_what_is_no_cluster(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    made = lambda: lib.strategy("multi_worker")  # noqa: E731
    assert_usage_error(made, "TF_CONFIG", '"cluster"')
