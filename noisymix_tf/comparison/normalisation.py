"""What corruption errors and flips are divided by, and the mean ratios.

The first of these that knows a measurement: the reference that was asked for,
AlexNet where the reports themselves have its constants, and the mean of the
baseline's runs.
"""

import dataclasses

from noisymix_tf.comparison.methods import BASELINE
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import corruption_error
from noisymix_tf.evaluation.flip_rates import (
    flip_rates,
    mean_over_perturbations,
)
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.sections.core import average

ALEXNET = "AlexNet"


@dataclasses.dataclass(frozen=True)
class Divisor:
    """Errors or flips of a reference.

    Attributes:
        name: What it is called: `"AlexNet"`, `"Baseline"`, or a path.
        values: `{corruption: errors}` as `corruption_error` takes them, or
            `{perturbation: flip probability}`.
    """

    name: str
    values: object

    @property
    def short(self):
        """The name where there is little room for it."""
        return "reference" if "/" in self.name else self.name


class Normalisation:
    """Chooses what to divide by, once for all runs.

    Args:
        runs: `runs.Run`s.
        reference: Path, `"alexnet"` or None, see `evaluation.Reference`.

    Raises:
        UsageError: The reference cannot be used.
    """

    def __init__(self, runs, reference=None):
        self._runs = runs
        self._candidates = []
        if reference is not None:
            found = Reference.of(reference)
            for run in runs:
                found.check(run.dataset, run.data)
            is_alexnet = reference == "alexnet"
            name = ALEXNET if is_alexnet else found.name
            self._candidates.append((name, found))
        if runs and all(run.reference == alexnet().name for run in runs):
            self._candidates.append((ALEXNET, alexnet()))
        baseline = [run for run in runs if run.method == BASELINE]
        if baseline:
            self._candidates.append(("Baseline", _mean_of(baseline)))

    def errors(self, section):
        """The `Divisor` of a section of corruptions, or None."""
        return self._find("errors", section)

    def flips(self, section):
        """The `Divisor` of a section of perturbations, or None."""
        return self._find("flips", section)

    def _find(self, field, section):
        for name, reference in self._candidates:
            values = reference.of_section(field, section)
            # Of perturbations; None where it is not known.
            difficulty = reference.difficulties.get(section)
            if values and difficulty in (None, *self._difficulties(section)):
                return Divisor(name, values)
        return None

    def _difficulties(self, section):
        """Difficulties of the perturbations of the runs."""
        return {
            cell.get("difficulty")
            for run in self._runs
            if section in run.sections
            for cell in run.sections[section]["cells"].values()
        }


def mean_corruption_error(section, divisor):
    """mCE of a section of a report; None where it has or divides by nothing."""
    errors = corruption_error.errors_of_cells(section["cells"])
    severities = sorted(next(iter(errors.values()), ()))
    try:
        return corruption_error.mean_corruption_error(
            errors, divisor.values, severities=severities
        )
    except UsageError:
        return None


def mean_flip_rate(section, divisor, without_noise=False):
    """mFR of a section of a report; None as of `mean_corruption_error`."""
    flips = {p: c["flip_probability"] for p, c in section["cells"].items()}
    try:
        return mean_over_perturbations(
            flip_rates(flips, divisor.values),
            tuple(flips),
            without_noise=without_noise,
        )
    except UsageError:
        return None


def _mean_of(runs):
    """A `Reference` of the means over runs."""
    errors, flips = {}, {}
    for name in dict.fromkeys(s for run in runs for s in run.sections):
        own = [r.sections[name]["cells"] for r in runs if name in r.sections]
        if name.split("_")[0] == "c":
            errors[name] = _mean_errors(
                [corruption_error.errors_of_cells(cells) for cells in own]
            )
        elif name.split("_")[0] == "p":
            flips[name] = _means(
                [
                    {p: c["flip_probability"] for p, c in cells.items()}
                    for cells in own
                ]
            )
    return Reference("Baseline", errors=errors, flips=flips)


def _mean_errors(tables):
    names = [c for c in tables[0] if all(c in table for table in tables)]
    return {c: _means([table[c] for table in tables]) for c in names}


def _means(rows):
    """Means over rows of the keys that all of them have."""
    keys = [key for key in rows[0] if all(key in row for row in rows)]
    return {key: average(row[key] for row in rows) for key in keys}
