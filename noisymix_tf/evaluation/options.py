"""Options of an evaluation: which suites, what they measure, and how."""

import dataclasses
import difflib
import functools
import math

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.attacks import BALLS, LOSSES
from noisymix_tf.checks import radius, radius_text
from noisymix_tf.corruptions import selection
from noisymix_tf.corruptions.selection import sequence
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.suites import SUITES
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    NOT_EMPTY,
    POSITIVE,
    Options,
    Range,
    between,
    flags_of,
    option,
)
from noisymix_tf.probabilities import OUTPUTS

# What is measured of a model is no part of its training.
_option = functools.partial(option, free=True)
_list = functools.partial(_option, range=NOT_EMPTY)
_path = functools.partial(_option, None, exists=True)
_COUNT = between(1, 2**31 - 1)
_FILES = ("c_dir", "c_bar_dir", "p_dir", "r_dir", "shift_dir")


@dataclasses.dataclass(frozen=True)
class Settings(Options):
    """What suites measure, and how.

    The options of `evaluate`, by suite. Corruptions and perturbations may be
    one name or tag, `"all"`, or None for the default. `UsageError` if a value
    cannot be used.
    """

    PREFIX = ""

    examples: int | None = _option(
        None,
        "Measure on a class-balanced, deterministic part of so many images.",
        _COUNT,
    )
    outputs: str = _option(
        "auto",
        "What the model gives: logits, probabilities, or auto to find out.",
        choices=OUTPUTS,
    )
    seed: int = _option(
        0,
        "Seed of all that the evaluation generates.",
        AT_LEAST_0,
        flag="eval_seed",
    )
    corruptions: tuple[str, ...] | None = _option(
        None,
        "Corruptions of suite c, or words for several of them: common, extra, "
        "all, noise, blur, weather, digital; by default all common ones.",
    )
    severities: tuple[str, ...] = _option(
        (1, 2, 3, 4, 5),
        "Severities of suites c and c_bar, also between the benchmark's, by "
        "interpolation of its constants; FROM:TO:STEP stands for several.",
    )
    failure_share: float | None = _option(
        None,
        "Of suites c and c_bar: also tell at which severity accuracy falls "
        "below this share of the clean accuracy.",
        Range(lambda v: 0 < v < 1, "between 0 and 1"),
    )
    frost_folder: str | None = _path(
        "Folder of pictures of frost, instead of those drawn by this package."
    )
    table: str = _option(
        "auto",
        "Constants of the severities of suites c, c_bar and p: cifar (made for "
        "32 pixels), tiny (64), imagenet (224), or auto by the images' size.",
        choices=("auto", *corruptions_lib.TABLES),
    )
    c_dir: str | None = _path(
        "Released files for suite c instead of generated images: CIFAR-10-C "
        "arrays, an ImageNet-C tree, or tfds:DIR (cifar10_corrupted, "
        "imagenet2012_corrupted, prepared in DIR)."
    )
    c_bar_dir: str | None = _path(
        "Released files for suite c_bar: CIFAR-10-C-bar arrays or an "
        "ImageNet-C-bar tree."
    )
    perturbations: tuple[str, ...] | None = _option(
        None,
        "Perturbations of suite p, or words for several of them: cifar, "
        "imagenet, noise, all and others; by default the ten of the benchmark.",
    )
    difficulty: int = _option(1, "Difficulty of suite p.", between(1, 3))
    p_dir: str | None = _path(
        "Released files for suite p: CIFAR-10-P arrays or ImageNet-P films."
    )
    temperature: float | None = _option(
        None,
        "Of suite calibration: also with logits divided by this. By default "
        "what the model's card has, fitted on images kept out of training.",
        POSITIVE,
    )
    p_examples: int | None = _option(
        None,
        "Sequences of each perturbation of suite p, at most; each has dozens "
        "of frames.",
        _COUNT,
    )
    r_dir: str | None = _path(
        "ImageNet-R for suite r: a tree, or tfds:DIR.", tree=True
    )
    shift_dir: str | None = _option(
        None,
        "Images of your own for suite r: a folder for each class, named as in "
        "the dataset; not all classes need be there. Of several sets "
        "NAME:DIR,NAME:DIR. Published ones as tensorflow-datasets prepared "
        "them in DIR: imagenet_a:tfds:DIR; or imagenet_r, imagenet_v2, "
        "imagenet_sketch, imagenet2012_real, cifar10_1.",
        address=True,
        tree=True,
    )
    adapt: str = _option(
        "none",
        "Measure suites c, c_bar and r once more, in columns of their own, of "
        "a model that adapts to each batch: bn (batch normalisation by the "
        "statistics of the batch), or none.",
        choices=("none", "bn"),
    )
    prior: int = _option(
        16,
        "With adapt: how many images the statistics that the model has learnt "
        "count as, beside those of the batch.",
        AT_LEAST_0,
    )
    released_preprocess: str | None = _option(
        None,
        "What is done to the images of released trees, in the words of "
        "preprocess; by default the protocol of their benchmark.",
    )
    eps: tuple[str, ...] = _list(
        ("4/255",),
        "Radii of attacks in the maximum norm, fractions of the range of "
        "pixels: 4/255 are four grey levels.",
    )
    l2_eps: tuple[str, ...] = _list(
        ("0.5",),
        "Radii of attacks in the Euclidean norm of a whole image, fractions of "
        "the range of pixels: 0.5 are 127.5 grey levels.",
    )
    norms: tuple[str, ...] = _list(
        ("linf",),
        "Norms of pgd and autoattack: linf, l2.",
        choices=BALLS,
        flag="attack_norms",
    )
    attack_losses: tuple[str, ...] = _list(
        ("cross_entropy", "log_odds"),
        "What attacks climb: cross_entropy (as published numbers), log_odds "
        "(the same without its rounding in float32).",
        choices=LOSSES,
    )
    attack_steps: int = _option(10, "Steps of pgd.", _COUNT)
    attack_step_size: float = _option(
        0.25, "Length of a step of pgd in radii.", POSITIVE
    )
    attack_restarts: int = _option(
        1, "Searches of pgd; the worst end counts.", _COUNT
    )
    random_start: bool = _option(
        True,
        "Start pgd at a random place of the ball.",
        flag="attack_random_start",
    )

    def __post_init__(self):
        # In one form, so that equal settings make equal cells.
        for name, value in (
            ("corruptions", selection.corruption_names(self.corruptions)),
            ("severities", selection.severity_levels(self.severities)),
            ("perturbations", selection.perturbations(self.perturbations)),
            ("norms", sequence("norms", self.norms)),
            ("attack_losses", sequence("attack_losses", self.attack_losses)),
            ("eps", _radii("eps", self.eps, 1.0)),
            ("l2_eps", _radii("l2_eps", self.l2_eps)),
        ):
            object.__setattr__(self, name, value)
        super().__post_init__()
        corruptions_lib.version(self.frost_folder)
        preprocess, files = self.released_preprocess, ", ".join(_FILES)
        if preprocess is not None:
            Preprocess.parse(preprocess)
        for is_idle, words in (
            (
                self.attack_restarts > 1 and not self.random_start,
                f"attack_restarts={self.attack_restarts} without a random "
                "start would search the same again: leave one of them out.",
            ),
            (
                self.adapt == "none" and self.prior != type(self).prior,
                f"prior={self.prior} would do nothing without adapt=bn: give "
                "both, or leave it out.",
            ),
            (
                preprocess and not any(getattr(self, name) for name in _FILES),
                f"released_preprocess={preprocess} would do nothing without "
                f"one of {files}.",
            ),
            (
                self.c_dir and self.frost_folder,
                f"frost_folder={self.frost_folder} would do nothing: the "
                f"images of c_dir={self.c_dir} are made already. Leave one "
                "out.",
            ),
        ):
            if is_idle:
                raise UsageError(words)

    def chosen(self) -> set[str]:
        """Names of the options of suites that differ from their defaults."""
        usual, shared = vars(type(self)()), {"examples", "seed", "outputs"}
        return {n for n, v in vars(self).items() if v != usual[n]} - shared

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
    radii = [radius(name, v, largest) for v in sequence(name, values)]
    radii = tuple(dict.fromkeys(radii))
    texts = [*map(radius_text, radii)]
    if doubled := [text for text in texts if texts.count(text) > 1]:
        raise UsageError(
            f"{name}: two radii are {doubled[0]} as far as reports tell: leave "
            "one out."
        )
    return radii


