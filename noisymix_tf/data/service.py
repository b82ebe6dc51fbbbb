"""Batches made on other machines, by the tf.data service.

    python -m noisymix_tf.data_service --port=5050 --workers=host1,host2
    python -m noisymix_tf.data_service --dispatcher=host0:5050 --port=5051

Every worker makes every W-th batch, where W is the number of workers, and the
trainer puts them in order again: it sees the batches that it would have made
itself, and can start at any step. A service is for one trainer at a time: with
two, workers of few cores were seen to wait without end.
"""

import os
import queue
import socket
import sys
import threading
import time

import tensorflow as tf

from noisymix_tf.errors import UsageError

_service = tf.data.experimental.service
# Workers make batches ahead while the trainer takes them in turns.
_POLICY = _service.ShardingPolicy.HINT
# Parts of a cluster may start in any order.
_WAIT_SECONDS = 300
# After so many it is said what is waited for.
_SILENT_SECONDS = 3


def share(indices):
    """The part of a dataset that falls to the worker which runs it."""
    hint = tf.data.experimental.SHARD_HINT
    return indices.shard(hint, hint)


def through(address, batches, start_step=0):
    """Lets the workers of a service make batches.

    Args:
        address: `"grpc://HOST:PORT"` of the dispatcher.
        batches: What was made of `share` of an endless `tf.data.Dataset`:
            `(step, ...)`, steps rising by one from `start_step`. The workers
            make it, where no Python of this process can be called.
        start_step: The first step.

    Returns:
        `tf.data.Dataset` without end of what `batches` has behind the step, in
        the order of the steps.

    Raises:
        UsageError: If there is no service, or it has no list of its workers.
            From the dataset, a `tf.errors.OpError` where a worker was lost.
    """
    num_workers = count_workers(address)
    read = _read(address, batches.map(lambda step, *batch: (step, batch)))
    ordered = _in_order(read, num_workers, start_step)
    return ordered.enumerate(start_step).map(_checked)


def count_workers(address, timeout=_WAIT_SECONDS):
    """How many workers the service at an address has, as `through` asks.

    Raises:
        UsageError: If it has not answered after `timeout` seconds, or has no
            list of its workers.
    """
    check_address(address)
    # A client waits for workers without end; so it has a thread of its own.
    answers = queue.SimpleQueue()
    asking = threading.Thread(
        target=lambda: answers.put(_ask(address)), daemon=True
    )
    asking.start()
    answer = _patiently(
        lambda seconds: _next(answers, seconds),
        f"--data_service={address} and its workers",
        timeout,
    )
    if answer is None:
        answer = f"no answer of its workers in {timeout} s"
    if isinstance(answer, str):
        raise UsageError(
            f"--data_service={address} does not give batches ({answer}): start "
            "its dispatcher with the list of its workers, and then all of them."
        )
    return answer


def _ask(address):
    """The number of workers, or what went wrong."""
    # Two numbers in a row of one worker differ by the number of workers.
    pairs = share(tf.data.Dataset.counter()).batch(2)
    try:
        first, second = next(iter(_read(address, pairs))).numpy()
    except tf.errors.OpError as error:
        return error.message.splitlines()[0]
    return int(second - first)


def _next(answers, seconds):
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return None


def _patiently(get, what, timeout):
    """What `get(seconds)` returns; before a long wait it says for what."""
    silent = min(_SILENT_SECONDS, timeout)
    found = get(silent)
    if found is None and timeout > silent:
        said = f"Waiting for {what}, up to {timeout} s"
        print(said, file=sys.stderr, flush=True)
        found = get(timeout - silent)
    return found


def dispatcher(port, workers):
    """Starts the dispatcher of a service in this process.

    Args:
        port: Port to listen at; 0 for a free one.
        workers: Addresses of all workers, `"HOST"` or `"HOST:PORT"`; each
            takes the place that it has in the list.
    """
    return _service.DispatchServer(
        _service.DispatcherConfig(
            port=port,
            protocol="grpc",
            worker_addresses=[_with_port(address) for address in workers],
        )
    )


def worker(dispatcher, port, host="localhost", timeout=_WAIT_SECONDS):
    """Starts a worker of a service in this process.

    Args:
        dispatcher: `"HOST:PORT"` of the dispatcher.
        port: Port to listen at; 0 for a free one.
        host: Name of this machine, as the dispatcher's list has it.
        timeout: Seconds to wait for the dispatcher.

    Raises:
        UsageError: If there is no dispatcher at that address.
    """
    # TensorFlow would wait without end, and let no signal through.
    place = _split(dispatcher)
    if place is None or not _patiently(
        lambda seconds: _answers(place, seconds),
        f"the dispatcher {dispatcher}",
        timeout,
    ):
        raise UsageError(
            f"--dispatcher={dispatcher}: nothing answers there; start the "
            "dispatcher, and give its HOST:PORT."
        )
    return _service.WorkerServer(
        _service.WorkerConfig(
            dispatcher_address=dispatcher,
            worker_address=f"{host}:%port%",
            port=port,
        )
    )


def _answers(place, seconds):
    """Whether something listens at a (host, port), in time; None for no."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(place, timeout=1):
                return True
        except OSError:
            if time.monotonic() > end:
                return None
            time.sleep(min(0.2, seconds))


def _read(address, dataset):
    return dataset.apply(
        _service.distribute(
            _POLICY,
            address,
            # A job of its own: two trainers do not take each other's batches.
            job_name=os.urandom(8).hex(),
            consumer_index=0,
            num_consumers=1,
        )
    )


def _in_order(batches, num_workers, start_step):
    """Sorts `(step, batch)`, of which those of one worker come in order."""
    if num_workers == 1:
        return batches

    # A group has one batch of every worker, so that groups are completed in
    # order; inside of it the workers come as they joined.
    def group_of(step, _):
        return (step - start_step) // num_workers

    def in_group(_, group):
        return group.batch(num_workers, drop_remainder=True).map(by_step)

    def by_step(steps, batches):
        order = tf.argsort(steps)
        return tf.nest.map_structure(
            lambda part: tf.gather(part, order), (steps, batches)
        )

    groups = batches.group_by_window(
        group_of, in_group, window_size=num_workers
    )
    return groups.unbatch()


def _checked(expected, numbered):
    """The batch without its number, which must be the expected one."""
    step, batch = numbered
    check = tf.debugging.assert_equal(
        step,
        expected,
        "The data service lost a worker and with it the order of batches: "
        "restart its workers, then this run.",
    )
    with tf.control_dependencies([check]):
        return tf.nest.map_structure(tf.identity, batch)


def check_address(address):
    """Refuses what is no `"grpc://HOST:PORT"`, with a `UsageError`."""
    scheme, _, rest = str(address).partition("://")
    if scheme != "grpc" or _split(rest) is None:
        raise UsageError(
            f"--data_service={address} is no address: give the dispatcher's, "
            "grpc://HOST:PORT."
        )


def _split(address):
    """`(host, port)` of `"HOST:PORT"`; None of anything else."""
    host, _, port = address.rpartition(":")
    is_port = port.isdecimal() and 0 < int(port) < 2**16
    return (host.strip("[]"), int(port)) if host and is_port else None


def _with_port(address):
    return address if ":" in address else f"{address}:%port%"
