"""What an evaluation measures, checked before anything is measured."""

import dataclasses
import difflib
import math

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.attacks import BALLS, LOSSES
from noisymix_tf.checks import radius
from noisymix_tf.corruptions import selection
from noisymix_tf.corruptions.selection import sequence
from noisymix_tf.errors import UsageError
from noisymix_tf.options import (
    AT_LEAST_0,
    NOT_EMPTY,
    POSITIVE,
    Options,
    between,
    option,
)
from noisymix_tf.probabilities import OUTPUTS

_COUNT = between(1, 2**31 - 1)


@dataclasses.dataclass(frozen=True)
class Settings(Options):
    """What suites measure, and how.

    The options of `evaluate`, by suite. Lists may be given as one name or tag,
    `"all"`, or None for the default.

    Raises:
        UsageError: If a value cannot be used.
    """

    PREFIX = ""

    examples: int | None = option(
        None,
        "Measure on a class-balanced, deterministic part of so many images.",
        range=_COUNT,
        free=True,
    )
    outputs: str = option(
        "auto",
        "What the model gives: logits, probabilities, or auto to find out.",
        choices=OUTPUTS,
        free=True,
    )
    seed: int = option(
        0,
        "Seed of all that the evaluation generates.",
        range=AT_LEAST_0,
        free=True,
        flag="eval_seed",
    )
    corruptions: tuple[str, ...] | None = option(
        None,
        "Corruptions of suite c, or words for several of them: common, extra, "
        "all, noise, blur, weather, digital; by default all common ones.",
        free=True,
    )
    severities: tuple[int, ...] = option(
        (1, 2, 3, 4, 5), "Severities of suite c.", free=True
    )
    frost_folder: str | None = option(
        None,
        "Folder of pictures of frost, instead of those drawn by this package.",
        free=True,
        exists=True,
    )
    table: str = option(
        "auto",
        "Constants of the severities of suites c and p: cifar (made for 32 "
        "pixels), tiny (64), imagenet (224), or auto by the images' size.",
        choices=("auto", *corruptions_lib.TABLES),
        free=True,
    )
    c_dir: str | None = option(
        None,
        "Released files for suite c instead of generated images: CIFAR-10-C "
        "arrays, an ImageNet-C tree, or tfds:DIR (cifar10_corrupted, "
        "imagenet2012_corrupted, prepared in DIR).",
        free=True,
        exists=True,
    )
    perturbations: tuple[str, ...] | None = option(
        None,
        "Perturbations of suite p, or words for several of them: cifar, "
        "imagenet, noise, all and others; by default the ten of the benchmark.",
        free=True,
    )
    difficulty: int = option(
        1, "Difficulty of suite p.", range=between(1, 3), free=True
    )
    p_dir: str | None = option(
        None,
        "Released files for suite p: CIFAR-10-P arrays or ImageNet-P films.",
        free=True,
        exists=True,
    )
    p_examples: int | None = option(
        None,
        "Sequences of each perturbation of suite p, at most; each has dozens "
        "of frames.",
        range=_COUNT,
        free=True,
    )
    r_dir: str | None = option(
        None,
        "ImageNet-R for suite r: a tree, or tfds:DIR.",
        free=True,
        exists=True,
        tree=True,
    )
    shift_dir: str | None = option(
        None,
        "Images of your own for suite r: a folder for each class, named as in "
        "the dataset; not all classes need be there. Of several sets "
        "NAME:DIR,NAME:DIR.",
        address=True,
        free=True,
        tree=True,
    )
    released_preprocess: str | None = option(
        None,
        "What is done to the images of released trees, in the words of "
        "preprocess; by default the protocol of their benchmark.",
        free=True,
    )
    eps: tuple[str, ...] = option(
        ("4/255",),
        "Radii of attacks in the maximum norm, fractions of the range of "
        "pixels: 4/255 are four grey levels.",
        range=NOT_EMPTY,
        free=True,
    )
    l2_eps: tuple[str, ...] = option(
        ("0.5",),
        "Radii of attacks in the Euclidean norm of a whole image, fractions of "
        "the range of pixels: 0.5 are 127.5 grey levels.",
        range=NOT_EMPTY,
        free=True,
    )
    norms: tuple[str, ...] = option(
        ("linf",),
        "Norms of pgd and autoattack: linf, l2.",
        choices=BALLS,
        range=NOT_EMPTY,
        free=True,
        flag="attack_norms",
    )
    attack_losses: tuple[str, ...] = option(
        ("cross_entropy", "log_odds"),
        "What attacks climb: cross_entropy (as published numbers), log_odds "
        "(the same without its rounding in float32).",
        choices=LOSSES,
        range=NOT_EMPTY,
        free=True,
    )
    attack_steps: int = option(10, "Steps of pgd.", range=_COUNT, free=True)
    attack_step_size: float = option(
        0.25, "Length of a step of pgd in radii.", range=POSITIVE, free=True
    )
    attack_restarts: int = option(
        1, "Searches of pgd; the worst end counts.", range=_COUNT, free=True
    )
    random_start: bool = option(
        True,
        "Start pgd at a random place of the ball.",
        free=True,
        flag="attack_random_start",
    )

    def __post_init__(self):
        corruptions_lib.version(self.frost_folder)
        # In one form, so that equal settings make equal cells.
        for name, value in (
            ("corruptions", selection.corruption_names(self.corruptions)),
            ("severities", selection.severity_levels(self.severities)),
            ("perturbations", selection.perturbations(self.perturbations)),
            ("norms", sequence("norms", self.norms)),
            (
                "attack_losses",
                sequence("attack_losses", self.attack_losses),
            ),
            ("eps", _radii("eps", self.eps, 1.0)),
            ("l2_eps", _radii("l2_eps", self.l2_eps)),
        ):
            object.__setattr__(self, name, value)
        super().__post_init__()
        if self.attack_restarts > 1 and not self.random_start:
            raise UsageError(
                f"attack_restarts={self.attack_restarts} without a random "
                "start would search the same again: leave one of them out."
            )
        self._check_sources()

    def _check_sources(self):
        """Refuses what means nothing to images that are read, or made."""
        files = {
            name: getattr(self, name)
            for name in ("c_dir", "p_dir", "r_dir", "shift_dir")
        }
        if self.released_preprocess is not None:
            from noisymix_tf.data.preprocess import Preprocess

            Preprocess.parse(self.released_preprocess)
            if not any(files.values()):
                raise UsageError(
                    f"released_preprocess={self.released_preprocess} would do "
                    f"nothing without one of {', '.join(files)}."
                )
        for name in ("frost_folder", "table"):
            value = getattr(self, name)
            if self.c_dir and value not in (None, "auto"):
                raise UsageError(
                    f"{name}={value} would do nothing: the images of "
                    f"c_dir={self.c_dir} are made already. Leave one out."
                )

    def chosen(self):
        """Names of the options of suites that differ from their defaults."""
        shared = ("examples", "seed", "outputs")
        usual = type(self)()
        return {
            field.name
            for field in dataclasses.fields(self)
            if field.name not in shared
            and getattr(self, field.name) != getattr(usual, field.name)
        }

    @classmethod
    def of(cls, options):
        """Settings out of keyword arguments; an unknown name is told."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, 3)
                hint = f"did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(
                    f"evaluate has no option {name!r}: "
                    f"{hint or 'known are ' + ', '.join(known) + '.'}"
                )
        return cls(**options)


def _radii(name, values, largest=math.inf):
    """Radii as floats; of two words for one number the first counts."""
    radii = (radius(name, v, largest) for v in sequence(name, values))
    return tuple(dict.fromkeys(radii))
