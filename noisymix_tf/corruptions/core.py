"""Corruptions as data: a small function, ten constants, a few tags.

Every corruption of the benchmark of Hendrycks and Dietterich (2019),
"Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", is one function on a batch, registered with the constants of
its five severities in tables: for images of CIFAR's size, of ImageNet's, and
of Tiny ImageNet's. What they share lives here: the registry, the loop over
blocks of a batch, the final conversion to 8 bits.

Source of the constants: github.com/hendrycks/robustness, make_cifar_c.py,
make_imagenet_c.py and (at 7a64e6a) make_tinyimagenet_c.py.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from noisymix_tf.corruptions import checks
from noisymix_tf.corruptions.streams import Streams, stream_key
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# Raise this whenever any corruption or perturbation gives other pixels than
# before: results measured on the old pixels are then not mistaken for new ones.
VERSION = 2

SEVERITIES = (1, 2, 3, 4, 5)
FAMILIES = ("noise", "blur", "weather", "digital")
SETS = ("common", "extra")
TABLES = ("cifar", "imagenet", "tiny")
# Perturbations that are held out for validation.
EXTRAS = ("cifar_extra", "imagenet_extra", "tiny_extra")

# Below this side, `table="auto"` takes the constants made for 32 pixels.
_AUTO_TABLE_SIDE = 64

# Values per block. A result never depends on it; the temporaries of a block
# this small stay in the processor's cache, and memory stays bounded.
_BLOCK_VALUES = 1 << 17

CORRUPTIONS = Registry("corruption")


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One corruption: what it does and how strongly.

    Attributes:
        name: The benchmark's name, such as `"gaussian_noise"`.
        function: `function(images, constant, streams)`: uint8 `[B, H, W, C]`,
            one entry of a table, and a `Streams` of length B. Returns uint8, or
            float in [0, 1] that is still to be clipped and truncated.
        cifar: Constants of severities 1 to 5 for images of about 32 pixels.
        imagenet: Constants of severities 1 to 5 for about 224 pixels.
        tiny: Constants of severities 1 to 5 for 64 pixels; None without.
        family: `"noise"`, `"blur"`, `"weather"` or `"digital"`.
        set: `"common"` (the fifteen that means are taken over) or `"extra"`
            (the four held out for validation).
        options: Names of the keyword arguments of `corrupt` that the function
            takes besides.
    """

    name: str
    function: Callable
    cifar: tuple
    imagenet: tuple
    family: str
    set: str
    options: tuple = ()
    tiny: tuple | None = None

    def constant(self, severity, table):
        """The constant of a severity 1 to 5 in one of `TABLES`."""
        return constants(self, table)[severity - 1]


def constants(entry, table):
    """What a corruption or a perturbation has in a table."""
    found = getattr(entry, table)
    if found is None:
        raise UsageError(
            f"{entry.name} has no constants for table={table}: leave it out, "
            "or choose another table."
        )
    return found


def corruption(
    name, *, family, cifar, imagenet, tiny=None, extra=False, options=()
):
    """Returns a decorator that registers a function as a corruption.

    Args:
        name, family, cifar, imagenet, tiny, options: As in `Corruption`.
        extra: Whether it is kept out of the benchmark's means.

    Example:

    >>> @corruption("invert", family="digital", extra=True,
    ...             cifar=(.2, .4, .6, .8, 1), imagenet=(.2, .4, .6, .8, 1))
    ... def invert(images, amount, streams):
    ...     return images / 255 * (1 - 2 * amount) + amount
    """
    tables = [t for t in (cifar, imagenet, tiny) if t is not None]
    if family not in FAMILIES or any(len(table) != 5 for table in tables):
        raise ValueError(f"{name}: a known family and five constants a table")

    def add(function):
        CORRUPTIONS.register(name)(
            Corruption(
                name=name,
                function=function,
                cifar=tuple(cifar),
                imagenet=tuple(imagenet),
                tiny=None if tiny is None else tuple(tiny),
                family=family,
                set="extra" if extra else "common",
                options=tuple(options),
            )
        )
        return function

    return add


def names(tag=None):
    """Names of the corruptions, in the benchmark's order.

    Args:
        tag: None for all (common ones first), or one of the sets `"common"` and
            `"extra"`, or a family: `"noise"`, `"blur"`, `"weather"`,
            `"digital"`.

    Returns:
        Tuple of names.

    Raises:
        UsageError: If the tag is not known.

    Example:

    >>> names("extra")[0]
    'speckle_noise'
    """
    if tag is None:
        return names("common") + names("extra")
    checks.tag("corruptions", tag, SETS + FAMILIES)
    return tuple(
        name
        for name, entry in CORRUPTIONS.items()
        if tag in (entry.set, entry.family)
    )


def table_for(shape, table="auto"):
    """The table of constants for images `[..., H, W, C]`, one of `TABLES`.

    `"auto"` is `"cifar"` below 64 pixels and `"imagenet"` from there on, so
    that means at other sizes are over the same corruptions and sequences;
    `"tiny"` is taken where it is asked for.
    """
    if table == "auto":
        side = min(shape[-3:-1])
        return "cifar" if side < _AUTO_TABLE_SIDE else "imagenet"
    if table not in TABLES:
        raise UsageError(
            f"Unknown table of severities {table!r}. "
            f"Known: auto, {', '.join(TABLES)}."
        )
    return table


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
        seed: Non-negative int. With name, severity and an image's index it
            decides all that is random, whatever the batch size or the order.
        table: Which constants: `"cifar"` (made for 32 pixels), `"imagenet"`
            (made for 224), `"tiny"` (made for the 64 of Tiny ImageNet), or
            `"auto"`: `"cifar"` where min(H, W) < 64, else `"imagenet"`.
        indices: int `[B]`, the place of every image in its dataset; by default
            0 to B - 1.
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

    Source: Hendrycks and Dietterich (2019), section 4 and appendix A.
    """
    entry = CORRUPTIONS.get(name)
    images = checks.images(images)
    severity = checks.level("Severity", severity, SEVERITIES)
    constant = entry.constant(severity, table_for(images.shape, table))
    streams = Streams(
        stream_key(checks.seed(seed), name, severity),
        checks.indices(indices, len(images)),
    )
    options = {"frost_folder": checks.folder(frost_folder)}
    function = functools.partial(
        entry.function, **{key: options[key] for key in entry.options}
    )
    corrupted = np.empty_like(images)
    for block in blocks(images, _BLOCK_VALUES):
        corrupted[block] = to_uint8(
            function(images[block], constant, streams[block])
        )
    return corrupted


def version(frost_folder=None):
    """A word that tells pixels of this generator from those of another.

    Args:
        frost_folder: As in `corrupt`.

    Returns:
        `VERSION` as a string; with a folder, a hash of its pictures besides.

    Raises:
        UsageError: If the folder holds no picture, or one that is broken.
    """
    frost_folder = checks.folder(frost_folder)
    if frost_folder is None:
        return str(VERSION)
    from noisymix_tf.corruptions import frost_textures

    return f"{VERSION}+{frost_textures.fingerprint(frost_folder)}"


def blocks(images, values):
    """Slices of a batch of at most so many values, or of one image."""
    step = max(1, values // images[0].size)
    for start in range(0, len(images), step):
        yield slice(start, start + step)


def to_uint8(images):
    """Truncates floats in [0, 1], as the benchmark's makers do.

    Args:
        images: Floats, clipped first, or uint8, left as they are.

    Returns:
        uint8 of the same shape.
    """
    if images.dtype == np.uint8:
        return images
    return (np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
