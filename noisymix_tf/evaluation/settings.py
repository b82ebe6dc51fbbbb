"""What an evaluation measures, checked before anything is measured."""

import dataclasses
import difflib
import math

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.attacks import BALLS, LOSSES, checks
from noisymix_tf.checks import is_real, radius
from noisymix_tf.corruptions import selection
from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import OUTPUTS

_COUNTS = ("seed", "examples", "p_examples", "attack_steps", "attack_restarts")
_CHOICES = {
    "outputs": OUTPUTS,
    "difficulty": corruptions_lib.DIFFICULTIES,
    "random_start": (True, False),
    "table": ("auto", *corruptions_lib.TABLES),
}
_KNOWN = {"norms": BALLS, "attack_losses": LOSSES}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of `evaluate`, by suite.

    What they mean and their units are those of the flags of the same names
    (`python -m noisymix_tf.evaluate --help`); seed, norms and random_start are
    called `eval_seed`, `attack_norms` and `attack_random_start` there. Lists
    may be given as one name or tag, `"all"`, or None for the default.

    Raises:
        UsageError: If a value cannot be used.
    """

    examples: int | None = None
    seed: int = 0
    outputs: str = "auto"
    corruptions: object = None
    severities: tuple = corruptions_lib.SEVERITIES
    frost_folder: str | None = None
    table: str = "auto"
    c_dir: str | None = None
    perturbations: object = None
    difficulty: int = 1
    p_dir: str | None = None
    p_examples: int | None = None
    r_dir: str | None = None
    shift_dir: str | dict | None = None
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
        for name in _COUNTS:
            if getattr(self, name) is not None:
                least = int(name != "seed")
                checks.whole_number(name, getattr(self, name), least)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} must be one of "
                    f"{', '.join(map(str, choices))}."
                )
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
        self._check_sources()
        corruptions_lib.version(self.frost_folder)
        # In one form, so that equal settings make equal cells.
        for name, value in (
            ("corruptions", selection.corruption_names(self.corruptions)),
            ("severities", selection.severity_levels(self.severities)),
            ("perturbations", selection.perturbations(self.perturbations)),
            *((name, self._known(name, of)) for name, of in _KNOWN.items()),
            ("eps", _radii("eps", self.eps, 1.0)),
            ("l2_eps", _radii("l2_eps", self.l2_eps)),
        ):
            object.__setattr__(self, name, value)

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

    def _known(self, name, registry):
        values = selection.sequence(name, getattr(self, name))
        for value in values:
            registry.get(value)
        return values

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
    radii = (radius(name, v, largest) for v in selection.sequence(name, values))
    return tuple(dict.fromkeys(radii))
