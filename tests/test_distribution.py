"""The strategy by name, and what is asked about it."""

import json

import pytest
import tensorflow as tf

from noisymix_tf import distribution
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    ("gpus", "auto", "mirrored"), [(0, None, 2), (1, None, 1), (2, 2, 2)]
)
def test_strategies_of_one_machine(monkeypatch, gpus, auto, mirrored):
    """Devices are made up: CPUs under the name of GPUs."""
    cpus = tf.config.list_logical_devices("CPU")[:2]
    devices = {"GPU": cpus[:gpus], "CPU": cpus}
    monkeypatch.setattr(tf.config, "list_logical_devices", devices.get)
    for name, wanted in (
        ("auto", auto),
        ("mirrored", mirrored),
        ("single", None),
    ):
        made = distribution.strategy(name)
        assert (made is None) == (wanted is None)
        assert distribution.num_replicas(made) == (wanted or 1)
        # A second default strategy of a process breaks.
        assert distribution.strategy(name) is made
    assert isinstance(
        distribution.strategy("mirrored"), tf.distribute.MirroredStrategy
    )


def test_one_machine_is_its_own_chief():
    error = tf.errors.UnavailableError(None, None, "gone")
    for made in (None, distribution.strategy("mirrored")):
        assert distribution.is_chief(made)
        assert not distribution.has_many_machines(made)
        assert not distribution.is_lost_machine(made, error)
        with distribution.scope(made):
            assert tf.distribute.has_strategy() == (made is not None)
        distribution.check_batch(made, 8)
        distribution.check_jit(made, made is None)
        distribution.check_accumulation(made, 1)


def _two():
    return distribution.strategy("mirrored")


def _alone():
    return tf.distribute.MirroredStrategy(["CPU:0"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: distribution.strategy("gpu"), ("'gpu'", "single, mirrored")),
        (lambda: distribution.strategy(None), ("None", "auto, single, mir")),
        (lambda: distribution.check_batch(_two(), 7), ("=7 ", "such as 6")),
        (lambda: distribution.check_batch(_two(), 1), ("=1 ", "such as 2")),
        (lambda: distribution.check_jit(_two(), True), ("--jit_compile=true",)),
        (
            lambda: distribution.check_accumulation(_alone(), 2),
            ("--accumulation_steps=2", "MirroredStrategy"),
        ),
        (lambda: distribution.strategy("tpu", "local"), ("No TPU was found",)),
        (
            lambda: distribution.strategy("tpu", "grpc://127.0.0.1:1"),
            ("No TPU was found as --tpu=grpc",),
        ),
        (lambda: distribution.strategy("auto", "me"), ("--tpu=me belongs",)),
    ],
)
def test_mistakes_are_one_line(call, words):
    assert_usage_error(call, *words)


def _cluster(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


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
    call = lambda: distribution.strategy("multi_worker")  # noqa: E731
    assert_usage_error(call, "TF_CONFIG", '"cluster"')