def checked(suites, settings) -> tuple[list, Settings]:
    """The `Suite`s and `Settings` of names and a dict of options.

    Raises:
        UsageError: A name is not known, a value cannot be used, or an option
            would do nothing for these suites.
    """
    chosen = {n: SUITES.get(n)() for n in sequence("suites", suites)}
    settings = Settings.of(settings)
    for what, why in _idle(chosen, settings):
        raise UsageError(f"{what} would do nothing: {why}")
    return [*chosen.values()], settings


def _idle(chosen, of):
    """Yields each option that does nothing for these suites, and why."""
    given, suites = of.chosen(), chosen.values()
    for name in sorted(given.difference(*(s.options for s in suites))):
        owners = [n for n, s in SUITES.items() if name in s.options]
        yield (
            f"{name}={getattr(of, name)!r}",
            f"it is for suite {' or '.join(owners)}, which is not among "
            f"{', '.join(chosen)}. Leave it out, or add the suite.",
        )
    # Suite calibration is about the cells of c.
    made = [
        "c" if s.of else n for n, s in chosen.items() if "table" in s.options
    ]
    # A suite of a user's own reads no files.
    read = [getattr(of, f"{name}_dir", None) for name in made]
    if of.table != "auto" and read and all(read):
        files = ", ".join(dict.fromkeys(map(str, read)))
        why = f"the images of {files} are made already. Leave it out."
        yield f"table={of.table}", why
    for name, norm in (("eps", "linf"), ("l2_eps", "l2")):
        # Suite fgsm has but the one norm.
        is_free = all("norms" in s.options for s in suites if name in s.options)
        if name in given and norm not in of.norms and is_free:
            yield (
                f"{name}={','.join(map(radius_text, getattr(of, name)))}",
                f"it is for norm {norm}, the norms are {', '.join(of.norms)}. "
                "Leave it out, or add the norm.",
            )
    if of.frost_folder and "frost" not in of.corruptions:
        why = "frost is not among the corruptions. Leave it out, or add frost."
        yield f"frost_folder={of.frost_folder}", why
    is_clean = any("clean" in (s.of or (n,)) for n, s in chosen.items())
    if of.failure_share is not None and not is_clean:
        why = "it is a share of the accuracy on clean images. Add suite clean."
        yield f"failure_share={of.failure_share}", why


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(flags_of(Settings)):
    """What is measured."""

    suites: tuple[str, ...] = _list(
        ("clean", "c"),
        "Suites: clean, c (corruptions), c_bar (ten others, which training "
        "methods were not made with in mind), p (stability along sequences), r "
        "(ImageNet-R or another shifted set), fgsm, pgd, autoattack (needs "
        "packages of its own), calibration (the cells of clean and c).",
        choices=SUITES,
        first=True,
    )
    reference: str | None = _path(
        "What errors and flips are divided by: the report.json of another "
        "run, a file of constants, or alexnet (the default for 1,000 classes)."
    )
    eval_batch_size: int = _option(
        250, "Images a batch of the evaluation.", AT_LEAST_1
    )
    num_workers: int | None = _option(
        None,
        "Processes that make images for the evaluation, 0 for none; by default "
        "one for each core, but no more than one for each thousand images.",
        AT_LEAST_0,
    )

    def __post_init__(self):
        super().__post_init__()
        # Words of a command line and numbers are the same.
        levels = selection.severity_levels(self.severities)
        object.__setattr__(self, "severities", levels)
        # Their names, radii and files are known without a model.
        Settings(**self.settings())

    def settings(self) -> dict:
        """The options of `evaluation.Settings`, by name."""
        return self.arguments(Settings)

    def measured(self) -> dict:
        """What `evaluation.plan` and `evaluation.evaluate` take of it."""
        own = {"suites": self.suites, "reference": self.reference}
        return own | {"batch_size": self.eval_batch_size} | self.settings()
