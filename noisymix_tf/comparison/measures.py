"""What was measured of runs, in which columns, and how far cells lie apart.

Where a run has the records of its images, its figures are computed anew from
them, each with its values for resampled images; else they are its report's.
"""

import dataclasses
import math

import numpy as np

from noisymix_tf.comparison.runs import BASELINE, REPORT, shown, split
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.metrics import REPLICATES
from noisymix_tf.evaluation.records import FILE, Records
from noisymix_tf.evaluation.records import Cell as Measured
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report, scores_of
from noisymix_tf.evaluation.sections import decimals, distinct, show
from noisymix_tf.evaluation.suites import SUITES
from noisymix_tf.evaluation.suites.core import Column as OfSuite
from noisymix_tf.lazy import special


@dataclasses.dataclass(frozen=True)
class Measure:
    """A figure of a run, in the unit of its column; None is not known.

    Its standard error is over images, its draws are its values for resampled
    ones, float64 `[REPLICATES]`: alike where the words for images are equal.
    """

    value: float
    error: float | None = None
    draws: object = None
    images: object = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """With its 95 % interval, or None; paired over the same images or not."""

    difference: float
    low: float | None = None
    high: float | None = None
    is_paired: bool = False

    def text(self, digits) -> str:
        """`"−1.2 [−2.3, −0.1]"`: no finer than its standard error.

        Of an error that is not known, or 0, with so many digits.
        """
        if self.low is not None and self.high > self.low:
            digits = decimals((self.high - self.low) / 4.0, 2)
        value, *ends = (
            "?" if v is None else f"{v:+.{digits}f}".replace("-", "−")
            for v in (self.difference, self.low, self.high)
        )
        return f"{value} [{', '.join(ends)}]"


class Cell:
    """The mean over the runs of a row, out of a `Measure` for each.

    It has a `standard_deviation` of a run (N - 1 degrees) and the
    `standard_error` of the mean, over images and runs, where they are known.
    """

    difference = None  # To another row, a `Difference`.
    # Whether it cannot be told from the best of its column, as others can.
    is_leader = False

    def __init__(self, measures):
        number, errors = len(measures), [own.error for own in measures]
        self.values = tuple(own.value for own in measures)
        self.mean = math.fsum(self.values) / number
        self.standard_deviation = self.standard_error = None
        # Variances of the mean, those over runs with their degrees of freedom.
        self._of_images, self._of_runs = None, []
        if number > 1:
            self.standard_deviation = float(np.std(self.values, ddof=1))
            self._of_runs = [(self.standard_deviation**2 / number, number - 1)]
        words = {own.images for own in measures}
        self._images = words.pop() if len(words) == 1 else None
        if self._images is not None:
            self._draws = np.mean([m.draws for m in measures], axis=0)
            self._of_images = float(np.var(self._draws, ddof=1))
        elif None not in errors:
            # Of the same images, so that they need not even out.
            self._of_images = (sum(errors) / number) ** 2
        if self._of_images is not None:
            of_runs = sum(variance for variance, _ in self._of_runs)
            self.standard_error = math.sqrt(self._of_images + of_runs)

    def text(self, digits) -> str:
        """`"96.4 ± 0.9"`; without an error, or with 0, with so many digits."""
        if not self.standard_error:
            return f"{self.mean:.{digits}f}"
        return show(self.mean, "ratio", False, self.standard_error)

    @property
    def half(self) -> float | None:
        """Half of the mean's 95 % interval; None is not known."""
        if self._of_images is None:
            return None
        return _half([(self._of_images, REPLICATES - 1), *self._of_runs])

    def minus(self, other) -> Difference:
        """The `Difference` to another cell of the same column."""
        value = self.mean - other.mean
        is_paired = self._images is not None and self._images == other._images
        if is_paired:
            images = float(np.var(self._draws - other._draws, ddof=1))
        elif None in (self._of_images, other._of_images):
            return Difference(value)
        else:
            images = self._of_images + other._of_images
        parts = [(images, REPLICATES - 1), *self._of_runs, *other._of_runs]
        half = _half(parts)
        return Difference(value, value - half, value + half, is_paired)


def _half(parts):
    """Half of a 95 % interval, of `(variance, its degrees of freedom)`."""
    variance = sum(v for v, _ in parts)
    if variance == 0.0:
        return 0.0
    # Degrees of freedom of a sum, by Welch and Satterthwaite.
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    return float(special.stdtrit(freedom, 0.975)) * variance**0.5


