"""Workers: the results of one process, whatever becomes of the others."""

import gc
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import psutil
import pytest

from noisymix_tf.workers import Workers
from support import ROOT
from support.usage import assert_usage_error

SCRIPT = """
import os, numpy as np
from noisymix_tf.workers import Workers
print("once", flush=True)
workers = Workers(2)
shared = workers.share(np.ones(1 << 20))
print(next(workers.ordered([(np.sum, shared)]))[0])
class Own: pass
try:
    list(workers.ordered([(Own,)]))
except ValueError as error:
    print(error)
print(os.getpid(), *(p.pid for p, _ in workers._all), flush=True)
busy = "import os, time; os.write(1, b'busy\\\\n'); time.sleep(600)"
list(workers.ordered([(exec, busy)] * 9))
"""


@pytest.fixture(scope="module", params=[0, 1, 3])
def workers(request):
    with Workers(request.param) as workers:
        yield workers


def test_results_and_errors_are_those_of_this_process(workers):
    images = np.random.default_rng(0).integers(0, 256, (64, 9, 7, 3), np.uint8)
    shared = workers.share(images[::2, ::-1])
    calls = [(np.full, (n, 1000), n) for n in (1, 500, 3, 900, 0)]
    calls += [(np.moveaxis, shared, 0, 2), (np.negative, shared)]
    calls += [(np.array, [{}, None]), (np.array, 3), (np.float32, 2)]
    calls += [(divmod, 7, 2), (np.array, [True]), (np.zeros, 2, "i,f")]
    pairs = zip(calls, workers.ordered(iter(calls)), strict=True)
    for (function, *given), (result, seconds) in pairs:
        given = [a.array if a is shared else a for a in given]
        expected = function(*given)
        assert type(result) is type(expected) and 0 <= seconds < 60
        assert np.asarray(result).dtype == np.asarray(expected).dtype
        np.testing.assert_equal(result, expected)
    with pytest.raises(FileNotFoundError, match="nowhere") as caught:
        list(workers.ordered([(os.stat, "/nowhere")]))
    if workers.count:
        assert "In a worker" in caught.value.__notes__[0]
    shared = workers.share(np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        list(workers.ordered([(np.ndarray.fill, shared, 1)]))
    # It goes on with the next; an end of file is no end of the parent.
    with pytest.raises(EOFError):
        list(workers.ordered([(pickle.loads, b"")]))
    assert [r for r, _ in workers.ordered([(abs, -1)])] == [1]


def test_calls_are_read_late_and_timed_by_the_processor(workers):
    pulled = []
    calls = (pulled.append(number) or (abs, -number) for number in range(50))
    for place, (result, _) in enumerate(workers.ordered(calls)):
        assert result == place
        assert len(pulled) - place <= 2 * workers.count + 1
    start = time.process_time()
    calls = [(time.sleep, 0.1), (sum, range(3_000_000))]
    (_, slept), (_, added) = workers.ordered(calls)
    assert slept < added
    if workers.count:
        assert time.process_time() - start < added


def test_memory_is_freed_with_its_last_use(workers):
    def memories():
        maps = pathlib.Path("/proc/self/maps").read_text()
        return maps.count("/memfd:noisymix_tf")

    gc.collect()
    before = memories()
    arrays = (np.full((9, 5000), n) for n in range(30))
    calls = ((np.sum, workers.share(array)) for array in arrays)
    for number, (result, _) in enumerate(workers.ordered(calls)):
        assert result == number * 45_000
        # What is ahead, and what has just been read and answered.
        assert memories() - before <= 3 * workers.count + 2
    kept = [r for r, _ in workers.ordered([(np.ones, 9000)] * 30)]
    # Of the last calls the threads may still hold something.
    assert memories() - before <= workers.count and len(kept) == 30


def test_workers_are_light_and_apart(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    calls = [(os.getenv, "OMP_NUM_THREADS"), (os.getpgrp,)]
    calls += [(eval, "'tensorflow' in __import__('sys').modules"), (open, 0)]
    with Workers() as workers:
        assert workers.count == len(os.sched_getaffinity(0))
        results = workers.ordered(calls)
        threads, group, is_heavy = (next(results)[0] for _ in range(3))
        assert threads == "1" and group != os.getpgrp() and not is_heavy
        with pytest.raises(TypeError, match="cannot pickle"):
            next(results)
        processes = [process for process, _ in workers._all]
    assert {process.poll() for process in processes} == {-signal.SIGKILL}


def test_dead_workers_and_systems_without_memory_files(monkeypatch, tmp_path):
    for count in (-1, "2"):
        words = f"num_workers={count} must be"
        assert_usage_error(lambda count=count: Workers(count), words)
    with Workers(2) as workers:
        calls = workers.ordered([(abs, 1), (os._exit, 3), (abs, 1)])
        words = "was killed (its status is 3)", "fewer --num_workers"
        assert_usage_error(lambda: list(calls), *words)
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Workers(1) as workers:
        shared = workers.share(np.arange(9))
        assert len(list(tmp_path.iterdir())) == 1
        assert next(workers.ordered([(np.sum, shared)]))[0] == 36
        del shared
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_script_without_guard_that_is_killed_leaves_nothing(tmp_path):
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    paths = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    how["env"] = os.environ | paths
    with subprocess.Popen([sys.executable, "-"], **how) as script:
        script.stdin.write(SCRIPT)
        script.stdin.close()
        once, total, refused, numbers, *busy = islice(script.stdout, 6)
        processes = [psutil.Process(int(n)) for n in numbers.split()]
        folders = [pathlib.Path(f"/proc/{p.pid}/fd") for p in processes]
        files = [os.readlink(file) for f in folders for file in f.iterdir()]
        script.kill()
    assert [once, total, *busy] == ["once\n", "1048576.0\n"] + ["busy\n"] * 2
    words = "In a worker: Can't get attribute 'Own'", "or take num_workers=0"
    assert all(word in refused for word in words)
    assert any("memfd" in file for file in files)
    assert not any(f.startswith(("/dev/shm", str(tmp_path))) for f in files)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert len(processes) == 3 and {p.status() for p in alive} <= {"zombie"}
    assert not list(tmp_path.iterdir())
