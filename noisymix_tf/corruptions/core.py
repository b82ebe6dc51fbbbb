"""Corruptions and perturbations as data: a function, constants, a few tags.

The benchmarks are those of Hendrycks and Dietterich (2019), "Benchmarking
Neural Network Robustness to Common Corruptions and Perturbations". A corruption
changes an image; a perturbation turns it into a short film, with fresh noise in
every frame or something that moves on in small steps.

Source of the constants: github.com/hendrycks/robustness, make_cifar_c.py,
make_imagenet_c.py and (at 7a64e6a) make_tinyimagenet_c.py; of films,
make_cifar_p.py, make_imagenet_p.py and make_tinyimagenet_p.py.
"""

import dataclasses
import math
from collections.abc import Callable

from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# Raise this whenever any corruption or perturbation gives other pixels than
# before: results measured on the old pixels are then not mistaken for new ones.
VERSION = 3

SEVERITIES = (1, 2, 3, 4, 5)
DIFFICULTIES = (1, 2, 3)
FAMILIES = ("noise", "blur", "weather", "digital")
TABLES = ("cifar", "imagenet", "tiny")
# Perturbations that are held out for validation.
EXTRAS = ("cifar_extra", "imagenet_extra", "tiny_extra")

# Below this side, `table="auto"` takes the constants made for 32 pixels.
_AUTO_TABLE_SIDE = 64


