"""The strategy by name, and what is asked about it."""

import json

import pytest
import tensorflow as tf

from noisymix_tf import distribution
from noisymix_tf.errors import UsageError

GPUS = len(tf.config.list_logical_devices("GPU"))
CPUS = len(tf.config.list_logical_devices("CPU"))


def test_all_devices_of_a_kind():
    mirrored = distribution.strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert mirrored.num_replicas_in_sync == (GPUS or CPUS)
    assert distribution.num_replicas(mirrored) == (GPUS or CPUS)


def test_the_same_devices_have_one_strategy():
    """A second default strategy of a process breaks."""
    assert distribution.strategy("mirrored") is distribution.strategy(
        "mirrored"
    )


def test_one_device():
    assert distribution.strategy("single") is None
    assert distribution.strategy("auto") is distribution.strategy() is None or (
        GPUS > 1
    )
    assert distribution.num_replicas(None) == 1
    assert distribution.is_chief(None)
    assert not distribution.has_many_machines(None)
    with distribution.scope(None):
        assert not tf.distribute.has_strategy()


@pytest.mark.parametrize(
    ("gpus", "auto", "mirrored"), [(0, None, 2), (1, None, 1), (2, 2, 2)]
)
def test_auto_takes_several_gpus(monkeypatch, gpus, auto, mirrored):
    """Devices are made up: CPUs under the name of GPUs."""
    cpus = tf.config.list_logical_devices("CPU")[:2]

    def devices(kind):
        return {"GPU": cpus[:gpus], "CPU": cpus}[kind]

    monkeypatch.setattr(tf.config, "list_logical_devices", devices)
    for name, wanted in (
        ("auto", auto),
        ("mirrored", mirrored),
        ("single", None),
    ):
        made = distribution.strategy(name)
        if wanted is None:
            assert made is None
        else:
            assert made.num_replicas_in_sync == wanted


@pytest.mark.parametrize("name", ["gpu", "", None, "Mirrored"])
def test_unknown_names(name):
    with pytest.raises(UsageError, match="auto, single, mirrored") as caught:
        distribution.strategy(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def _cluster(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    "config",
    [
        None,
        "",
        "not JSON",
        "[]",
        "{}",
        _cluster({"type": "worker", "index": 2}, worker=["a:1", "b:1"]),
        _cluster({"type": "ps", "index": 0}, ps=["a:1"]),
        _cluster({"type": "worker"}, worker=["a:1"]),
        _cluster({"type": "worker", "index": 0}, worker=[1]),
    ],
)
def test_what_is_no_cluster(monkeypatch, config):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match="TF_CONFIG") as caught:
        distribution.strategy("multi_worker")
    assert '"cluster"' in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "local", "grpc://127.0.0.1:1"])
def test_no_tpu_is_found(name):
    with pytest.raises(UsageError, match="No TPU was found") as caught:
        distribution.strategy("tpu", name)
    assert "\n" not in str(caught.value)


def test_a_tpu_needs_its_strategy():
    with pytest.raises(UsageError, match="--tpu=mine belongs"):
        distribution.strategy("mirrored", "mine")


@pytest.mark.parametrize(
    ("batch_size", "advice"), [(7, "such as 6"), (1, "such as 2")]
)
def test_a_batch_that_devices_cannot_share(batch_size, advice):
    two = distribution.strategy("mirrored")
    if two.num_replicas_in_sync != 2:
        pytest.skip("for two devices")
    distribution.check_batch(None, batch_size)
    distribution.check_batch(two, 8)
    with pytest.raises(UsageError, match=advice) as caught:
        distribution.check_batch(two, batch_size)
    assert f"--batch_size={batch_size}" in str(caught.value)


def test_no_single_program_for_many_devices():
    distribution.check_jit(None, True)
    two = distribution.strategy("mirrored")
    distribution.check_jit(two, False)
    if two.num_replicas_in_sync > 1:
        with pytest.raises(UsageError, match="--jit_compile=true"):
            distribution.check_jit(two, True)


def test_errors_of_one_machine_are_not_of_a_lost_one():
    error = tf.errors.UnavailableError(None, None, "gone")
    assert not distribution.is_lost_machine(None, error)
    assert not distribution.is_lost_machine(
        distribution.strategy("mirrored"), error
    )
