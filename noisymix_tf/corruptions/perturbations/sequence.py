"""Perturbations as data: a generator of frames, its constants, a few tags.

Every perturbation of the -P benchmarks of Hendrycks and Dietterich (2019)
turns an image into a short film: fresh noise in every frame, or something that
moves on in small steps. A classifier that is stable keeps its answer. What the
perturbations share lives here, as that of the corruptions in
`corruptions.core`.

Source of the constants: github.com/hendrycks/robustness, make_cifar_p.py,
make_imagenet_p.py and make_tinyimagenet_p.py.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.corruptions import checks, core
from noisymix_tf.corruptions.streams import Streams, stream_key
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

DIFFICULTIES = (1, 2, 3)
FAMILIES = ("noise", "blur", "weather", "geometry")
SETS = core.TABLES + core.EXTRAS

# Values of one frame of a block of images. A result never depends on it.
_BLOCK_VALUES = 1 << 19

PERTURBATIONS = Registry("perturbation")


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """One perturbation: what it does, how strongly, for how many frames.

    Attributes:
        name: The benchmark's name, such as `"gaussian_noise"`.
        function: `function(images, constant, streams)`: uint8 `[B, H, W, C]`,
            an entry of a table, and a `Streams` of length B. Yields frames
            `[B, H, W, C]`: uint8, or float that is still to be clipped to
            [0, 1] and truncated to 8 bits.
        cifar: Constant for images of about 32 pixels. Of noise, a tuple of
            three: one for every difficulty.
        imagenet: The same for about 224 pixels.
        tiny: The same for 64 pixels; None without.
        frames: Number of frames by table, `{"cifar": T, ...}`.
        family: `"noise"`, `"blur"`, `"weather"` or `"geometry"`. The metric
            compares noise with the first frame, all others with the frame
            before.
        sets: Which of `SETS` it is part of.
        moves: Whether pixels move, so that what lies outside of a crop can
            come into it.
    """

    name: str
    function: Callable
    cifar: object
    imagenet: object
    frames: dict
    family: str
    sets: tuple
    moves: bool
    tiny: object = None

    def level(self, difficulty):
        """Which pixels a difficulty means: 1 to 3 for noise, 1 otherwise."""
        return difficulty if self.family == "noise" else 1

    def constant(self, table, difficulty=1):
        """The constant in one of `core.TABLES` at a difficulty."""
        constant = core.constants(self, table)
        return constant[difficulty - 1] if self.family == "noise" else constant


def perturbation(
    name,
    *,
    family,
    sets,
    cifar,
    imagenet,
    tiny=None,
    frames=(31, 31, 31),
    moves=False,
):
    """Returns a decorator that registers a generator as a perturbation.

    Args:
        name, family, sets, cifar, imagenet, tiny, moves: As in `Perturbation`.
        frames: How many frames the generator yields with each constant.

    Example:

    >>> @perturbation("fade", family="weather", sets=(),
    ...               cifar=1 / 30, imagenet=1 / 30)
    ... def fade(images, step, streams):
    ...     for frame in range(31):
    ...         yield images / 255 * (1 - frame * step)
    """
    levels = len(DIFFICULTIES)
    if family not in FAMILIES or not set(sets) <= set(SETS):
        raise ValueError(f"{name}: a known family and known sets")
    tables = [t for t in (cifar, imagenet, tiny) if t is not None]
    if family == "noise" and any(len(table) != levels for table in tables):
        raise ValueError(f"{name}: {levels} constants a table")

    def add(function):
        PERTURBATIONS.register(name)(
            Perturbation(
                name=name,
                function=function,
                cifar=cifar,
                imagenet=imagenet,
                tiny=tiny,
                frames=dict(zip(core.TABLES, frames)),
                family=family,
                sets=tuple(sets),
                moves=moves,
            )
        )
        return function

    return add


def perturbation_names(tag=None):
    """Names of the perturbations, in the benchmark's order.

    Args:
        tag: None for all (those held out in both benchmarks last); a set:
            `"cifar"` and `"imagenet"` are the ten that means are taken over
            (spatter in the one, snow in the other), `"tiny"` those of ImageNet
            without motion blur; `"cifar_extra"`, `"imagenet_extra"` and
            `"tiny_extra"` the four held out for validation; or a family:
            `"noise"` (the metric compares it with the first frame), `"blur"`,
            `"weather"`, `"geometry"`.

    Returns:
        Tuple of names.

    Raises:
        UsageError: If the tag is not known.

    Example:

    >>> perturbation_names("noise")
    ('gaussian_noise', 'shot_noise', 'speckle_noise')
    """
    if tag is not None:
        checks.tag("perturbations", tag, SETS + FAMILIES)
    chosen = [
        entry
        for _, entry in PERTURBATIONS.items()
        if tag is None or tag == entry.family or tag in entry.sets
    ]
    if tag is None:
        chosen.sort(key=lambda entry: entry.sets == core.EXTRAS)
    return tuple(entry.name for entry in chosen)


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
        seed: Non-negative int. With name, difficulty and an image's index it
            decides all that is random, whatever the batch size or the order.
        table: As in `corrupt`; motion blur has none in `"tiny"`.
        indices: int `[B]`, the place of every image in its dataset; by default
            0 to B - 1.
        difficulty: 1 to 3, how strong the noise is. Other perturbations have
            one sequence for all difficulties: there the metric compares frames
            that lie so many steps apart.
        crop: None, or the side of the square that is cut from the centre of
            every frame. What moves then brings in real pixels instead of
            black: ImageNet-P is made of images whose shorter side is 256, with
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

    Source: Hendrycks and Dietterich (2019), section 4.3 and appendix.
    """
    entry = PERTURBATIONS.get(name)
    images = checks.images(images)
    level = entry.level(checks.level("Difficulty", difficulty, DIFFICULTIES))
    window = _window(images.shape, crop)
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
    for block in core.blocks(images, _BLOCK_VALUES):
        frames = entry.function(images[block], constant, streams[block])
        for place, frame in zip(range(count), frames, strict=True):
            films[block, place] = core.to_uint8(frame[:, *window])
    return films


def _window(shape, crop):
    """The central square of a side, as slices of rows and columns."""
    height, width = shape[1:3]
    if crop is None:
        return slice(None), slice(None)
    if not is_whole(crop) or not 1 <= crop <= min(height, width):
        raise UsageError(
            f"crop must be an int from 1 to {min(height, width)}, the shorter "
            f"side of the images, or None, got {crop!r}."
        )
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return slice(top, top + crop), slice(left, left + crop)