class Parts(Registry):
    """Corruptions or perturbations by name; their decorator makes entries."""

    def __init__(self, kind, entry):
        super().__init__(kind)
        self._entry = entry
        self._tags = entry.SETS + entry.FAMILIES

    def register(self, name, **attributes) -> Callable:
        """A decorator that registers a function, with attributes of its entry.

        @CORRUPTIONS.register("invert", family="digital", extra=True,
            cifar=(.2, .4, .6, .8, 1), imagenet=(.2, .4, .6, .8, 1))
        def invert(images, amount, streams):
            return images / 255 * (1 - 2 * amount) + amount
        """
        add = super().register(name)

        def file(function):
            add(self._entry(name=name, function=function, **attributes))
            return function

        return file

    def tagged(self, tag=None, table=None) -> tuple[str, ...]:
        """Names in the benchmark's order, those held out for validation last.

        Args:
            tag: None for all, or a family, or a set. Of corruptions these are
                `"common"` (the fifteen that means are taken over), `"extra"`
                and, which only its own name means, `"c_bar"` (those of
                CIFAR-10-C-bar and of ImageNet-C-bar); of perturbations
                `"cifar"` and `"imagenet"`, the ten that means are taken over
                (spatter in the one, snow in the other), `"tiny"` (those of
                ImageNet without motion blur), and the four held out:
                `"cifar_extra"` and so on.
            table: Only those that have constants in this one of `TABLES`.

        >>> PERTURBATIONS.tagged("noise")
        ('gaussian_noise', 'shot_noise', 'speckle_noise')
        """
        if tag not in (None, *self._tags):
            raise UsageError(
                f"Unknown tag {tag!r} of {self.kind}s. "
                f"Known: {', '.join(self._tags)}."
            )
        found = [
            entry
            for entry in self._entries.values()
            if (tag in entry.tags if tag else entry.family in entry.tags)
            and (table is None or getattr(entry, table) is not None)
        ]
        if tag not in self._entry.SETS:
            found.sort(key=lambda entry: entry.extra)
        return tuple(entry.name for entry in found)

    def chosen(self, words, table=None) -> tuple[str, ...]:
        """What a list of names, tags and `"all"` stands for, in its order.

        Tags and `"all"` mean those with constants in a table, if one is given.
        """
        chosen = {}
        for word in words:
            if word in self.names():
                chosen[word] = True
            elif word in ("all", *self._tags):
                of_tag = self.tagged(None if word == "all" else word, table)
                chosen |= dict.fromkeys(of_tag)
            else:
                raise UsageError(
                    f"Unknown {self.kind} {word!r}. Known: "
                    f"{', '.join(self.names())}. Tags: {', '.join(self._tags)}."
                )
        return tuple(chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What corruptions and perturbations have in common.

    Attributes:
        name: The benchmark's name, such as `"gaussian_noise"`.
        function: `function(images, constant, streams)`: uint8 `[B, H, W, C]`,
            one constant, and one random generator per image, see
            `generate.Streams`. A corruption returns, and a perturbation yields
            frame by frame, `[B, H, W, C]`: uint8, or float in [0, 1] that is
            still to be clipped and truncated.
        family: `"noise"` (the metric compares its frames with the first, all
            others with the frame before), `"blur"`, `"weather"`, or
            `"digital"` of a corruption and `"geometry"` of a perturbation.
        cifar: Constants for images of about 32 pixels: one for each of the
            severities 1 to 5 of a corruption, one for each of the difficulties
            1 to 3 of a perturbation that is noise, and one for any other.
            None where the benchmark for such images lacks it.
        imagenet: Those for about 224 pixels.
        tiny: Those for 64 pixels.
    """

    name: str
    function: Callable
    family: str
    cifar: object = None
    imagenet: object = None
    tiny: object = None

    def __post_init__(self):
        sets = {*self.tags} - {self.family}
        if self.family not in self.FAMILIES or not sets <= {*self.SETS}:
            raise ValueError(f"{self.name}: a known family and known sets")
        for table in (self.cifar, self.imagenet, self.tiny):
            if self.levels and table is not None and len(table) != self.levels:
                raise ValueError(
                    f"{self.name}: {self.levels} constants a table"
                )

    def constants(self, table) -> object:
        """What stands in one of `TABLES`."""
        found = getattr(self, table)
        if found is None:
            raise UsageError(
                f"{self.name} has no constants for table={table}: leave it "
                "out, or choose another table."
            )
        return found

    def constant(self, table, level=1) -> object:
        """That of a severity or difficulty; of no matter which without.

        Between two severities it is interpolated, below 1 it is that of 1.
        """
        found = self.constants(table)
        if not self.levels:
            return found
        below = max(1, math.floor(level))
        above = min(below + 1, self.levels)
        share = max(0.0, level - below)
        return between(found[below - 1], found[above - 1], share)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corruption(Part):
    """One corruption: what it does and how strongly, see `Part`.

    Attributes:
        extra: Whether it is kept out of the benchmark's means, as the four
            that are held out for validation.
        c_bar: Whether it is one of C-bar, see `c_bar.py`.
        options: Names of the keyword arguments of `corrupt` that the function
            takes besides.
    """

    extra: bool = False
    c_bar: bool = False
    options: tuple = ()

    SETS = ("common", "extra", "c_bar")
    FAMILIES = FAMILIES
    levels = len(SEVERITIES)
    # Which of the `SETS`.
    set = property(lambda self: self.SETS[2 if self.c_bar else self.extra])
    tags = property(
        lambda self: (self.set,) if self.c_bar else (self.family, self.set)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Perturbation(Part):
    """One perturbation: what it does, how strongly, for how long, see `Part`.

    Attributes:
        sets: Which of `TABLES` and `EXTRAS` it is part of.
        frames: Number of frames by table.
        moves: Whether pixels move, so that what lies outside of a crop can
            come into it.
    """

    sets: tuple = TABLES
    frames: dict = dataclasses.field(
        default_factory=lambda: dict.fromkeys(TABLES, 31)
    )
    moves: bool = False

    SETS = TABLES + EXTRAS
    FAMILIES = ("noise", "blur", "weather", "geometry")
    levels = property(lambda self: 3 if self.family == "noise" else None)
    tags = property(lambda self: (self.family, *self.sets))
    # Whether every benchmark holds it out for validation.
    extra = property(lambda self: self.sets == EXTRAS)

    def level(self, difficulty) -> int:
        """Which pixels a difficulty means: 1 to 3 for noise, 1 otherwise."""
        return difficulty if self.levels else 1


def between(low, high, share) -> object:
    """A constant some share of the way from one to another.

    Of whole numbers the nearest, of words that of the nearer end.

    >>> between((6, 1.5, "water"), (9, 2.0, "mud"), 0.25)
    (7, 1.625, 'water')
    """
    if share == 0:
        return low
    if isinstance(low, tuple):
        pairs = zip(low, high, strict=True)
        return tuple(between(*pair, share) for pair in pairs)
    if isinstance(low, str):
        return low if share < 0.5 else high
    value = low + share * (high - low)
    are_whole = isinstance(low, int) and isinstance(high, int)
    return round(value) if are_whole else value


CORRUPTIONS = Parts("corruption", Corruption)
PERTURBATIONS = Parts("perturbation", Perturbation)
names = CORRUPTIONS.tagged
perturbation_names = PERTURBATIONS.tagged


def table_for(shape, table="auto") -> str:
    """The table of constants for images `[..., H, W, C]`, one of `TABLES`.

    `"auto"` is `"cifar"` below 64 pixels and `"imagenet"` from there on, so
    that means at other sizes are over the same corruptions and sequences;
    `"tiny"` is taken where it is asked for.
    """
    if table == "auto":
        return "cifar" if min(shape[-3:-1]) < _AUTO_TABLE_SIDE else "imagenet"
    if table not in TABLES:
        raise UsageError(
            f"Unknown table of severities {table!r}. "
            f"Known: auto, {', '.join(TABLES)}."
        )
    return table
