"""How long it takes to make the corrupted sets and the sequences."""

import functools

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.benchmarks.augmix import photographs

_SMALL, _LARGE = 32, 224
# How many images of a side a timed call takes.
_IMAGES = {_SMALL: 100, _LARGE: 4}
_SEQUENCES = {_SMALL: 20, _LARGE: 1}
# The test set of CIFAR, whose corrupted copies are released.
_SET = 10_000


@BENCHMARKS.register(
    "corruptions", title="making the corrupted sets", rounds=3, unit="batches"
)
def run(config, rounds):
    """Times every corruption and perturbation at 32 and at 224 pixels.

    A call takes the same images, at all five severities where there are some,
    in this process, and the calls take turns.

    Returns:
        Dict of `"corruptions"` and `"perturbations"`, dicts from name and image
        size to `Timing` of an image, averaged over the severities, or of a
        sequence; and of `"c_cpu_minutes"` and `"p_cpu_minutes"` for CIFAR.
    """
    arguments = rounds, config.eval_seed
    images = _timings(corruptions.names(), _all_severities, _IMAGES, *arguments)
    films = _timings(
        corruptions.perturbation_names(), _films, _SEQUENCES, *arguments
    )
    c_minutes = len(corruptions.SEVERITIES) * _cpu_minutes(
        images, corruptions.names("common")
    )
    p_minutes = _cpu_minutes(films, corruptions.perturbation_names("cifar"))
    _tell("corruptions, means of 5 severities", images, "image")
    _tell("sequences, most of 31 frames", films, "sequence")
    print(
        f"Of {_SET:,} images of {_SMALL} px: the fifteen common corruptions at "
        f"five severities {c_minutes:.1f} CPU-minutes, the ten perturbations "
        f"of CIFAR {p_minutes:.1f} CPU-minutes"
    )
    return {
        "corruptions": images,
        "perturbations": films,
        "c_cpu_minutes": c_minutes,
        "p_cpu_minutes": p_minutes,
    }


def _timings(names, function, counts, rounds, seed):
    """`Timing` of a result by name and size; `function` says how many it made,
    of as many images as `counts` has for a size.
    """
    timings = {name: {} for name in names}
    for size, count in counts.items():
        images = photographs(count, size, seed)
        call = functools.partial(function, images, seed)
        calls = {name: functools.partial(call, name) for name in names}
        made = call(names[0])
        for name, each in timing.interleaved(calls, rounds, warmup=1).items():
            timings[name][size] = each.each(made)
    return timings


def _all_severities(images, seed, name):
    for severity in corruptions.SEVERITIES:
        corruptions.corrupt(images, name, severity, seed)
    return len(images) * len(corruptions.SEVERITIES)


def _films(images, seed, name):
    return len(corruptions.perturb(images, name, seed))


def _cpu_minutes(timings, names):
    """What the whole test set takes, each image once by every name."""
    return _SET * sum(timings[name][_SMALL].cpu for name in names) / 60


def _tell(title, timings, unit):
    header = [title]
    rows = [[name] for name in timings]
    for side in (_SMALL, _LARGE):
        header += [f"{side} px: {unit}s/s", f"CPU-ms/{unit}"]
        for row, sizes in zip(rows, timings.values()):
            each = sizes[side]
            row += [f"{1 / each.wall:,.1f}", f"{1000 * each.cpu:.2f}"]
    print(timing.table(header, rows))
