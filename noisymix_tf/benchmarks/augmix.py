"""AugMix beside the same work done with Pillow, one image after the other.

Ours is mapped over batches as the input pipeline does it: a batch alone leaves
threads waiting, which costs CPU-seconds, too. Draws are included, compilation
is not. CPU-seconds compare fairly on a machine of any number of cores.
"""

import functools
import itertools
import os
import time

import numpy as np
import tensorflow as tf

from noisymix_tf import augment
from noisymix_tf.benchmarks import BENCHMARKS, pillow_augmix, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import Image
from noisymix_tf.training.setup import augmentation

# Side of the images -> images of a call, ours and Pillow's.
_SIZES = {32: (128, 64), 224: (8, 4)}
# Batches of a call of ours, and seconds in which those ahead are finished.
_BATCHES, _REST = 32, 0.2


@BENCHMARKS.register(
    "augmix", title="AugMix beside Pillow", rounds=20, unit="batches"
)
def run(config, rounds) -> dict[int, dict[str, timing.Timing]]:
    """Times samples, the clean image and its AugMix views, of each side."""
    seed, severity = config.seed, config.augmix_severity
    if config.views != "augmix":
        raise UsageError(
            f"--views={config.views} is no AugMix: give a method with AugMix, "
            f"such as --method=noisymix."
        )
    make = augmentation(config)
    of_pillow = functools.partial(
        pillow_augmix.augmix_views,
        num_views=make.keywords["num_views"],
        severity=severity,
        width=config.augmix_width,
        depth=config.augmix_depth,
        alpha=config.augmix_alpha,
    )
    figures, rows = {}, []
    for side, (batch, few) in _SIZES.items():
        images = photographs(batch, side, seed)
        calls = {
            "ours": _ours(images, make, seed),
            "Pillow": _pillow(images, of_pillow, seed, few),
        }
        timings = timing.interleaved(calls, rounds, warmup=1)
        ours = timings["ours"].each(batch * _BATCHES)
        theirs = timings["Pillow"].each(few)
        figures[side] = {"ours": ours, "Pillow": theirs}
        of_both = [f"{1 / each.cpu:,.0f}" for each in (ours, theirs)]
        times = timing.ratio(theirs.cpus, ours.cpus)
        rows.append([f"{side} px", *of_both, times])
    title = (
        f"Samples per CPU-second, each of {make.keywords['num_views']} "
        f"views, severity {severity:g}, 95 % by resampling"
    )
    timing.tell(title, ["", "ours", "Pillow", "times Pillow"], rows)
    return figures


def _ours(images, make, seed):
    images = tf.constant(images)
    views = functools.partial(
        augment.batch_views, images, augment=make, seed=seed
    )
    threads, steps = 2 * (os.cpu_count() or 1), tf.data.Dataset.counter()
    batches = iter(steps.map(lambda step: views(step=step), threads))

    def call():
        for _ in range(_BATCHES):
            next(batches)
        # As many are ready again then, in this turn's CPU-seconds.
        time.sleep(_REST)

    return call


def _pillow(images, make, seed, count):
    endless, draws = itertools.cycle(images), np.random.default_rng(seed)
    return lambda: [make(i, draws) for i in itertools.islice(endless, count)]


def photographs(count, size, seed=0) -> np.ndarray:
    """Square crops of scikit-learn's two sample photographs, resized.

    Uint8 `[count, size, size, 3]`. Histograms and edges are those of real
    images, which noise does not have.
    """
    from sklearn.datasets import load_sample_images

    pictures = map(
        Image.fromarray, itertools.cycle(load_sample_images().images)
    )
    places, crops = np.random.default_rng(seed).integers, []
    for picture in itertools.islice(pictures, count):
        side = places(picture.height // 4, picture.height)
        left, top = places(picture.width - side), places(picture.height - side)
        box = (left, top, left + side, top + side)
        crops.append(picture.resize((size, size), box=box))
    return np.stack(crops)
