"""Flags of the evaluation; what they mean is that of `evaluation.Settings`."""

import dataclasses
import math

from noisymix_tf.checks import radius
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    NOT_EMPTY,
    POSITIVE,
    SEVERITIES,
    Group,
    Range,
    field,
)

# Flags whose option has another name.
_SETTINGS = {
    "eval_seed": "seed",
    "attack_norms": "norms",
    "attack_random_start": "random_start",
}
SUITES = ("clean", "c", "p", "r", "fgsm", "pgd", "autoattack", "calibration")
NORMS, LOSSES = ("linf", "l2"), ("cross_entropy", "log_odds")
_DIFFICULTY = Range(lambda v: 1 <= v <= 3, "1, 2 or 3")


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(Group):
    """What is measured."""

    suites: tuple[str, ...] = field(
        ("clean", "c"),
        "Suites: clean, c (corruptions), p (stability along sequences), r "
        "(ImageNet-R or another shifted set), fgsm, pgd, autoattack (needs "
        "packages of its own), calibration (the cells of clean and c).",
        known=("suite", SUITES, "noisymix_tf.evaluation.suites"),
        range=NOT_EMPTY,
        free=True,
    )
    examples: int | None = field(
        None,
        "Measure on a class-balanced, deterministic part of so many images.",
        kind=int,
        range=AT_LEAST_1,
        free=True,
    )
    corruptions: tuple[str, ...] = field(
        (),
        "Corruptions of suite c, or words for several of them: common, extra, "
        "all, noise, blur, weather, digital; by default all common ones.",
        free=True,
    )
    severities: tuple[int, ...] = field(
        (1, 2, 3, 4, 5),
        "Severities of suite c.",
        range=SEVERITIES,
        item=int,
        free=True,
    )
    frost_folder: str | None = field(
        None,
        "Folder of pictures of frost, instead of those drawn by this package.",
        kind=str,
        free=True,
    )
    table: str = field(
        "auto",
        "Constants of the severities of suites c and p: cifar (made for 32 "
        "pixels), tiny (64), imagenet (224), or auto by the images' size.",
        choices=("auto", "cifar", "tiny", "imagenet"),
        free=True,
    )
    c_dir: str | None = field(
        None,
        "Released files for suite c instead of generated images: CIFAR-10-C "
        "arrays, an ImageNet-C tree, or tfds:DIR (cifar10_corrupted, "
        "imagenet2012_corrupted, prepared in DIR).",
        kind=str,
        free=True,
    )
    perturbations: tuple[str, ...] = field(
        (),
        "Perturbations of suite p, or words for several of them: cifar, "
        "imagenet, noise, all and others; by default the ten of the benchmark.",
        free=True,
    )
    difficulty: int = field(
        1, "Difficulty of suite p.", range=_DIFFICULTY, free=True
    )
    p_dir: str | None = field(
        None,
        "Released files for suite p: CIFAR-10-P arrays or ImageNet-P films.",
        kind=str,
        free=True,
    )
    p_examples: int | None = field(
        None,
        "Sequences of each perturbation of suite p, at most; each has dozens "
        "of frames.",
        kind=int,
        range=AT_LEAST_1,
        free=True,
    )
    r_dir: str | None = field(
        None,
        "ImageNet-R for suite r: a tree, or tfds:DIR.",
        kind=str,
        free=True,
    )
    shift_dir: str | None = field(
        None,
        "Images of your own for suite r: a folder for each class, named as in "
        "the dataset; not all classes need be there. Of several sets "
        "NAME:DIR,NAME:DIR.",
        kind=str,
        address=True,  # What looks like one is the name of a set.
        free=True,
    )
    released_preprocess: str | None = field(
        None,
        "What is done to the images of released trees, in the words of "
        "preprocess; by default the protocol of their benchmark.",
        kind=str,
        free=True,
    )
    eps: tuple[str, ...] = field(
        ("4/255",),
        "Radii of attacks in the maximum norm, fractions of the range of "
        "pixels: 4/255 are four grey levels.",
        range=NOT_EMPTY,
        free=True,
    )
    l2_eps: tuple[str, ...] = field(
        ("0.5",),
        "Radii of attacks in the Euclidean norm of a whole image, fractions of "
        "the range of pixels: 0.5 are 127.5 grey levels.",
        range=NOT_EMPTY,
        free=True,
    )
    attack_norms: tuple[str, ...] = field(
        ("linf",),
        "Norms of pgd and autoattack: linf, l2.",
        known=("norm", NORMS, "noisymix_tf.attacks"),
        range=NOT_EMPTY,
        free=True,
    )
    attack_losses: tuple[str, ...] = field(
        ("cross_entropy", "log_odds"),
        "What attacks climb: cross_entropy (as published numbers), log_odds "
        "(the same without its rounding in float32).",
        known=("loss", LOSSES, "noisymix_tf.attacks"),
        range=NOT_EMPTY,
        free=True,
    )
    attack_steps: int = field(10, "Steps of pgd.", range=AT_LEAST_1, free=True)
    attack_step_size: float = field(
        0.25, "Length of a step of pgd in radii.", range=POSITIVE, free=True
    )
    attack_restarts: int = field(
        1, "Searches of pgd; the worst end counts.", range=AT_LEAST_1, free=True
    )
    attack_random_start: bool = field(
        True, "Start pgd at a random place of the ball.", free=True
    )
    reference: str | None = field(
        None,
        "What errors and flips are divided by: the report.json of another "
        "run, a file of constants, or alexnet (the default for 1,000 classes).",
        kind=str,
        free=True,
    )
    outputs: str = field(
        "auto",
        "What the model gives: logits, probabilities, or auto to find out.",
        choices=("auto", "logits", "probabilities"),
        free=True,
    )
    eval_batch_size: int = field(
        250, "Images a batch of the evaluation.", range=AT_LEAST_1, free=True
    )
    num_workers: int | None = field(
        None,
        "Processes that make images for the evaluation, 0 for none; by default "
        "one for each core, but no more than one for each thousand images.",
        kind=int,
        range=AT_LEAST_0,
        free=True,
    )
    eval_seed: int = field(
        0,
        "Seed of all that the evaluation generates.",
        range=AT_LEAST_0,
        free=True,
    )

    def __post_init__(self):
        super().__post_init__()
        # Of the Euclidean norm, the largest depends on the images.
        for name, largest in (("eps", 1.0), ("l2_eps", math.inf)):
            for value in getattr(self, name):
                radius(f"--{name}", value, largest)
        if self.corruptions or self.perturbations:
            # Their names are known without TensorFlow.
            from noisymix_tf.corruptions import selection

            selection.corruption_names(self.corruptions or None)
            selection.perturbations(self.perturbations or None)

    def settings(self):
        """The options of `evaluation.Settings`, by name."""
        others = ("suites", "reference", "eval_batch_size", "num_workers")
        given = {
            _SETTINGS.get(field.name, field.name): getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in others
        }
        # An empty list stands for the default.
        return {k: None if v == () else v for k, v in given.items()}
