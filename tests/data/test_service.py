"""Batches by way of the tf.data service, in this process and in others."""

import contextlib
import socket

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment, data, data_service
from noisymix_tf.config.service import ServerConfig
from noisymix_tf.data import service
from noisymix_tf.errors import UsageError
from support import door_processes


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A dispatcher and two workers in processes of their own."""
    logs = tmp_path_factory.mktemp("logs")
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
                    log=logs / f"{index}.log",
                )
            )
        yield f"grpc://localhost:{port}"


@contextlib.contextmanager
def _serving(num_workers):
    """A dispatcher and workers in this process; gives the address."""
    dispatcher = service.dispatcher(0, ["localhost"] * num_workers)
    place = dispatcher.target.removeprefix("grpc://")
    workers = [service.worker(place, 0) for _ in range(num_workers)]
    yield dispatcher.target
    for server in (*workers, dispatcher):
        server._stop()


@tf.function(jit_compile=True, autograph=False)
def _negatives(images, seed):
    """Two views; compiled as AugMix is, in a hundredth of the time."""
    offsets = tf.random.stateless_uniform([images.shape[0], 1, 1, 1], seed)
    images = tf.cast(images, tf.float32)
    return tf.stack([images, 255.0 * offsets - images], axis=1)


def _views(**options):
    digits = data.load("digits", train_examples=60)
    return data.views(
        digits.train,
        batch_size=16,
        seed=5,
        standard=augment.random_crop_flip,
        augment=_negatives,
        num_parallel_calls=2,
        **options,
    )


def _arrays(batches, count):
    return [tuple(map(np.asarray, batch)) for batch in batches.take(count)]


def _assert_equal(some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_workers_are_counted(num_workers):
    with _serving(num_workers) as address:
        assert service.count_workers(address) == num_workers


@pytest.mark.parametrize(
    "options", [{}, {"start_step": 4}, {"shard": (1, 2)}], ids=str
)
def test_batches_are_those_made_here_in_the_same_order(cluster, options):
    """Over several epochs of three steps, and from the middle of one."""
    there = _views(service=cluster, **options)
    assert there.element_spec == _views(**options).element_spec
    _assert_equal(_arrays(there, 8), _arrays(_views(**options), 8))


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
    assert int(next(checked)) == 0
    assert int(next(checked)) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="lost a worker"):
        next(checked)


@pytest.mark.parametrize(
    "address",
    [
        "host:5050",
        "grpc://",
        "grpc://host",
        "http://host:1",
        "grpc://h:0",
        None,
        None,
    ],
)
def test_what_is_no_address(address):
    with pytest.raises(UsageError, match="HOST:PORT") as caught:
        service.count_workers(address)
    assert "\n" not in str(caught.value)


def test_a_service_without_a_list_of_workers():
    server = tf.data.experimental.service.DispatchServer()
    worker = service.worker(server.target.removeprefix("grpc://"), 0)
    with pytest.raises(UsageError, match="list of its workers") as caught:
        service.count_workers(server.target)
    assert "no answer" not in str(caught.value)
    assert "\n" not in str(caught.value)
    worker._stop()
    server._stop()


def test_a_service_whose_workers_did_not_start(monkeypatch, capsys):
    """What is waited for is said: 300 seconds are long."""
    server = service.dispatcher(0, ["localhost"])
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    with pytest.raises(UsageError, match="no answer of its workers"):
        service.count_workers(server.target, timeout=0.2)
    said = capsys.readouterr().err
    assert f"Waiting for --data_service={server.target} and its" in said
    assert said.endswith(", up to 0.2 s\n")
    # Ends the client that waits.
    worker = service.worker(server.target.removeprefix("grpc://"), 0)
    assert service.count_workers(server.target) == 1
    worker._stop()
    server._stop()


@pytest.mark.parametrize("place", ["", "host", "host:port", "host:99999"])
def test_a_worker_of_what_is_no_address(place):
    with pytest.raises(UsageError, match=r"nothing answers.*HOST:PORT"):
        service.worker(place, 0)


def test_a_worker_without_its_dispatcher(monkeypatch, capsys):
    """It waited in silence, without end, and not even Ctrl-C ended it."""
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    (port,) = _free_ports(1)
    place = f"localhost:{port}"
    with pytest.raises(UsageError, match=f"--dispatcher={place}: nothing"):
        service.worker(place, 0, timeout=0.2)
    said = f"Waiting for the dispatcher {place}, up to 0.2 s\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none(port):
    """TensorFlow listened elsewhere."""
    with pytest.raises(UsageError, match=r"--port=.* must be from 0 to 65535"):
        ServerConfig(port=port)


@pytest.mark.parametrize(
    "config",
    [
        ServerConfig(),
        ServerConfig(workers=("a",), dispatcher="b:1"),
    ],
)
def test_neither_dispatcher_nor_worker(config):
    with pytest.raises(UsageError, match="--workers=HOST"):
        data_service.start(config)
