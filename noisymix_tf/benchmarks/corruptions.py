"""How long it takes to make the corrupted sets."""

import functools

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import timing
from noisymix_tf.benchmarks.augmix import photographs

# Side of the images, and how many of them a timed call corrupts.
_SIZES = ((32, 100), (224, 4))
# The test set of CIFAR, whose corrupted copies are released.
_SET = 10_000


def run(rounds=3, seed=0):
    """Times every corruption at 32 and at 224 pixels.

    A call corrupts the same images at all five severities, in this process, and
    the corruptions take turns. CPU-seconds count every thread.

    Args:
        rounds: Timed calls of each corruption and size.
        seed: Of the images and of the corruptions.

    Returns:
        Dict from corruption to dict from image size to
        `timing.Timing` per image, averaged over the severities; and under
        `"cpu_minutes"` what the fifteen common corruptions of 10,000 images of
        32 pixels take at five severities.

    Example:

    >>> figures = run(rounds=1)  # doctest: +SKIP
    """
    figures = {name: {} for name in corruptions.names()}
    for size, count in _SIZES:
        images = photographs(count, size, seed)
        calls = {
            name: functools.partial(_all_severities, images, name, seed)
            for name in figures
        }
        done = count * len(corruptions.SEVERITIES)
        for name, each in timing.interleaved(calls, rounds, warmup=1).items():
            figures[name][size] = timing.Timing(
                each.wall / done, each.cpu / done
            )
    small = _SIZES[0][0]
    seconds = sum(figures[n][small].cpu for n in corruptions.names("common"))
    copies = _SET * len(corruptions.SEVERITIES)
    figures["cpu_minutes"] = seconds * copies / 60
    print(_table(figures))
    return figures


def _all_severities(images, name, seed):
    for severity in corruptions.SEVERITIES:
        corruptions.corrupt(images, name, severity, seed)


def _table(figures):
    (small, _), (large, _) = _SIZES
    header = [
        "",
        f"{small} px: images/s",
        "CPU-s/10,000",
        f"{large} px: images/s",
        "CPU-ms/image",
    ]
    rows = [
        [
            name,
            f"{1 / figures[name][small].wall:,.0f}",
            f"{_SET * figures[name][small].cpu:.2f}",
            f"{1 / figures[name][large].wall:,.0f}",
            f"{1000 * figures[name][large].cpu:.1f}",
        ]
        for name in corruptions.names()
    ]
    return "\n".join(
        [
            "Corruptions of crops of photographs, means over five severities",
            timing.table(header, rows),
            f"The fifteen common corruptions of {_SET:,} images of {small} px "
            f"at five severities: {figures['cpu_minutes']:.1f} CPU-minutes",
        ]
    )