@dataclasses.dataclass(frozen=True)
class Column:
    """A place of `measure`, its section's label, and what its suite says."""

    place: tuple
    label: str
    of: OfSuite

    @property
    def key(self) -> str:
        """Its name in files: `"c/mean_accuracy"`."""
        section, figure, setting, _ = self.place
        return f"{section}/{figure}" + (f"[{setting}]" if setting else "")

    @property
    def title(self) -> str:
        return self.of.title.format(label=self.label, setting=self.place[2])

    @property
    def is_main(self) -> bool:
        """Whether the paper's table has it."""
        return self.of.is_main and self.place[2].endswith(self.of.main_setting)

    @property
    def quantity(self) -> str:
        """What its values are, in words."""
        of = f" of {self.place[3]}" if self.place[3] else ""
        word = "higher" if self.of.higher_is_better else "lower"
        measure = f"{self.of.measure}, " if self.of.measure else ""
        return f"{measure}per cent{of}, {word} is better"


def columns(measured, sections) -> list[Column]:
    """Those of all runs' measures and `{name: sections}`, the paper's first."""
    found = [
        Column(place, section["label"], column)
        for suite, of in SUITES.items()
        for name, (section, *_) in sections.items()
        if section["suite"] == suite
        for column in of.columns
        for place in distinct(place for each in measured for place in each)
        if place[:2] == (name, column.figure)
    ]
    return sorted(found, key=lambda column: not column.is_main)


def reference_of(runs, wanted=None) -> Reference | None:
    """What errors and flips are divided by.

    What is wanted (a path, or `"alexnet"`); else AlexNet, where all reports
    have it; else the mean of the baseline's runs.
    """
    found = None
    for run in runs if wanted else ():
        # Older reports do not tell their number of classes.
        found = Reference.of(wanted, run.report.get("num_classes"))
        found.check(run.report["dataset"], run.report["data"])
    if found or all(r.report["reference"] == alexnet().name for r in runs):
        return found or alexnet()
    baseline = [run.folder / REPORT for run in runs if run.method == BASELINE]
    if not baseline:
        return None
    # Runs of other images are refused already, or compared anyway.
    own = {"name": "the baseline", "origins": {}, "images": {}}
    found = [dataclasses.replace(Reference.of(p), **own) for p in baseline]
    return Reference(**_mean([*map(vars, found)]))


def _mean(values):
    """The mean of numbers, or of what all of some dicts have."""
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in own for own in values)]
        return {key: _mean([own[key] for own in values]) for key in keys}
    if isinstance(first, str) or None in values:
        return first
    return math.fsum(values) / len(values)


def measure(run, reference) -> tuple[dict, dict]:
    """What was measured of a `runs.Run`, and the sections of its report.

    The former is `{(section, figure, setting, divisor): Measure}`; the divisor
    is the name of the reference that a figure is in per cent of, else `""`.
    What another one divides is left out.
    """
    report, kept = run.report, {}
    if (run.folder / FILE).is_file():
        try:
            report, kept = _of_records(run, reference)
        except UsageError as error:
            raise UsageError(f"{run.folder}: {error}") from error
    measures, divisor = {}, reference and reference.name
    for name, section in shown(report).items():
        for key, value in section["figures"].items():
            kind, error = section["kinds"][key], section["standard_errors"]
            if kind == "ratio" and report["reference"] != divisor:
                continue
            draws, images = kept.get((name, key), (None, None))
            unit = 100.0 if kind == "percent" else 1.0
            values = value, error.get(key), draws
            values = [None if v is None else unit * v for v in values]
            place = name, *split(key), divisor if kind == "ratio" else ""
            measures[place] = Measure(*values, images)
    return measures, shown(report)


def _of_records(run, reference):
    """The report, and draws and images by section and figure, if resampled."""
    with Records(run.folder) as records:
        plan = records.fact("plan") or {"cells": ()}
        cells = [Measured(**cell) for cell in plan["cells"]]
        scores = scores_of(records, cells)
    report = Report(scores, reference)
    if (report.model, report.data) != (run.report["model"], run.report["data"]):
        raise UsageError(
            f"{FILE} and {REPORT} are not of the same model and images: "
            f"evaluate into an empty folder."
        )
    kept, content = {}, report.as_dict()
    for section in [s for s in report.sections if s.name in shown(content)]:
        suites = SUITES.get(section.suite).of or (section.suite,)
        # Which images these are, and how they are resampled.
        images = frozenset(
            (identity.which(cell.data), cell.n, own.group)
            for cell, own in scores.items()
            if cell.suite in suites
        )
        for f in (f for f in section.figures if f.error is not None):
            kept[section.name, f.key] = f.metric[1:], images
    return content, kept
