"""What an evaluation costs beyond the slower of making and predicting."""

import contextlib
import dataclasses
import itertools
import os
import threading
import time

import numpy as np
import psutil

from noisymix_tf import corruptions, evaluation
from noisymix_tf.benchmarks import timing
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.training import setup
from noisymix_tf.workers import Workers

# Seconds between two looks at the memory, and at new processes to hold.
_LOOK = 0.3
_MANY = 10  # Times as many images, of few cells, for the memory.
_FEW = ("gaussian_noise", "contrast", "pixelate")


def run(config, rounds=1):
    """Times suite c on a dataset: its two halves alone, then as it is.

    "Held" is with this process on one core and one worker on another. "Free"
    is with two workers on all cores, over which the threads of this process
    are spread: some virtual machines leave busy ones on one core. It needs
    Linux and two cores.

    Args:
        config: `Config`; its data, network, width, and what of suite c is
            measured.
        rounds: Repetitions; the fastest of each counts.

    Returns:
        Dict: seconds `"making"`, `"predicting"` and `"together"` held,
        `"making_free"` and `"together_free"`; `"cpu"`, the CPU-seconds of both
        halves alone; `"overhead"`, what together takes beyond the slower half,
        and `"overhead_free"`, beyond these CPU-seconds shared by two cores;
        `"speed_up"` of two workers; `"read"`, how often an image is read;
        `"megabytes"` and `"megabytes_of_many"` with ten times as many images,
        peaks of all processes.

    Example:

    >>> figures = run(config)  # doctest: +SKIP
    """
    settings = config.evaluation
    dataset = setup.dataset(config.data)
    model = setup.classifier(config, dataset)
    size = settings.eval_batch_size
    images = Images.of(dataset)
    predictor = Predictor(model, dataset.num_classes, images.probe(size), size)
    cells = [
        (name, severity)
        for name in settings.corruptions or corruptions.names("common")
        for severity in settings.severities
    ]
    chunks = [c for _, c, _ in images.chunks(size, range(0, images.n, size))]

    def together(num_workers, split=dataset.test, **options):
        evaluation.evaluate(
            model,
            dataclasses.replace(dataset, test=split),
            suites=("c",),
            **{
                "corruptions": settings.corruptions or None,
                "severities": settings.severities,
                **options,
            },
            batch_size=size,
            num_workers=num_workers,
            progress=None,
        )

    held, free = (0, 1), None
    figures = {}
    for name, where, function in (
        ("making", held, lambda: _make(chunks, cells, 1)),
        ("predicting", held, lambda: _predict(predictor, chunks, len(cells))),
        ("together", held, lambda: together(1)),
        ("making_free", free, lambda: _make(chunks, cells, 2)),
        ("together_free", free, lambda: together(2)),
    ):
        runs = [_timed(function, where) for _ in range(rounds)]
        figures[name], figures[f"{name}_cpu"] = min(runs)
    figures["cpu"] = figures["making_cpu"] + figures["predicting_cpu"]
    slower = max(figures["making"], figures["predicting"])
    figures["overhead"] = figures["together"] / slower - 1.0
    figures["overhead_free"] = figures["together_free"] * 2 / figures["cpu"] - 1
    figures["speed_up"] = figures["making"] / figures["making_free"]
    for name, times in (("megabytes", 1), ("megabytes_of_many", _MANY)):
        split = _Counted(dataset.test, times)
        with _watching() as watch:
            together(2, split, corruptions=_FEW, severities=(3,))
        figures[name] = watch["megabytes"]
    # The first image, the probe, and one pass.
    figures["read"] = (split.read - 1 - min(size, len(split))) / len(split)
    _tell(figures, len(cells), images.n)
    return figures


def _make(chunks, cells, count):
    with Workers(count) as workers:
        calls = (
            (corruptions.corrupt, shared, *cell)
            for shared in map(workers.share, chunks)
            for cell in cells
        )
        for _ in workers.ordered(calls):
            pass


def _predict(predictor, chunks, passes):
    for chunk in chunks:
        for _ in range(passes):
            predictor(chunk)


class _Counted:
    """A split, perhaps several times over, that counts what is read of it."""

    def __init__(self, split, times):
        self._split = split.subset(np.tile(np.arange(len(split)), times))
        self.identity = self._split.identity
        self.read = 0

    def __len__(self):
        return len(self._split)

    def batches(self, batch_size):
        for images, labels in self._split.batches(batch_size):
            self.read += len(images)
            yield images, labels


def _timed(function, where):
    """Seconds, and CPU-seconds with those of processes that have ended."""
    with _watching(where):
        start, cpu = time.monotonic(), sum(os.times()[:4])
        function()
        return time.monotonic() - start, sum(os.times()[:4]) - cpu


@contextlib.contextmanager
def _watching(where=None):
    """Holds this process to one core and others to another; sees memory.

    Args:
        where: `(core, core)`, or None to spread over all of them.
    """
    everywhere = sorted(os.sched_getaffinity(0))
    here, there = ([where[0]], [where[1]]) if where else [everywhere] * 2
    watch, stop = {"megabytes": 0.0}, threading.Event()
    own = psutil.Process()

    def look():
        held = set()
        while not stop.wait(_LOOK):
            total = own.memory_info().rss
            for child in own.children():
                with contextlib.suppress(psutil.Error):
                    total += child.memory_info().rss
                    if child.pid not in held:
                        child.cpu_affinity(there)
                        held.add(child.pid)
            watch["megabytes"] = max(watch["megabytes"], total / 1e6)

    _hold([[core] for core in here])
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        _hold([everywhere])


def _hold(places):
    """Holds the threads of this process to lists of cores, in turn."""
    threads = sorted(map(int, os.listdir("/proc/self/task")))
    for thread, cores in zip(threads, itertools.cycle(places)):
        with contextlib.suppress(OSError):  # One that has just ended.
            os.sched_setaffinity(thread, cores)


def _tell(figures, cells, n):
    rows = [
        [words, f"{figures[name]:.1f}"]
        for name, words in (
            ("making", "making images, one worker on a core"),
            ("predicting", "predicting, on another core"),
            ("together", "evaluation, both held so"),
            ("making_free", "making images, two workers"),
            ("together_free", "evaluation, two workers, all cores"),
        )
    ]
    print(timing.table(["suite c", "seconds"], rows))
    print(
        f"{cells} cells of {n:,} images; held: {100 * figures['overhead']:.1f} "
        f"% beyond the slower half; free: {100 * figures['overhead_free']:.1f} "
        f"% beyond the CPU-seconds of both on two cores; two workers make "
        f"{figures['speed_up']:.2f} times as many images as one; each image is "
        f"read {figures['read']:.2f} times; {figures['megabytes']:,.0f} MB at "
        f"most, with {_MANY} times as many images "
        f"{figures['megabytes_of_many']:,.0f} MB"
    )
