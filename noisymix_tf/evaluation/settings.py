"""What an evaluation measures, checked before anything is measured."""

import dataclasses
import difflib
import math

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.attacks import BALLS, LOSSES
from noisymix_tf.checks import is_real, is_whole, radius
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import selection
from noisymix_tf.probabilities import OUTPUTS


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of `evaluate`, by suite.

    Attributes:
        examples: Measure on a class-balanced, deterministic part of so many
            images; None for all.
        seed: Seed of all that is generated; at least 0.
        outputs: What the model gives: `"logits"`, `"probabilities"`, or
            `"auto"` to find out.
        corruptions: Suite c: names and tags of `corruptions.names`, or one tag
            such as `"extra"`, or `"all"`; None means all common ones.
        severities: Suite c: which of 1 to 5.
        frost_folder: Suite c: pictures of frost, as in `corruptions.corrupt`.
        c_dir: Suite c: read released files instead of generating: a folder of
            CIFAR-10-C arrays or an ImageNet-C tree, or `"tfds"`, `"tfds:DIR"`.
        perturbations: Suite p: names and tags of
            `corruptions.perturbation_names`, or one tag, or `"all"`; None means
            the ten that means are taken over.
        difficulty: Suite p: 1 to 3.
        p_dir: Suite p: released files, CIFAR-10-P arrays or ImageNet-P films.
        p_examples: Suite p: at most so many sequences of each perturbation,
            chosen as `examples` are; each has dozens of frames.
        r_dir: Suite r: ImageNet-R, a tree or `"tfds"`, `"tfds:DIR"`.
        shift_dir: Suite r: images of your own, a folder for each class, named
            as in the dataset; not all classes need be there.
        released_preprocess: What is done to the images of trees on reading,
            such as `"resize256-crop224"`; None for their benchmark's protocol.
        eps: Suites fgsm and pgd: radii of the maximum norm, fractions of the
            pixels' range: numbers or words such as `"4/255"`.
        l2_eps: Suite pgd: radii of the Euclidean norm, as in `attacks.pgd`.
        norms: Suite pgd: `"linf"`, `"l2"` or both.
        attack_losses: Suites fgsm and pgd: what is climbed, see `attacks.fgsm`.
        attack_steps: Suite pgd: number of steps.
        attack_step_size: Suite pgd: length of a step in units of the radius;
            0.25 is the published protocol's.
        attack_restarts: Suite pgd: searches from different starts.
        random_start: Suite pgd: start at a random place of the ball.

    Raises:
        UsageError: If a value cannot be used.
    """

    examples: int | None = None
    seed: int = 0
    outputs: str = "auto"
    corruptions: object = None
    severities: tuple = corruptions_lib.SEVERITIES
    frost_folder: str | None = None
    c_dir: str | None = None
    perturbations: object = None
    difficulty: int = 1
    p_dir: str | None = None
    p_examples: int | None = None
    r_dir: str | None = None
    shift_dir: str | None = None
    released_preprocess: str | None = None
    eps: tuple = ("4/255",)
    l2_eps: tuple = ("0.5",)
    norms: tuple = ("linf",)
    attack_losses: tuple = ("cross_entropy", "log_odds")
    attack_steps: int = 10
    attack_step_size: float = 0.25
    attack_restarts: int = 1
    random_start: bool = True

    def __post_init__(self):
        for name, least in (
            ("seed", 0),
            ("attack_steps", 1),
            ("attack_restarts", 1),
        ):
            at_least(name, getattr(self, name), least)
        for name in ("examples", "p_examples"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        one_of("outputs", self.outputs, OUTPUTS)
        one_of("difficulty", self.difficulty, corruptions_lib.DIFFICULTIES)
        one_of("random_start", self.random_start, (True, False))
        if self.attack_restarts > 1 and not self.random_start:
            raise UsageError(
                f"attack_restarts={self.attack_restarts} without a random "
                "start would search the same again: leave one of them out."
            )
        step = self.attack_step_size
        if not is_real(step) or not 0 < step < math.inf:
            raise UsageError(
                f"attack_step_size={step!r} must be a number above 0, in units "
                "of eps."
            )
        if self.released_preprocess is not None:
            from noisymix_tf.data.preprocess import Preprocess

            Preprocess.parse(self.released_preprocess)
        corruptions_lib.version(self.frost_folder)
        # In one form, so that equal settings make equal cells.
        for name, value in (
            ("corruptions", selection.corruption_names(self.corruptions)),
            ("severities", selection.severity_levels(self.severities)),
            ("perturbations", selection.perturbations(self.perturbations)),
            ("norms", _known("norms", self.norms, BALLS)),
            (
                "attack_losses",
                _known("attack_losses", self.attack_losses, LOSSES),
            ),
            ("eps", _radii("eps", self.eps, 1.0)),
            ("l2_eps", _radii("l2_eps", self.l2_eps)),
        ):
            object.__setattr__(self, name, value)

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


def radius_text(value):
    """A radius in words: `"0.5"`, or `"4/255"` if whole in grey levels."""
    levels = 255 * value
    short = float(f"{value:.2g}") == value
    if not short and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return f"{value:g}"


def at_least(name, value, least):
    """Raises a `UsageError` unless a value is an int of at least `least`."""
    if not is_whole(value):
        raise UsageError(f"{name} must be an int, got {value!r}.")
    if value < least:
        raise UsageError(f"{name} must be at least {least}, got {value}.")


def one_of(name, value, choices):
    """Raises a `UsageError` unless a value is one of the choices."""
    if value not in choices:
        listed = ", ".join(map(str, choices))
        raise UsageError(f"{name}={value!r} must be one of {listed}.")


def _radii(name, values, largest=math.inf):
    """Radii as floats; of two words for one number the first counts."""
    radii = (radius(name, v, largest) for v in selection.sequence(name, values))
    return tuple(dict.fromkeys(radii))


def _known(name, values, registry):
    chosen = selection.sequence(name, values)
    for value in chosen:
        registry.get(value)
    return chosen
