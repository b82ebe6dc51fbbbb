"""The draws of corruptions restated, and images to corrupt."""

import zlib

import numpy as np

from noisymix_tf.corruptions import CORRUPTIONS
from noisymix_tf.corruptions.generate import Streams, to_uint8

# The benchmark's order, part of the oracle's seeds.
COMMON = tuple(
    "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur "
    "motion_blur zoom_blur snow frost fog brightness contrast "
    "elastic_transform pixelate jpeg_compression".split()
)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
DETERMINISTIC = (
    "defocus_blur zoom_blur gaussian_blur brightness contrast saturate "
    "pixelate jpeg_compression".split()
)
# Their pixels follow from draws that NumPy's old generator repeats.
REPEATABLE = "glass_blur motion_blur snow fog elastic_transform spatter".split()


def photographs(batch=4, height=32, width=32, channels=3, seed=0):
    """Smooth random images with some texture, uint8, not to be written to."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, [batch, 1, 1, channels])
    wave = np.sin(x[..., None] / 5 + phase) + np.cos(y[..., None] / 7 - phase)
    noise = generator.normal(0, 0.1, [batch, height, width, channels])
    images = np.clip(127 + 55 * (wave + noise), 0, 255).astype(np.uint8)
    images.flags.writeable = False
    return images


def generators(seed, name, level, count):
    entropy = np.random.SeedSequence([seed, zlib.crc32(name.encode()), level])
    key = entropy.generate_state(2, np.uint64)
    for index in range(count):
        counter = np.array([0, 0, 0, index], np.uint64)
        yield np.random.Generator(np.random.Philox(key=key, counter=counter))


class _Legacy(np.random.RandomState):
    """NumPy's old generator under the names of the new one."""

    def standard_normal(self, shape, dtype=np.float64):
        return super().standard_normal(shape).astype(dtype)

    def integers(self, low, high, shape, dtype):
        # The makers' draws are (x, y), from the last pixel to the first.
        return self.randint(low, high, shape).astype(dtype)[:, ::-1, ::-1, ::-1]


class LegacyStreams(Streams):
    """The oracle's draws: image `i` has the old generator's seed key + i."""

    def __iter__(self):
        for index in self.indices.tolist():
            yield _Legacy((self.key + index) % 2**32)


def repeated(name, severity, images, indices, table):
    """Corrupts with the very draws that made the oracle's images."""
    key = (COMMON + EXTRA).index(name) * 100_003 + severity * 10_007
    entry, streams = CORRUPTIONS.get(name), LegacyStreams(key, indices)
    constant = entry.constant(table, severity)
    return to_uint8(entry.function(images, constant, streams))
