"""Workers that make parts of a set at the same time, in a fixed order."""

import collections
import multiprocessing
import os
import signal
import threading
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

from noisymix_tf.errors import UsageError

# Results that may wait or be under way, for each worker.
_AHEAD = 2


class Workers:
    """A pool of processes or threads; use it in a `with` statement.

    Processes do not share Python's global lock, which the many small calls of
    some corruptions hold. They are started afresh (not forked: TensorFlow has
    threads), import NumPy but no TensorFlow, and end when this process does,
    however it ends.

    Args:
        processes: Number of processes, or None for one thread for every core,
            which needs no `if __name__ == "__main__"` in the user's script.
    """

    def __init__(self, processes=None):
        if processes is not None and processes < 1:
            raise UsageError(
                f"processes={processes} must be at least 1; leave it out for "
                f"one for every core."
            )
        self.count = processes or cores()
        if processes is None:
            self._pool = futures.ThreadPoolExecutor(self.count, "corrupt")
        else:
            self._pool = futures.ProcessPoolExecutor(
                self.count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_follow_parent,
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._pool.shutdown(cancel_futures=True)

    def ordered(self, function, calls):
        """Yields `function(*arguments)` in order, some computed ahead.

        Args:
            function: Picklable.
            calls: Iterable of tuples of arguments, read as late as possible,
                so that memory does not grow with their number.
        """
        waiting = collections.deque()
        try:
            for arguments in calls:
                waiting.append(self._pool.submit(function, *arguments))
                if len(waiting) > _AHEAD * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UsageError(
                "A worker process was killed, perhaps for want of memory: run "
                "the same command again with fewer --processes; it goes on "
                "where it stopped."
            ) from error


def cores():
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _follow_parent():
    """Leaves Ctrl-C to the parent, and ends a worker whose parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait():
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
