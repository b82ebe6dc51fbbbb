"""Batches made on other machines, by the tf.data service.

Every one of W workers, see `commands/data_service.py`, makes every W-th batch,
and the trainer puts them in order again: it sees the batches that it would have
made itself. A service is for one trainer at a time: with two, workers of few
cores were seen to wait without end.
"""

import contextlib
import os
import queue
import threading

from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import tf
from noisymix_tf.progress import warn

# Parts of a cluster start in any order; soon it is said what is waited for.
WAIT_SECONDS, _SILENT_SECONDS = 300, 3


def share(indices) -> "tf.data.Dataset":
    """The part of a dataset that falls to the worker which runs it."""
    return indices.shard(*[tf.data.experimental.SHARD_HINT] * 2)


def through(address, batches, start_step=0) -> "tf.data.Dataset":
    """Lets the workers of a service make batches.

    From `(step, ...)`, made of `share` of an endless `tf.data.Dataset` without
    Python of this process, steps rising by one from `start_step`, to what is
    behind the step, in order. A lost worker is a `tf.errors.OpError`.
    """
    num_workers = count_workers(address)
    read = _read(address, batches.map(lambda step, *batch: (step, batch)))
    return _in_order(read, num_workers, start_step)


def count_workers(address, timeout=WAIT_SECONDS) -> int:
    """How many workers a service has, or a `UsageError`."""
    answers = queue.SimpleQueue()

    def ask():
        # Two numbers in a row of one worker differ by the number of workers.
        pairs = share(tf.data.Dataset.counter()).batch(2)
        try:
            first, second = next(iter(_read(address, pairs))).numpy()
            answers.put(int(second - first))
        except (tf.errors.OpError, ValueError) as error:
            answers.put(one_line(error))

    def get(seconds):
        with contextlib.suppress(queue.Empty):
            return answers.get(timeout=seconds)

    # A client waits for workers without end; so it has a thread.
    threading.Thread(target=ask, daemon=True).start()
    what = f"--data_service={address} and its workers"
    answer = patiently(get, what, timeout)
    answer = answer or f"no answer of its workers in {timeout} s"
    if isinstance(answer, str):
        raise UsageError(
            f"--data_service={address} does not give batches ({answer}): start "
            "its dispatcher with the list of its workers, and then all of them."
        )
    return answer


def patiently(get, what, timeout):
    """What `get(seconds)` returns; before a long wait it says for what."""
    found = get(min(_SILENT_SECONDS, timeout))
    if found is None and timeout > _SILENT_SECONDS:
        warn(f"Waiting for {what}, up to {timeout} s")
        found = get(timeout - _SILENT_SECONDS)
    return found


def _read(address, dataset):
    service = tf.data.experimental.service
    how = service.distribute(
        # Workers make batches ahead while the trainer takes them in turns.
        service.ShardingPolicy.HINT,
        address,
        # A job of its own: two trainers do not take each other's batches.
        job_name=os.urandom(8).hex(),
        consumer_index=0,
        num_consumers=1,
    )
    return dataset.apply(how)


def _in_order(batches, num_workers, start_step):
    """The batches of `(step, batch)`, where a worker's come in order."""

    def by_step(*group):
        order = tf.argsort(group[0])
        return tf.nest.map_structure(lambda part: tf.gather(part, order), group)

    # A group has one batch of every worker, so that groups are completed in
    # order; inside of it the workers come as they joined.
    groups = batches.group_by_window(
        lambda step, _: (step - start_step) // num_workers,
        lambda _, group: group.batch(num_workers, True).map(by_step),
        window_size=num_workers,
    )
    ordered = batches if num_workers == 1 else groups.unbatch()

    def checked(expected, numbered):
        step, batch = numbered
        lost = "The data service lost a worker and with it the order of "
        lost += "batches: restart its workers, then this run."
        check = tf.debugging.assert_equal(step, expected, lost)
        with tf.control_dependencies([check]):
            return tf.nest.map_structure(tf.identity, batch)

    return ordered.enumerate(start_step).map(checked)
