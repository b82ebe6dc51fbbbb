"""What was measured of runs, and the columns that it stands in.

Where a run has the records of its images, its figures are computed anew from
them, each with its values for resampled images; else they are its report's.
"""

import dataclasses
import math

from noisymix_tf.comparison.differences import Measure
from noisymix_tf.comparison.rows import BASELINE
from noisymix_tf.comparison.runs import REPORT, shown, split
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.records import FILE, Records
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report, scores_of
from noisymix_tf.evaluation.sections import distinct
from noisymix_tf.evaluation.suites import SUITES
from noisymix_tf.evaluation.suites.core import Column as OfSuite


@dataclasses.dataclass(frozen=True)
class Column:
    """A place of `measure`, its section's label, and what its suite says."""

    place: tuple
    label: str
    of: OfSuite

    @property
    def key(self):
        """Its name in files: `"c/mean_accuracy"`."""
        section, figure, setting, _ = self.place
        return f"{section}/{figure}" + (f"[{setting}]" if setting else "")

    @property
    def title(self):
        return self.of.title.format(label=self.label, setting=self.place[2])

    @property
    def is_main(self):
        """Whether the paper's table has it."""
        of, setting = self.of, self.place[2]
        return of.is_main and setting.endswith(of.main_setting)

    @property
    def quantity(self):
        """What its values are, in words."""
        of = f" of {self.place[3]}" if self.place[3] else ""
        word = "higher" if self.of.higher_is_better else "lower"
        return f"per cent{of}, {word} is better"


def columns(measured, sections):
    """`Column`s, those of the paper first, of the measures of all runs and
    `{name: sections}` of their reports.
    """
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


def reference_of(runs, wanted=None):
    """What errors and flips are divided by: a `Reference`, or None.

    What is wanted (a path, or `"alexnet"`); else AlexNet, where all reports
    have it; else the mean of the baseline's runs.
    """
    found = Reference.of(wanted)
    for run in runs if found else ():
        found.check(run.report["dataset"], run.report["data"])
    if found or all(r.report["reference"] == alexnet().name for r in runs):
        return found or alexnet()
    baseline = [run.folder / REPORT for run in runs if run.method == BASELINE]
    if not baseline:
        return None
    mean = _mean([vars(Reference.of(path)) for path in baseline])
    return Reference(**{**mean, "name": "the baseline"})


def _mean(values):
    """The mean of numbers, or of what all of some dicts have."""
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in own for own in values)]
        return {key: _mean([own[key] for own in values]) for key in keys}
    is_word = isinstance(first, str) or None in values
    return first if is_word else math.fsum(values) / len(values)


def measure(run, reference):
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
    divisor, measures = reference.name if reference else None, {}
    for name, section in shown(report).items():
        for key, value in section["figures"].items():
            kind, error = section["kinds"][key], section["standard_errors"]
            draws, images = kept.get((name, key), (None, None))
            is_ratio, unit = (
                kind == "ratio",
                100.0 if kind == "percent" else 1.0,
            )
            if not is_ratio or report["reference"] == divisor:
                values = value, error.get(key), draws
                values = [None if v is None else unit * v for v in values]
                place = name, *split(key), divisor if is_ratio else ""
                measures[place] = Measure(*values, images)
    return measures, shown(report)


def _of_records(run, reference):
    """The report, and draws and images by section and figure, if resampled."""
    with Records(run.folder) as records:
        plan = records.fact("plan") or {"cells": ()}
        cells = [Cell(**cell) for cell in plan["cells"]]
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
