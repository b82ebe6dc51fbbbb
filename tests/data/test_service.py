"""Batches by way of the tf.data service, in this process and in others."""

import contextlib
import functools
import socket

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment, data, data_service
from noisymix_tf.config.service import ServerConfig
from noisymix_tf.data import service
from support import door_processes
from support.usage import assert_usage_error


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def cluster(tmp_path):
    """A dispatcher and two workers in processes of their own."""
    port, *ports = free_ports(3)
    place = f"localhost:{port}"
    listed = ",".join(f"localhost:{p}" for p in ports)
    commands = [[f"--port={port}", f"--workers={listed}"]]
    commands += [[f"--dispatcher={place}", f"--port={p}"] for p in ports]
    with contextlib.ExitStack() as servers:
        for index, line in enumerate(commands):
            log = tmp_path / f"{index}.log"
            server = ("noisymix_tf.data_service", *line)
            servers.enter_context(door_processes.Process(*server, log=log))
        yield f"grpc://{place}"


@pytest.fixture
def serving():
    """Starts a dispatcher and workers in this process; gives the address."""
    servers = []

    def start(workers, listed):
        servers.append(service.dispatcher(0, ["localhost"] * listed))
        place = servers[0].target.removeprefix("grpc://")
        servers.extend(service.worker(place, 0) for _ in range(workers))
        return servers[0].target

    yield start
    for server in reversed(servers):
        server._stop()


@tf.function(jit_compile=True, autograph=False)
def negatives(images, seed):
    """Two views; compiled as AugMix is, in a hundredth of the time."""
    offsets = tf.random.stateless_uniform([images.shape[0], 1, 1, 1], seed)
    images = tf.cast(images, tf.float32)
    return tf.stack([images, 255.0 * offsets - images], axis=1)


def test_batches_are_those_made_here_in_the_same_order(cluster):
    """Parts of batches over several epochs, from the middle of one."""
    images = np.random.default_rng(0).integers(0, 256, [60, 8, 8, 3], "u1")
    there, here = (
        data.views(
            data.ArraySplit(images, range(60)),
            batch_size=16,
            seed=5,
            start_step=4,
            shard=(1, 2),
            standard=augment.random_crop_flip,
            augment=negatives,
            num_parallel_calls=2,
            service=address,
        )
        for address in (cluster, None)
    )
    assert there.element_spec == here.element_spec
    for theirs, ours in tf.data.Dataset.zip(there, here).take(8):
        np.testing.assert_array_equal(theirs[0], ours[0])
        np.testing.assert_array_equal(theirs[1], ours[1])


def test_order_is_restored_however_workers_take_turns():
    # Privately, here and below: workers take no turns that a test wants.
    arrival = [5, 7, 6, 9, 8, 11, 13, 10, 12]
    batches = tf.data.Dataset.from_tensor_slices(
        (tf.constant(arrival, tf.int64), tf.constant(arrival) * 10)
    )
    ordered = service._in_order(batches, 2, start_step=5)
    steps, values = zip(*ordered.as_numpy_iterator())
    assert steps == (*range(5, 13),) and values == (*range(50, 130, 10),)


def test_a_lost_batch_is_noticed():
    numbered = tf.data.Dataset.from_tensor_slices(
        (tf.constant([3, 4, 6], tf.int64), tf.constant([0, 1, 2]))
    )
    checked = iter(numbered.enumerate(3).map(service._checked))
    assert [int(next(checked)) for _ in range(2)] == [0, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="lost a worker"):
        next(checked)


def test_a_service_without_a_list_of_workers(serving):
    call = functools.partial(service.count_workers, serving(1, listed=0))
    assert "no answer" not in assert_usage_error(call, "list of its workers")


def test_a_service_whose_workers_did_not_start(serving, monkeypatch, capsys):
    """What is waited for is said: 300 seconds are long."""
    address = serving(0, listed=1)
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    call = functools.partial(service.count_workers, address, timeout=0.2)
    assert_usage_error(call, "no answer of its workers")
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
    place = f"localhost:{free_ports(1)[0]}"
    call = functools.partial(service.worker, place, 0, timeout=0.2)
    assert_usage_error(call, f"--dispatcher={place}: nothing")
    said = f"Waiting for the dispatcher {place}, up to 0.2 s\n"
    assert capsys.readouterr().err == said


count, worker = service.count_workers, service.worker
start, Config = data_service.start, ServerConfig
FILES = [data.FileSplit([name], [0], 8) for name in ("a.png", "a.bmp")]
JOINED = data.JoinedSplit(FILES)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: count("host:5050"), "HOST:PORT"),
        (lambda: count("grpc://"), "HOST:PORT"),
        (lambda: count("grpc://host"), "HOST:PORT"),
        (lambda: count("http://host:1"), "HOST:PORT"),
        (lambda: count("grpc://h:0"), "HOST:PORT"),
        (lambda: count(None), "HOST:PORT"),
        (lambda: worker("", 0), "nothing answers"),
        (lambda: worker("host:port", 0), "HOST:PORT"),
        (lambda: worker("host:99999", 0), "HOST:PORT"),
        # TensorFlow listened elsewhere.
        (lambda: Config(port=-1), "must be from 0 to 65535"),
        (lambda: Config(port=65536), "must be from 0 to 65535"),
        (lambda: start(Config()), "--workers=HOST"),
        (lambda: start(Config(workers=("a",), dispatcher="b:1")), "--workers="),
        (
            lambda: data.views(JOINED, batch_size=1, service="grpc://h:1"),
            "--data_service=grpc://h:1 cannot make batches of BMP images",
        ),
    ],
)
def test_bad_input_is_one_line(call, words):
    assert_usage_error(call, words)
