"""Throughput of AugMix beside the same work done with Pillow."""

import itertools
import os
import statistics
import time

import numpy as np
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import augmix_views, pillow_reference
from noisymix_tf.benchmarks import timing

_IN_FLIGHT = 2 * (os.cpu_count() or 1)
_REST_SECONDS = 0.1


def run(
    batch_size=None, image_size=32, seconds=10.0, severity=3.0, rounds=5, seed=0
):
    """Times three-view samples: the clean image and two AugMix views.

    Ours runs in a `tf.data` pipeline, draws included, compilation excluded;
    Pillow runs in this one process. The two take turns, and each figure is the
    median over the turns. CPU-seconds count every thread, so they compare
    fairly on a machine of any number of cores.

    Args:
        batch_size: Images per batch; by default 128, or 16 from 128 px on.
        image_size: Height and width of the images in pixels.
        seconds: About how long to time each of the two.
        severity: Of AugMix.
        rounds: Turns of each.
        seed: Of the crops and of AugMix.

    Returns:
        Dict of the settings and, under `"ours"` and `"pillow"`, of
        `samples_per_second`, `samples_per_cpu_second` and
        `cpu_seconds_per_1000`; `"ratio"` compares samples per CPU second and
        `"compile_seconds"` is the time to the first batch.

    Example:

    >>> figures = run(image_size=32, seconds=2)  # doctest: +SKIP
    """
    if batch_size is None:
        batch_size = 128 if image_size < 128 else 16
    images = photographs(batch_size, image_size, seed)
    start = time.perf_counter()
    batches = iter(_pipeline(images, severity, seed))
    next(batches)
    compile_seconds = time.perf_counter() - start
    endless = itertools.cycle(images)
    draws = np.random.default_rng(seed)

    def ours():
        next(batches)

    def pillow():
        pillow_reference.augmix_views(next(endless), draws, severity=severity)

    turns = [
        (
            _rates(ours, seconds / rounds, batch_size),
            _rates(pillow, seconds / rounds, 1),
        )
        for _ in range(rounds)
    ]
    figures = {
        "image_size": image_size,
        "batch_size": batch_size,
        "severity": severity,
        "compile_seconds": compile_seconds,
        "ours": _median([ours for ours, _ in turns]),
        "pillow": _median([pillow for _, pillow in turns]),
        "ratio": statistics.median(
            ours["samples_per_cpu_second"] / pillow["samples_per_cpu_second"]
            for ours, pillow in turns
        ),
    }
    print(_table(figures))
    return figures


def photographs(count, size, seed=0):
    """Square crops of scikit-learn's two sample photographs, resized.

    Histograms and edges are those of real images, which noise does not have.

    Args:
        count: Number of crops.
        size: Height and width in pixels.
        seed: Of their places.

    Returns:
        uint8 `[count, size, size, 3]`.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    pictures = [Image.fromarray(each) for each in load_sample_images().images]
    places = np.random.default_rng(seed)
    crops = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        side = int(places.integers(picture.height // 4, picture.height))
        left = int(places.integers(picture.width - side))
        top = int(places.integers(picture.height - side))
        box = (left, top, left + side, top + side)
        crops.append(picture.resize((size, size), box=box))
    return np.stack(crops)


def _pipeline(images, severity, seed):
    images = tf.constant(images)

    def views(step):
        return augmix_views(
            images, rng.stream(seed, step, "augmix"), severity=severity
        )

    return tf.data.Dataset.counter().map(
        views, num_parallel_calls=tf.data.AUTOTUNE
    )


def _rates(work, seconds, samples):
    """Repeats work of so many samples for so many seconds, and times it."""
    # What the pipeline holds ready is not work of this turn, and what it
    # still does when the other's turn begins would be counted there.
    for _ in range(_IN_FLIGHT):
        work()
    wall, cpu = time.perf_counter(), time.process_time()
    done = 0
    while time.perf_counter() - wall < seconds:
        work()
        done += samples
    wall = time.perf_counter() - wall
    cpu = time.process_time() - cpu
    time.sleep(_REST_SECONDS)
    return {
        "samples_per_second": done / wall,
        "samples_per_cpu_second": done / cpu,
        "cpu_seconds_per_1000": 1000 * cpu / done,
    }


def _median(rates):
    return {
        key: statistics.median(each[key] for each in rates) for key in rates[0]
    }


def _table(figures):
    header = ["", "samples/s", "per CPU-second", "CPU-seconds/1000"]
    rows = []
    for name in ("ours", "pillow"):
        wall, per_cpu, cost = figures[name].values()
        rows.append([name, f"{wall:,.0f}", f"{per_cpu:,.0f}", f"{cost:.3f}"])
    return "\n".join(
        [
            f"AugMix, three-view samples of {figures['image_size']} px, batch "
            f"{figures['batch_size']}, severity {figures['severity']:g}, crops "
            f"of photographs",
            timing.table(header, rows),
            f"{figures['ratio']:.1f} times the samples of Pillow per "
            f"CPU-second; first batch after "
            f"{figures['compile_seconds']:.1f} s",
        ]
    )
