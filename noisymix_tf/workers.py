"""Processes that compute with NumPy beside this one; results come in order.

>>> with Workers(1) as workers:
...     shared = workers.share(np.arange(3))
...     [total for total, _ in workers.ordered([(np.sum, shared)])] == [3]
True
"""

import collections
import contextlib
import mmap
import multiprocessing.connection
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent import futures

import numpy as np

from noisymix_tf.errors import UsageError

_NICE = 10
_THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
_CODE = (
    "import sys; sys.path[:] = sys.argv[3:]; from noisymix_tf import workers; "
    "workers._serve(*map(int, sys.argv[1:3]))"
)


class Workers(contextlib.AbstractContextManager):
    """A pool of processes; use it in a `with` statement.

    They are no forks (TensorFlow has threads) and import the modules of the
    functions that they call, never the user's script, which needs no guard of
    `__main__` and may be a notebook. Numerical libraries have one thread there.
    Ctrl-C is left to this process. They end with the block, or with this
    process, however it ends. Arrays travel in memory without a name: nothing
    is left over, and a small `/dev/shm` is no limit.

    Args:
        count: Number of processes, by default one for each core. 0 computes in
            this process: the same results. Anything else is a `UsageError`.
    """

    def __init__(self, count: int | None = None):
        count = cores() if count is None else count
        if not isinstance(count, int) or count < 0:
            raise UsageError(
                f"num_workers={count} must be a number of processes, or 0."
            )
        self.count = count
        self._all = [_start() for _ in range(count)]
        self._idle = list(self._all)
        # Each hands a call to an idle worker and waits for the answer.
        self._threads = futures.ThreadPoolExecutor(count or 1, "workers")

    def __exit__(self, *error):
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process, _ in self._all:
            process.kill()
            process.wait()

    def share(self, array: np.ndarray) -> "_Shared":
        """Copies an array once; returns a handle for the arguments of calls.

        The function gets the array, read-only, without another copy; here it
        is `handle.array`. The memory is freed when neither the caller nor a
        call under way has the handle any more: there is nothing to close.
        """
        return _Shared(array)

    def ordered(self, calls: Iterable) -> Iterator:
        """Yields `(result, CPU seconds)` of each call, in their order.

        Threads may iterate at the same time.

        Args:
            calls: `(function, *arguments)` each. A function is one of a module,
                or a `functools.partial` of one; arguments other than handles,
                and results other than arrays, travel by pickle. At most
                `2 * count + 1` are read ahead, so that memory does not grow
                with their number.

        Raises:
            UsageError: A worker was killed, or cannot load a function.
            Exception: What a function raised.
        """
        if not self.count:
            for call in calls:
                yield _timed(
                    *(p.array if isinstance(p, _Shared) else p for p in call)
                )
            return
        waiting = collections.deque()
        try:
            for call in calls:
                # With the call itself: it holds the memory of its handles.
                ask = self._call, pickle.dumps(call), call
                waiting.append(self._threads.submit(*ask))
                if len(waiting) > 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _call(self, pickled, call):
        process, connection = worker = self._idle.pop()
        try:
            connection.send_bytes(pickled)
            result, seconds = pickle.loads(connection.recv_bytes())
        except (EOFError, ConnectionError) as error:
            raise UsageError(
                f"A worker process was killed (its status is "
                f"{process.wait()}), perhaps for want of memory: give fewer "
                f"--num_workers; the same command goes on where it stopped."
            ) from error
        finally:
            self._idle.append(worker)
        if seconds is None:
            raise result
        # A mapped array would keep a file open.
        return result.copy() if type(result) is np.ndarray else result, seconds


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class _Shared:
    """An array in a file that has no name; pickled, it becomes the array."""

    def __init__(self, array):
        try:
            self._file = open(os.memfd_create("noisymix_tf"), "w+b")
            path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        except AttributeError:
            # Not in this system: with a name as long as this object lives.
            self._file = tempfile.NamedTemporaryFile()
            path = self._file.name
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        self._file.write(b"\0")  # Nothing at all cannot be mapped.
        self._file.flush()
        self._key = path, array.shape, array.dtype
        self.array = _mapped(*self._key)

    def __reduce__(self):
        return _mapped, self._key

    def __del__(self):
        self._file.close()


def _start():
    """A new worker: its `subprocess.Popen` and the connection to it."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    connection, other = multiprocessing.Pipe()
    numbers = map(str, (other.fileno(), os.getpid()))
    with other:
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, *numbers, *sys.path, here],
            stdin=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(_THREADS, "1"),
            pass_fds=[other.fileno()],
            process_group=0,  # Ctrl-C is for that of this process.
        )
    return process, connection


def _serve(descriptor, parent):
    """The life of a worker, until the parent hangs up or is gone."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    # The parent, who uses what is made here, comes first: the threads of a
    # model that wait for one of them would spin.
    os.nice(_NICE)
    connection = multiprocessing.connection.Connection(descriptor)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pickled, result = connection.recv_bytes(), None
            try:
                result, seconds = _timed(*_loaded(pickled))
                if type(result) is np.ndarray and not result.dtype.hasobject:
                    result = _Shared(result)  # Held until it has been read.
                answer = pickle.dumps((result, seconds))
            except Exception as error:
                answer = _failure(error)
            connection.send_bytes(answer)


def _loaded(pickled):
    try:
        return pickle.loads(pickled)
    except AttributeError as error:
        advice = "move it to a module, or take num_workers=0"
        raise UsageError(f"In a worker: {error}; {advice}.") from error


def _failure(error):
    """The answer that raises an error there, or one that can be pickled."""
    text = traceback.format_exc()
    error.add_note(f"In a worker:\n{text}")
    try:
        pickle.loads(answer := pickle.dumps((error, None)))
    except Exception:
        return pickle.dumps((RuntimeError(text), None))
    return answer


def _follow(parent):
    """Ends this process when the parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _timed(function, *arguments):
    start = time.thread_time()
    return function(*arguments), time.thread_time() - start


def _mapped(path, shape, dtype):
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.ndarray(shape, dtype, memory)
