"""AugMix beside the same work done with Pillow, one image after the other.

Ours is the function that the input pipeline maps over its batches, and is
mapped over them here: a batch alone leaves threads waiting, which costs
CPU-seconds, too. Draws are included, compilation is excluded. CPU-seconds count
every thread, so that they compare fairly on a machine of any number of cores.
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
from noisymix_tf.training.augmentation import augmentation

# Side of the images -> images of a call, ours and Pillow's.
SIZES = {32: (128, 64), 224: (8, 4)}
# Batches of a call of ours, and seconds in which those ahead are finished.
_BATCHES, _REST = 32, 0.2


@BENCHMARKS.register(
    "augmix", title="AugMix beside Pillow", rounds=20, unit="batches"
)
def run(config, rounds, sizes=SIZES):
    """Times samples, the clean image and its AugMix views, of the config.

    Returns a dict from side to a dict of `"ours"` and `"Pillow"`, `Timing`s of
    a sample. A method without AugMix is a `UsageError`.
    """
    seed = config.seed
    if config.views != "augmix":
        raise UsageError(
            f"--views={config.views} is no AugMix: give a method with AugMix, "
            f"such as --method=noisymix."
        )
    make = augmentation(config)
    options = {
        "num_views": make.keywords["num_views"],
        "severity": config.augmix_severity,
        "width": config.augmix_width,
        "depth": config.augmix_depth,
        "alpha": config.augmix_alpha,
    }
    figures = {}
    for side, (batch, of_pillow) in sizes.items():
        images = photographs(batch, side, seed)
        calls = {
            "ours": _ours(images, make, seed),
            "Pillow": _pillow(images, of_pillow, seed, options),
        }
        timings = timing.interleaved(calls, rounds, warmup=1)
        figures[side] = {
            "ours": timings["ours"].each(batch * _BATCHES),
            "Pillow": timings["Pillow"].each(of_pillow),
        }
        ours, theirs = figures[side].values()
        print(
            f"{side} px, severity {config.augmix_severity:g}, "
            f"{1 + options['num_views']} views: {1 / ours.cpu:,.0f} samples "
            f"per CPU-second, {timing.ratio(theirs.cpus, ours.cpus)} times the "
            f"{1 / theirs.cpu:,.0f} of Pillow (95 % by resampling)"
        )
    return figures


def _ours(images, make, seed):
    images = tf.constant(images)
    batches = iter(
        tf.data.Dataset.counter().map(
            lambda step: augment.batch_views(
                images, augment=make, seed=seed, step=step
            ),
            num_parallel_calls=2 * (os.cpu_count() or 1),
        )
    )

    def call():
        for _ in range(_BATCHES):
            next(batches)
        # As many are ready again then, in this turn's CPU-seconds.
        time.sleep(_REST)

    return call


def _pillow(images, count, seed, options):
    endless, draws = itertools.cycle(images), np.random.default_rng(seed)
    make = functools.partial(pillow_augmix.augmix_views, rng=draws, **options)
    return lambda: [make(i) for i in itertools.islice(endless, count)]


def photographs(count, size, seed=0):
    """Square crops of scikit-learn's two sample photographs, resized.

    Histograms and edges are those of real images, which noise does not have.
    Returns uint8 `[count, size, size, 3]`.
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
