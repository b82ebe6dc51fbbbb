"""`corrupt` and `perturb`: blocks of a batch through a registered function."""

import math
import os
import zlib

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.corruptions import core, selection, weather
from noisymix_tf.errors import UsageError

# Values per block, of images and of one frame of films. A result never depends
# on it; the temporaries of a block this small stay in the processor's cache.
_IMAGE_VALUES = 1 << 17
_FILM_VALUES = 1 << 19


class Streams:
    """One random generator per image of a batch, made only when iterated.

    The generator is counter-based (Philox; Salmon et al., 2011): seed, name and
    level make its key, and the image's index is the top word of its counter, so
    that streams of different images cannot overlap.
    """

    def __init__(self, key, indices):
        self.key = key
        self.indices = np.asarray(indices, np.uint64)

    def __getitem__(self, block):
        return type(self)(self.key, self.indices[block])

    def __iter__(self):
        for index in self.indices:
            counter = np.array([0, 0, 0, index], np.uint64)
            yield np.random.Generator(
                np.random.Philox(key=self.key, counter=counter)
            )

    def draw(self, sample) -> np.ndarray:
        """Stacks `sample(generator)` over the images."""
        return np.stack([sample(generator) for generator in self])


def corrupt(
    images,
    name,
    severity,
    seed=0,
    *,
    table="auto",
    indices=None,
    frost_folder=None,
) -> np.ndarray:
    """Corrupts images as the -C benchmarks do.

    The definitions and constants are those that made CIFAR-10-C and
    ImageNet-C, including the truncation to 8 bits. Nothing is compressed
    afterwards, whereas the released ImageNet-C files are JPEGs of quality 85.

    Args:
        images: uint8 `[B, H, W, C]`, RGB (C = 3) or grey (C = 1).
        name: One of `names()`.
        severity: 1 to 5, or between: the constants are then interpolated, with
            the draws of the severity below. Below 1, down to above 0, images
            are mixed with those of severity 1.
        seed: Int of at least 0. With name, severity and an image's index it
            decides all that is random, whatever the batch size or the order.
        table: Which constants: `"cifar"` (made for 32 pixels), `"imagenet"`
            (made for 224), `"tiny"` (made for the 64 of Tiny ImageNet), or
            `"auto"`: `"cifar"` where min(H, W) < 64, else `"imagenet"`.
        indices: int `[B]`, the places of the images in their dataset; by
            default 0 to B - 1.
        frost_folder: Path of a folder of pictures of frost to use instead of
            those that the library draws.

    Returns:
        uint8 `[B, H, W, C]`; the input is left as it is.

    Raises:
        UsageError: If an argument is not of this form.

    >>> images = np.full([2, 32, 32, 3], 100, np.uint8)
    >>> int(corrupt(images, "brightness", severity=3)[0, 0, 0, 0])
    138
    """
    entry, images = core.CORRUPTIONS.get(name), _images(images)
    severity = selection.severity(severity)
    constant = entry.constant(core.table_for(images.shape, table), severity)
    drawn = max(1, math.floor(severity))
    streams = _streams(seed, name, drawn, indices, len(images))
    options = {"frost_folder": _folder(frost_folder)}
    options = {key: options[key] for key in entry.options}
    corrupted = np.empty_like(images)
    for block in _blocks(images, _IMAGE_VALUES):
        given = images[block], constant, streams[block]
        corrupted[block] = to_uint8(entry.function(*given, **options))
    if severity < 1:
        corrupted = images + severity * (corrupted.astype(np.float64) - images)
        corrupted = np.rint(corrupted).astype(np.uint8)
    return corrupted


