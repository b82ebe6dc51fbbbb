"""What an evaluation costs beyond its halves: making images and predicting.

Suite c of a dataset; each half alone, then together, with one worker process
and with two. CPU-seconds count workers as well.
"""

import collections
import functools
import os
import resource
import time

import numpy as np

from noisymix_tf import corruptions, evaluation
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.training import setup
from noisymix_tf.workers import Workers


@BENCHMARKS.register(
    "evaluation",
    title="an evaluation beside its halves",
    rounds=1,
    unit="suites",
)
def run(config, rounds):
    """Times the dataset, the network and what of suite c is measured.

    Returns:
        Dict: `"timings"` by name; `"overhead"`, the share that an evaluation
        takes beyond the CPU-seconds of its halves; `"speed_up"` of two workers;
        and `"megabytes"`, peaks of this process and both.
    """
    settings = config
    dataset = setup.dataset(config)
    model = setup.classifier(config, dataset)
    size = settings.eval_batch_size
    images = Images.of(dataset)
    predictor = Predictor(model, dataset.num_classes, images.probe(size), size)
    chosen = {
        "corruptions": settings.corruptions or corruptions.names("common"),
        "severities": settings.severities,
    }
    cells = [(c, s) for c in chosen["corruptions"] for s in settings.severities]
    chunks = [c for _, c, _ in images.chunks(size, range(0, images.n, size))]

    whole = functools.partial(
        evaluation.evaluate,
        model,
        dataset,
        suites=("c",),
        **chosen,
        batch_size=size,
        progress=None,
    )
    calls = {
        "predicting": lambda: [predictor(c) for c in chunks for _ in cells],
        "making, 1 worker": lambda: _make(chunks, cells, 1),
        "making, 2 workers": lambda: _make(chunks, cells, 2),
        "evaluation, 1 worker": lambda: whole(num_workers=1),
        "evaluation, 2 workers": lambda: whole(num_workers=2),
    }
    timings = {name: _timed(call, rounds) for name, call in calls.items()}
    predicting, one, two, _, together = timings.values()
    own, worker = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    figures = {
        "timings": timings,
        "overhead": together.cpu / (predicting.cpu + two.cpu) - 1.0,
        "speed_up": one.wall / two.wall,
        "megabytes": own + 2 * worker,
    }
    rows = [
        [name, f"{each.wall:.1f}", f"{each.cpu:.1f}"]
        for name, each in timings.items()
    ]
    print(timing.table(["suite c", "seconds", "CPU-seconds"], rows))
    print(
        f"{len(cells)} cells of {images.n:,} images: {figures['overhead']:.1%} "
        f"beyond the CPU-seconds of both halves; two workers make "
        f"{figures['speed_up']:.2f} times as many images as one; "
        f"{figures['megabytes']:,.0f} MB at most"
    )
    return figures


def _make(chunks, cells, count):
    with Workers(count) as workers:
        shared = map(workers.share, chunks)
        calls = ((corruptions.corrupt, s, *c) for s in shared for c in cells)
        collections.deque(workers.ordered(calls), maxlen=0)


def _timed(call, rounds):
    """`Timing` with the CPU-seconds of processes that have ended."""
    found = []
    for _ in range(rounds):
        wall, cpu = time.monotonic(), sum(os.times()[:4])
        call()
        found.append((time.monotonic() - wall, sum(os.times()[:4]) - cpu))
    return timing.Timing(*np.array(found).T)
