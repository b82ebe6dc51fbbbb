"""The columns of a comparison, in the order of the paper's table.

All values are in per cent: accuracies, flip probabilities, and errors or flips
in per cent of a reference's.
"""

import dataclasses
from collections.abc import Callable

from noisymix_tf.comparison import normalisation

# Sections by the source of their images, and the words for it.
_SOURCES = (
    ("", ""),
    ("_released", ", released files"),
    ("_written", ", written files"),
)
_ATTACKS = (("fgsm", "FGSM"), ("pgd", "PGD"), ("autoattack", "AutoAttack"))
_CROSS_ENTROPY = " cross_entropy"


@dataclasses.dataclass(frozen=True)
class Column:
    """One measure.

    Attributes:
        key: Name in files: `"c_without_noise"`.
        title: Heading: `"C without noise"`.
        section: Section of a report that it comes from.
        value: Function of a `runs.Run`: the value in per cent, or None.
        higher_is_better: Whether the largest value is the best.
        divisor: Name of what it is divided by; `""` for nothing.
        is_main: Whether the paper's table has it.
        digits: Decimals that are shown.
    """

    key: str
    title: str
    section: str
    value: Callable
    higher_is_better: bool = True
    divisor: str = ""
    is_main: bool = True
    digits: int = 1

    @property
    def quantity(self):
        """What its values are, in words."""
        if self.divisor:
            return "per cent of the reference's, lower is better"
        if not self.higher_is_better:
            return "flip probability in per cent, lower is better"
        return "accuracy in per cent"


def of_runs(runs, normalise):
    """The columns that at least one run has a value for.

    Args:
        runs: `runs.Run`s.
        normalise: `normalisation.Normalisation`.

    Returns:
        List of `Column`, those of the paper's table first.
    """
    columns = [
        _figure("clean", "Clean", "clean", "accuracy"),
        *_corruptions(normalise),
        _figure("r", "R", "r", "accuracy"),
        _figure("shift", "Shifted", "shift", "accuracy"),
        *_perturbations(normalise),
        *_attacks(runs),
    ]
    present = [
        column
        for column in columns
        if any(column.value(run) is not None for run in runs)
    ]
    return sorted(present, key=lambda column: not column.is_main)


def _figure(key, title, section, name, **more):
    def value(run):
        share = run.figure(section, name)
        return None if share is None else 100.0 * share

    return Column(key, title, section, value, **more)


def _corruptions(normalise):
    for suffix, words in _SOURCES:
        section = f"c{suffix}"
        yield _figure(section, f"C{words}", section, "mean_accuracy")
        yield _figure(
            f"{section}_without_noise",
            f"C without noise{words}",
            section,
            "mean_accuracy_without_noise",
        )
        divisor = normalise.errors(section)
        if divisor is not None:
            yield Column(
                f"{section}_mce",
                f"mCE{words} ({divisor.short})",
                section,
                _mce(section, divisor),
                higher_is_better=False,
                divisor=divisor.name,
                is_main=False,
            )


def _mce(section, divisor):
    def value(run):
        if section not in run.sections:
            return None
        return normalisation.mean_corruption_error(
            run.sections[section], divisor
        )

    return value


def _perturbations(normalise):
    """Flips: divided where there is a divisor, as the paper's are."""
    for suffix, words in _SOURCES:
        section = f"p{suffix}"
        divisor = normalise.flips(section)
        for part, quiet, noise in (
            ("", False, ""),
            ("_without_noise", True, " without noise"),
        ):
            yield _figure(
                f"{section}_mfp{part}",
                f"P{noise}, mFP{words}",
                section,
                f"mfp{part}",
                higher_is_better=False,
                is_main=divisor is None,
                digits=2,
            )
            if divisor is not None:
                yield Column(
                    f"{section}_mfr{part}",
                    f"P{noise}, mFR{words} ({divisor.short})",
                    section,
                    _mfr(section, divisor, quiet),
                    higher_is_better=False,
                    divisor=divisor.name,
                )


def _mfr(section, divisor, quiet):
    def value(run):
        if section not in run.sections:
            return None
        return normalisation.mean_flip_rate(
            run.sections[section], divisor, quiet
        )

    return value


def _attacks(runs):
    """A column for each setting of an attack."""
    for section, title in _ATTACKS:
        settings = dict.fromkeys(
            name.partition("[")[2].removesuffix("]")
            for run in runs
            for name in run.sections.get(section, {}).get("figures", ())
        )
        # The paper's table has FGSM, whose loss is the cross-entropy.
        published = [s for s in settings if s.endswith(_CROSS_ENTROPY)]
        for setting in settings:
            yield _figure(
                f"{section}[{setting}]",
                f"{title} {_short(setting)}",
                section,
                f"accuracy[{setting}]",
                is_main=section == "fgsm"
                and (setting in published or not published),
            )


def _short(setting):
    """`"4/255"` of `"linf eps=4/255 cross_entropy"`."""
    words = setting.removesuffix(_CROSS_ENTROPY)
    words = words.removeprefix("linf ").removeprefix("eps=")
    return words.replace("log_odds", "log-odds")