def perturb(
    images, name, seed=0, *, table="auto", indices=None, difficulty=1, crop=None
) -> np.ndarray:
    """Turns every image into a sequence of frames, as the -P benchmarks do.

    The definitions and constants are those that made CIFAR-10-P and
    ImageNet-P, with their conversions to 8 bits. Nothing is compressed
    afterwards, whereas the released ImageNet-P files are MP4 films.

    Args:
        images, seed, indices: As in `corrupt`.
        name: One of `perturbation_names()`.
        table: As in `corrupt`; motion blur has no `"tiny"`.
        difficulty: 1 to 3, how strong the noise is. Other perturbations have
            one sequence for all difficulties: there the metric compares frames
            that lie so many steps apart.
        crop: None, or the side of the square that is cut from the centre of
            every frame, so that real pixels come in instead of black:
            ImageNet-P is made of images whose shorter side is 256, with
            `crop=224`.

    Returns:
        uint8 `[B, T, H, W, C]`, or `[B, T, crop, crop, C]`. T = 31, but 21 for
        motion blur and 16 for translations with the constants of CIFAR, and 41
        for translations with those of ImageNet.

    Raises:
        UsageError: If an argument is not of this form.

    >>> images = np.full([2, 32, 32, 3], 100, np.uint8)
    >>> perturb(images, "brightness")[0, ::10, 0, 0, 0].tolist()
    [42, 80, 119, 157]
    """
    entry, images = core.PERTURBATIONS.get(name), _images(images)
    level = entry.level(
        selection.level("Difficulty", difficulty, core.DIFFICULTIES)
    )
    table, window = core.table_for(images.shape, table), _window(images, crop)
    constant, count = entry.constant(table, level), entry.frames[table]
    streams = _streams(seed, f"perturb {name}", level, indices, len(images))
    if not entry.moves:
        images, window = images[window], ...
    batch, *cropped = images[window].shape
    films = np.empty([batch, count, *cropped], np.uint8)
    for block in _blocks(images, _FILM_VALUES):
        frames = entry.function(images[block], constant, streams[block])
        for place, frame in zip(range(count), frames, strict=True):
            films[block, place] = to_uint8(frame[window])
    return films


def version(frost_folder=None) -> str:
    """A word that tells pixels of this generator from those of another.

    It is `VERSION`, with a folder of pictures of frost and a hash of these.

    Raises:
        UsageError: If the folder holds no picture, or one that is broken.
    """
    frost_folder = _folder(frost_folder)
    if frost_folder is None:
        return str(core.VERSION)
    return f"{core.VERSION}+{weather.fingerprint(frost_folder)}"


def to_uint8(images) -> np.ndarray:
    """uint8 as it is; floats clipped to [0, 1] and truncated to 8 bits."""
    if images.dtype == np.uint8:
        return images
    return (np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def _blocks(images, values):
    """Slices of a batch of at most so many values, or of one image."""
    step = max(1, values // images[0].size)
    for start in range(0, len(images), step):
        yield slice(start, start + step)


def _images(images):
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise UsageError(
            f"Corruptions take uint8 images (0 to 255), got {images.dtype}: "
            "scale to 0..255 and cast to uint8 first."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise UsageError(
            "Corruptions take at least one image with pixels, [B, H, W, C] "
            f"with C = 1 or 3, got shape {list(images.shape)}: add the missing "
            "axis, transpose, or skip empty batches."
        )
    return images


def _streams(seed, name, level, indices, batch):
    if not is_whole(seed) or seed < 0:
        raise UsageError(f"A seed is an int of at least 0, got {seed!r}.")
    indices = np.arange(batch) if indices is None else np.asarray(indices)
    if (
        indices.shape != (batch,)
        or not np.issubdtype(indices.dtype, np.integer)
        or indices.min() < 0
    ):
        raise UsageError(
            f"indices must be {batch} ints of at least 0, one per image, got "
            f"{indices.dtype} of shape {list(indices.shape)}."
        )
    # What the images of a cell share.
    entropy = [int(seed), zlib.crc32(name.encode()), level]
    key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return Streams(key, indices)


def _folder(folder):
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise UsageError(
            f"frost_folder is the path of a folder of pictures, got {folder!r}."
        )
    return None if folder is None else os.fspath(folder)


def _window(images, crop):
    """What cuts out the central square of a side."""
    height, width = images.shape[1:3]
    if crop is None:
        return ...
    if not is_whole(crop) or not 1 <= crop <= min(height, width):
        raise UsageError(
            f"crop must be an int from 1 to {min(height, width)}, the shorter "
            f"side of the images, or None, got {crop!r}."
        )
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return np.s_[:, top : top + crop, left : left + crop]
