"""How long it takes to make the corrupted sets and the sequences."""

import functools

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import timing
from noisymix_tf.benchmarks.augmix import photographs

_SMALL, _LARGE = 32, 224
# How many images of a side a timed call takes.
_IMAGES = {_SMALL: 100, _LARGE: 4}
_SEQUENCES = {_SMALL: 20, _LARGE: 1}
# The test set of CIFAR, whose corrupted copies are released.
_SET = 10_000


def run(rounds=3, seed=0):
    """Times every corruption and perturbation at 32 and at 224 pixels.

    A call takes the same images, at all five severities where there are some,
    in this process, and the calls take turns. CPU-seconds count every thread.

    Args:
        rounds: Timed calls of each corruption, perturbation and size.
        seed: Of the images and of all that is drawn.

    Returns:
        Dict of `"corruptions"` and `"perturbations"`, dicts from name to dict
        from image size to `timing.Timing` per image, averaged over the
        severities, or per sequence; and of `"c_cpu_minutes"` and
        `"p_cpu_minutes"`, what 10,000 images of 32 pixels take: the fifteen
        common corruptions at five severities, the ten perturbations of CIFAR.

    Example:

    >>> figures = run(rounds=1)  # doctest: +SKIP
    """
    images = _timings(
        corruptions.names(), _all_severities, _IMAGES, rounds, seed
    )
    films = _timings(
        corruptions.perturbation_names(), _films, _SEQUENCES, rounds, seed
    )
    figures = {
        "corruptions": images,
        "perturbations": films,
        "c_cpu_minutes": len(corruptions.SEVERITIES)
        * _cpu_minutes(images, corruptions.names("common")),
        "p_cpu_minutes": _cpu_minutes(
            films, corruptions.perturbation_names("cifar")
        ),
    }
    print(_corruption_table(figures))
    print(_perturbation_table(figures))
    return figures


def _timings(names, function, counts, rounds, seed):
    """Times per result, a dict of dicts by name and size.

    Args:
        names: What to time.
        function: `function(images, name, seed)`, returns how many results it
            made.
        counts: How many images by size.
        rounds, seed: As in `run`.
    """
    timings = {name: {} for name in names}
    for size, count in counts.items():
        images = photographs(count, size, seed)
        calls = {
            name: functools.partial(function, images, name, seed)
            for name in names
        }
        made = function(images, names[0], seed)
        for name, each in timing.interleaved(calls, rounds, warmup=1).items():
            timings[name][size] = timing.Timing(
                each.wall / made, each.cpu / made
            )
    return timings


def _all_severities(images, name, seed):
    for severity in corruptions.SEVERITIES:
        corruptions.corrupt(images, name, severity, seed)
    return len(images) * len(corruptions.SEVERITIES)


def _films(images, name, seed):
    return len(corruptions.perturb(images, name, seed))


def _cpu_minutes(timings, names):
    """What the whole test set takes, each image once by every name."""
    return _SET * sum(timings[name][_SMALL].cpu for name in names) / 60


def _corruption_table(figures):
    header = [
        "",
        f"{_SMALL} px: images/s",
        f"CPU-s/{_SET:,}",
        f"{_LARGE} px: images/s",
        "CPU-ms/image",
    ]
    rows = [
        [
            name,
            f"{1 / sizes[_SMALL].wall:,.0f}",
            f"{_SET * sizes[_SMALL].cpu:.2f}",
            f"{1 / sizes[_LARGE].wall:,.0f}",
            f"{1000 * sizes[_LARGE].cpu:.1f}",
        ]
        for name, sizes in figures["corruptions"].items()
    ]
    return "\n".join(
        [
            "Corruptions of crops of photographs, means over five severities",
            timing.table(header, rows),
            f"The fifteen common corruptions of {_SET:,} images of {_SMALL} px "
            f"at five severities: {figures['c_cpu_minutes']:.1f} CPU-minutes",
        ]
    )


def _perturbation_table(figures):
    header = ["", f"{_SMALL} px: CPU-s/1,000", f"{_LARGE} px: CPU-ms/sequence"]
    rows = [
        [
            name,
            f"{1000 * sizes[_SMALL].cpu:.2f}",
            f"{1000 * sizes[_LARGE].cpu:.0f}",
        ]
        for name, sizes in figures["perturbations"].items()
    ]
    return "\n".join(
        [
            "Perturbation sequences, most of 31 frames",
            timing.table(header, rows),
            f"The ten perturbations of CIFAR of {_SET:,} images of {_SMALL} "
            f"px: {figures['p_cpu_minutes']:.1f} CPU-minutes",
        ]
    )
