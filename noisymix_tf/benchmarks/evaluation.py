"""What an evaluation costs: making its images, and predicting beside it."""

import collections
import contextlib
import functools
import resource
import sys

from noisymix_tf import corruptions, evaluation
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.training import setup
from noisymix_tf.workers import Workers

# How many images of a side a timed call takes.
_IMAGES, _SEQUENCES = {32: 100, 224: 4}, {32: 20, 224: 1}
# The test set of CIFAR, whose corrupted copies are released.
_SET = 10_000


@BENCHMARKS.register(
    "evaluation", title="evaluation beside its halves", rounds=1, unit="suites"
)
def halves(config, rounds) -> dict[str, object]:
    """Times suite c, as far as it is measured, and its halves.

    Each half alone, then together, with one worker process and with two.
    CPU-seconds count workers as well.
    """
    dataset = setup.dataset(config)
    calls, words = _calls(config, dataset)
    timings = timing.interleaved(calls, rounds, warmup=0)
    predicting, one, two, _, together = timings.values()
    # Of children the system would count what this process had at their start.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "timings": timings,
        "overhead": together.cpu / (predicting.cpu + two.cpu) - 1.0,
        "speed_up": one.wall / two.wall,
        "megabytes": most / 1024,
    }
    rows = [[n, f"{t.wall:.1f}", f"{t.cpu:.1f}"] for n, t in timings.items()]
    timing.tell(f"Suite c, {words}", ["", "seconds", "CPU-seconds"], rows)
    print(
        f"{figures['overhead']:.1%} beyond the CPU-seconds of both "
        f"halves; two workers make {figures['speed_up']:.2f} times as many "
        f"images as one; {figures['megabytes']:,.0f} MB at most beside them"
    )
    return figures


def _calls(config, dataset):
    """What is timed, by name, and how much that is, in words."""
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
    return {
        "predicting": lambda: [predictor(c) for c in chunks for _ in cells],
        "making, 1 worker": lambda: making(1),
        "making, 2 workers": lambda: making(2),
        "evaluation, 1 worker": lambda: whole(num_workers=1),
        "evaluation, 2 workers": lambda: whole(num_workers=2),
    }, f"{len(cells)} cells of {images.n:,} images"


def _make(chunks, cells, count):
    with Workers(count) as workers:
        shared = map(workers.share, chunks)
        calls = ((corruptions.corrupt, s, *c) for s in shared for c in cells)
        collections.deque(workers.ordered(calls), maxlen=0)


@BENCHMARKS.register(
    "corruptions", title="making the corrupted sets", rounds=3, unit="batches"
)
def sets(config, rounds) -> dict[str, object]:
    """Times every corruption and perturbation at 32 and at 224 pixels.

    Figures are `Timing`s by name and size, of an image, averaged over the five
    severities, or of a sequence; and CPU-minutes for CIFAR's test set.
    """
    seed = config.eval_seed
    names, films = corruptions.names(), corruptions.perturbation_names()
    images = _timings(names, _all_severities, _IMAGES, rounds, seed)
    films = _timings(films, _films, _SEQUENCES, rounds, seed)
    c, p = corruptions.names("common"), corruptions.perturbation_names("cifar")
    figures = {
        "corruptions": images,
        "perturbations": films,
        "c_cpu_minutes": 5 * _cpu_minutes(images, c),
        "p_cpu_minutes": _cpu_minutes(films, p),
    }
    # For who looks on: a page gets the sentence alone.
    with contextlib.redirect_stdout(sys.stderr):
        _tell("Corruptions, means of 5 severities", images, "image")
        _tell("Sequences, most of 31 frames", films, "sequence")
    print(
        f"Of {_SET:,} images of 32 px: the fifteen common corruptions at "
        f"five severities {figures['c_cpu_minutes']:.1f} CPU-minutes, the ten "
        f"perturbations of CIFAR {figures['p_cpu_minutes']:.1f} CPU-minutes"
    )
    return figures


def _timings(names, function, counts, rounds, seed):
    """`Timing` by name and size of a result; `function` counts them."""
    timings = {name: {} for name in names}
    for size, count in counts.items():
        call = functools.partial(function, photographs(count, size, seed), seed)
        calls = {name: functools.partial(call, name) for name in names}
        made = call(names[0])
        for name, each in timing.interleaved(calls, rounds, warmup=1).items():
            timings[name][size] = each.each(made)
    return timings


def _all_severities(images, seed, name):
    return sum(
        len(corruptions.corrupt(images, name, severity, seed))
        for severity in corruptions.SEVERITIES
    )


def _films(images, seed, name):
    return len(corruptions.perturb(images, name, seed))


def _cpu_minutes(timings, names):
    """What the whole test set takes, each image once by every name."""
    return _SET * sum(timings[name][32].cpu for name in names) / 60


def _tell(title, timings, unit):
    header, rows = [""], [[name] for name in timings]
    for side in _IMAGES:
        header += [f"{side} px: {unit}s/s", f"CPU-ms/{unit}"]
    for row, own in zip(rows, timings.values()):
        for each in own.values():
            row += [f"{1 / each.wall:,.1f}", f"{1000 * each.cpu:.2f}"]
    timing.tell(title, header, rows)
