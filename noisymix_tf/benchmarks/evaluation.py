"""What an evaluation costs beyond its halves: making images and predicting.

Suite c of a dataset; each half alone, then together, with one worker process
and with two. CPU-seconds count workers as well.
"""

import collections
import functools
import resource

from noisymix_tf import corruptions, evaluation
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.training import setup
from noisymix_tf.workers import Workers


@BENCHMARKS.register(
    "evaluation", title="evaluation beside its halves", rounds=1, unit="suites"
)
def run(config, rounds):
    """Times suite c, as far as it is measured, and its halves."""
    dataset = setup.dataset(config)
    timings, words = _timings(config, dataset, rounds)
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
    rows = [[n, f"{t.wall:.1f}", f"{t.cpu:.1f}"] for n, t in timings.items()]
    timing.tell(["suite c", "seconds", "CPU-seconds"], rows)
    print(
        f"{words}: {figures['overhead']:.1%} beyond the CPU-seconds of both "
        f"halves; two workers make {figures['speed_up']:.2f} times as many "
        f"images as one; {figures['megabytes']:,.0f} MB at most"
    )
    return figures


def _timings(config, dataset, rounds):
    model, size = setup.classifier(config, dataset), config.eval_batch_size
    images = Images.of(dataset)
    predictor = Predictor(model, dataset.num_classes, images.probe(size), size)
    names = config.corruptions or corruptions.names("common")
    cells = [(name, s) for name in names for s in config.severities]
    chunks = [c for _, c, _ in images.chunks(size, range(0, images.n, size))]
    making = functools.partial(_make, chunks, cells)
    whole = functools.partial(
        evaluation.evaluate,
        model,
        dataset,
        suites=("c",),
        corruptions=names,
        severities=config.severities,
        batch_size=size,
        progress=None,
    )
    calls = {
        "predicting": lambda: [predictor(c) for c in chunks for _ in cells],
        "making, 1 worker": lambda: making(1),
        "making, 2 workers": lambda: making(2),
        "evaluation, 1 worker": lambda: whole(num_workers=1),
        "evaluation, 2 workers": lambda: whole(num_workers=2),
    }
    words = f"{len(cells)} cells of {images.n:,} images"
    return timing.interleaved(calls, rounds, warmup=0), words


def _make(chunks, cells, count):
    with Workers(count) as workers:
        shared = map(workers.share, chunks)
        calls = ((corruptions.corrupt, s, *c) for s in shared for c in cells)
        collections.deque(workers.ordered(calls), maxlen=0)
