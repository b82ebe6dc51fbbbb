"""How long it takes to make the corrupted sets and the sequences."""

import functools

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs

# How many images of a side a timed call takes.
_IMAGES, _SEQUENCES = {32: 100, 224: 4}, {32: 20, 224: 1}
# The test set of CIFAR, whose corrupted copies are released.
_SET = 10_000


@BENCHMARKS.register(
    "corruptions", title="making the corrupted sets", rounds=3, unit="batches"
)
def run(config, rounds):
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
    _tell("corruptions, means of 5 severities", images, "image")
    _tell("sequences, most of 31 frames", films, "sequence")
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
    header, rows = [title], [[name] for name in timings]
    for side in _IMAGES:
        header += [f"{side} px: {unit}s/s", f"CPU-ms/{unit}"]
        for row in rows:
            each = timings[row[0]][side]
            row += [f"{1 / each.wall:,.1f}", f"{1000 * each.cpu:.2f}"]
    timing.tell(header, rows)
