"""Batches by way of the tf.data service, in this process and in others."""

import contextlib
import socket

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment, data, data_service
from noisymix_tf.config.service import ServerConfig
from noisymix_tf.data import service
from support import door_processes
from support.usage import assert_usage_error


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def cluster(tmp_path):
    """A dispatcher and two workers in processes of their own."""
    port, *ports = _free_ports(3)
    listed = ",".join(f"localhost:{p}" for p in ports)
    commands = [[f"--port={port}", f"--workers={listed}"]]
    commands += [
        [f"--dispatcher=localhost:{port}", f"--port={p}"] for p in ports
    ]
    with contextlib.ExitStack() as servers:
        for index, arguments in enumerate(commands):
            servers.enter_context(
                door_processes.Process(
                    "noisymix_tf.data_service",
                    *arguments,
                    log=tmp_path / f"{index}.log",
                )
            )
        yield f"grpc://localhost:{port}"


@pytest.fixture
def serving():
    """Starts a dispatcher and workers in this process; gives the address."""
    servers = []

    def start(workers, listed=None):
        listed = workers if listed is None else listed
        servers.append(service.dispatcher(0, ["localhost"] * listed))
        place = servers[0].target.removeprefix("grpc://")
        servers.extend(service.worker(place, 0) for _ in range(workers))
        return servers[0].target

    yield start
    for server in reversed(servers):
        server._stop()


@tf.function(jit_compile=True, autograph=False)
def _negatives(images, seed):
    """Two views; compiled as AugMix is, in a hundredth of the time."""
    offsets = tf.random.stateless_uniform([images.shape[0], 1, 1, 1], seed)
    images = tf.cast(images, tf.float32)
    return tf.stack([images, 255.0 * offsets - images], axis=1)


def test_batches_are_those_made_here_in_the_same_order(cluster):
    """Parts of batches over several epochs, from the middle of one."""
    images = np.random.default_rng(0).integers(0, 256, [60, 8, 8, 3], "u1")
    split = data.ArraySplit(images, range(60))

    def views(**options):
        return data.views(
            split,
            batch_size=16,
            seed=5,
            start_step=4,
            shard=(1, 2),
            standard=augment.random_crop_flip,
            augment=_negatives,
            num_parallel_calls=2,
            **options,
        )

    there, here = views(service=cluster), views()
    assert there.element_spec == here.element_spec
    pairs = list(tf.data.Dataset.zip(there, here).take(8))
    assert len(pairs) == 8
    for theirs, ours in pairs:
        np.testing.assert_array_equal(theirs[0], ours[0])
        np.testing.assert_array_equal(theirs[1], ours[1])


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_workers_are_counted(serving, num_workers):
    assert service.count_workers(serving(num_workers)) == num_workers


# Workers do not take turns as a test would have it, nor get lost when asked:
# the next two tests look at the private steps that put batches in order.


def test_order_is_restored_however_workers_take_turns():
    arrival = [5, 7, 6, 9, 8, 11, 13, 10, 12]
    batches = tf.data.Dataset.from_tensor_slices(
        (tf.constant(arrival, tf.int64), tf.constant(arrival) * 10)
    )
    ordered = service._in_order(batches, 2, start_step=5)
    assert [int(step) for step, _ in ordered] == list(range(5, 13))
    assert [int(value) for _, value in ordered] == list(range(50, 130, 10))


def test_a_lost_batch_is_noticed():
    numbered = tf.data.Dataset.from_tensor_slices(
        (tf.constant([3, 4, 6], tf.int64), tf.constant([0, 1, 2]))
    )
    checked = iter(numbered.enumerate(3).map(service._checked))
    assert [int(next(checked)) for _ in range(2)] == [0, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="lost a worker"):
        next(checked)


def test_batches_that_python_reads_are_refused():
    split = data.FileSplit(["a.bmp"], [0], 8)
    words = "--data_service=grpc://h:1 cannot make batches of BMP images"
    assert_usage_error(
        lambda: data.views(split, batch_size=1, service="grpc://h:1"), words
    )


@pytest.mark.parametrize(
    "address",
    [
        "host:5050",
        "grpc://",
        "grpc://host",
        "http://host:1",
        "grpc://h:0",
        None,
    ],
)
def test_what_is_no_address(address):
    assert_usage_error(lambda: service.count_workers(address), "HOST:PORT")


@pytest.mark.parametrize("place", ["", "host", "host:port", "host:99999"])
def test_a_worker_of_what_is_no_address(place):
    words = ("nothing answers", "HOST:PORT")
    assert_usage_error(lambda: service.worker(place, 0), *words)


def test_a_service_without_a_list_of_workers(serving):
    address = serving(1, listed=0)
    words = "list of its workers"
    line = assert_usage_error(lambda: service.count_workers(address), words)
    assert "no answer" not in line


def test_a_service_whose_workers_did_not_start(serving, monkeypatch, capsys):
    """What is waited for is said: 300 seconds are long."""
    address = serving(0, listed=1)
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    assert_usage_error(
        lambda: service.count_workers(address, timeout=0.2),
        "no answer of its workers",
    )
    said = capsys.readouterr().err
    assert f"Waiting for --data_service={address} and its" in said
    assert said.endswith(", up to 0.2 s\n")
    # Ends the client that waits.
    worker = service.worker(address.removeprefix("grpc://"), 0)
    assert service.count_workers(address) == 1
    worker._stop()


def test_a_worker_without_its_dispatcher(monkeypatch, capsys):
    """It waited in silence, without end, and not even Ctrl-C ended it."""
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    place = f"localhost:{_free_ports(1)[0]}"
    assert_usage_error(
        lambda: service.worker(place, 0, timeout=0.2),
        f"--dispatcher={place}: nothing",
    )
    said = f"Waiting for the dispatcher {place}, up to 0.2 s\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "config",
    [ServerConfig(), ServerConfig(workers=("a",), dispatcher="b:1")],
)
def test_neither_dispatcher_nor_worker(config):
    assert_usage_error(lambda: data_service.start(config), "--workers=HOST")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port):
    """TensorFlow listened elsewhere."""
    words = ("--port=", "must be from 0 to 65535")
    assert_usage_error(lambda: ServerConfig(port=port), *words)
