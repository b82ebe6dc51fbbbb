"""Batches by way of the tf.data service, in this process and in others."""

import contextlib
import functools
import socket

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment, data
from noisymix_tf.commands import data_service
from noisymix_tf.data import service
from support import door_processes
from support.released_sets import noise
from support.usage import assert_usage_error as refused


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        return [s.bind(("", 0)) or s.getsockname()[1] for s in sockets]


def test_batches_are_those_made_here_in_the_same_order(prepared, tmp_path):
    """By processes of their own: parts of batches, from within an epoch."""
    first, *others = (f"localhost:{port}" for port in free_ports(3))
    lines = [f"--port={first[10:]} --workers={','.join(others)}"]
    lines += [f"--dispatcher={first} --port={place[10:]}" for place in others]
    read = {"image_size": 8, "read": "sequential"}
    read["data_dir"] = prepared["tfrecord"]
    arrays = data.ArraySplit(noise(60, 8, 8, 3), range(60))
    records = data.load("imagenet", **read).train
    options = {"batch_size": 16, "seed": 5, "start_step": 4, "shard": (1, 2)}
    # The views are compiled as AugMix is, in a hundredth of the time.
    options["standard"] = augment.random_crop_flip
    options["augment"] = augment.gaussian_views
    with contextlib.ExitStack() as servers:
        for line in lines:
            log = tmp_path / f"{line}.log"
            server = ("noisymix_tf", "data-service", *line.split())
            servers.enter_context(door_processes.Process(*server, log=log))
        crop = data.RandomResizedCrop()
        for split, options["crop"] in ((arrays, None), (records, crop)):
            there = data.views(split, service=f"grpc://{first}", **options)
            here = data.views(split, **options)
            assert there.element_spec == here.element_spec
            for pairs in zip(there.take(5), here):
                for theirs, ours in zip(*pairs, strict=True):
                    np.testing.assert_array_equal(theirs, ours)

    # Order is restored, and a lost batch noticed. Privately, here and below:
    # workers take no turns that a test wants.
    def arrival(*steps):
        steps = tf.constant(steps, tf.int64)
        return tf.data.Dataset.from_tensor_slices((steps, steps * 10))

    batches = arrival(6, 8, 5, 10, 7, 9, 11, 12)
    ordered = service._in_order(batches, 2, start_step=5)
    assert [*ordered.as_numpy_iterator()] == [*range(50, 130, 10)]
    checked = iter(service._in_order(arrival(3, 4, 6), 1, start_step=3))
    assert [int(next(checked)) for _ in range(2)] == [30, 40]
    with pytest.raises(tf.errors.InvalidArgumentError, match="lost a worker"):
        next(checked)


def test_who_waits_for_others_says_so_and_ends(monkeypatch, capsys):
    """It waited in silence, without end, and not even Ctrl-C ended it."""
    # Private: it is three seconds.
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    count, worker = service.count_workers, data_service.worker
    listed = [], ["localhost"]
    servers = [data_service.dispatcher(0, each) for each in listed]
    unlisted, address = (server.target for server in servers)
    servers.append(worker(unlisted.removeprefix("grpc://"), 0))
    said = refused(lambda: count(unlisted), "list of its workers")
    assert "no answer" not in said
    call = functools.partial(count, address, timeout=0.2)
    refused(call, "no answer of its workers")
    said = capsys.readouterr().err
    assert f"Waiting for --data_service={address} and its" in said
    assert said.endswith(", up to 0.2 s\n")
    # Ends the client that waits.
    servers.append(worker(address.removeprefix("grpc://"), 0))
    assert count(address) == 1
    for server in reversed(servers):
        server._stop()
    place = f"localhost:{free_ports(1)[0]}"
    call = functools.partial(worker, place, 0, timeout=0.2)
    refused(call, f"--dispatcher={place}: nothing")
    said = f"Waiting for the dispatcher {place}, up to 0.2 s\n"
    assert capsys.readouterr().err.endswith(said)
