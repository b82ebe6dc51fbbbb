"""`corrupt` and `perturb`: blocks of a batch through one registered function.

What is random of an image depends on (seed, name, level, its index) and on
nothing else, so that it gets the same pixels in any batch.
"""

import zlib

import numpy as np

from noisymix_tf.corruptions import checks, core, frost_textures

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

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, block):
        return type(self)(self.key, self.indices[block])

    def __iter__(self):
        for index in self.indices:
            counter = np.array([0, 0, 0, index], np.uint64)
            yield np.random.Generator(
                np.random.Philox(key=self.key, counter=counter)
            )

    def draw(self, sample):
        """Stacks `sample(generator)` over the images."""
        return np.stack([sample(generator) for generator in self])


def stream_key(seed, name, level):
    """Mixes what the images of a cell share into a key, uint64 `[2]`."""
    entropy = [seed, zlib.crc32(name.encode()), level]
    return np.random.SeedSequence(entropy).generate_state(2, np.uint64)


def corrupt(
    images,
    name,
    severity,
    seed=0,
    *,
    table="auto",
    indices=None,
    frost_folder=None,
):
    """Corrupts images as the -C benchmarks do.

    The definitions and constants are those that made CIFAR-10-C and
    ImageNet-C, including the truncation to 8 bits. Nothing is compressed
    afterwards, whereas the released ImageNet-C files are JPEGs of quality 85.

    Args:
        images: uint8 `[B, H, W, C]`, RGB (C = 3) or grey (C = 1).
        name: One of `names()`.
        severity: 1 to 5.
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

    Example:

    >>> images = np.full([2, 32, 32, 3], 100, np.uint8)
    >>> brighter = corrupt(images, "brightness", severity=3)
    >>> int(brighter[0, 0, 0, 0])
    138
    """
    entry = core.CORRUPTIONS.get(name)
    images = checks.images(images)
    severity = checks.level("Severity", severity, core.SEVERITIES)
    constant = entry.constant(severity, core.table_for(images.shape, table))
    streams = Streams(
        stream_key(checks.seed(seed), name, severity),
        checks.indices(indices, len(images)),
    )
    options = {"frost_folder": checks.folder(frost_folder)}
    options = {key: options[key] for key in entry.options}
    corrupted = np.empty_like(images)
    for block in _blocks(images, _IMAGE_VALUES):
        given = images[block], constant, streams[block]
        corrupted[block] = to_uint8(entry.function(*given, **options))
    return corrupted


def perturb(
    images, name, seed=0, *, table="auto", indices=None, difficulty=1, crop=None
):
    """Turns every image into a sequence of frames, as the -P benchmarks do.

    The definitions and constants are those that made CIFAR-10-P and
    ImageNet-P, with their conversions to 8 bits. Nothing is compressed
    afterwards, whereas the released ImageNet-P files are MP4 films.

    Args:
        images: uint8 `[B, H, W, C]`, RGB (C = 3) or grey (C = 1).
        name: One of `perturbation_names()`.
        seed: Int of at least 0; decides, with name, difficulty and index.
        table: `"cifar"`, `"imagenet"`, `"tiny"` (not of motion blur) or
            `"auto"`, by the size of the images.
        indices: int `[B]`, the places of the images in their dataset.
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

    Example:

    >>> images = np.full([2, 32, 32, 3], 100, np.uint8)
    >>> films = perturb(images, "brightness")
    >>> films.shape
    (2, 31, 32, 32, 3)
    >>> films[0, ::10, 0, 0, 0].tolist()
    [42, 80, 119, 157]
    """
    entry = core.PERTURBATIONS.get(name)
    images = checks.images(images)
    difficulty = checks.level("Difficulty", difficulty, core.DIFFICULTIES)
    level = entry.level(difficulty)
    window = checks.window(images.shape, crop)
    table = core.table_for(images.shape, table)
    streams = Streams(
        stream_key(checks.seed(seed), f"perturb {name}", level),
        checks.indices(indices, len(images)),
    )
    if not entry.moves:
        images, window = images[:, *window], (slice(None), slice(None))
    constant, count = entry.constant(table, level), entry.frames[table]
    cropped = images[:, *window].shape
    films = np.empty((cropped[0], count, *cropped[1:]), np.uint8)
    for block in _blocks(images, _FILM_VALUES):
        frames = entry.function(images[block], constant, streams[block])
        for place, frame in zip(range(count), frames, strict=True):
            films[block, place] = to_uint8(frame[:, *window])
    return films


def version(frost_folder=None):
    """A word that tells pixels of this generator from those of another.

    It is `VERSION`, with a folder of pictures of frost and a hash of these.

    Raises:
        UsageError: If the folder holds no picture, or one that is broken.
    """
    frost_folder = checks.folder(frost_folder)
    if frost_folder is None:
        return str(core.VERSION)
    return f"{core.VERSION}+{frost_textures.fingerprint(frost_folder)}"


def to_uint8(images):
    """uint8 as it is; floats clipped to [0, 1] and truncated to 8 bits."""
    if images.dtype == np.uint8:
        return images
    return (np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def _blocks(images, values):
    """Slices of a batch of at most so many values, or of one image."""
    step = max(1, values // images[0].size)
    for start in range(0, len(images), step):
        yield slice(start, start + step)
