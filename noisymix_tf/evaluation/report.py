"""Reports: figures and tables computed from evaluation cells alone.

A report is a few sections, one per kind of measurement, each with its number
of images and the source of its images. A suite has a function here that makes
its sections out of its cells; how a section looks as text, Markdown or JSON
does not depend on the suite.
"""

import dataclasses
import functools
import json
import pathlib

from noisymix_tf.corruptions import CORRUPTIONS, FAMILIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.registry import Registry

# Functions from `{cell: tally}` of one suite to a list of sections.
SECTIONS = Registry("section of a report")

# The benchmark takes its means over this many corruptions.
_BENCHMARK_SIZE = 15


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number: `name` for JSON, `label` for people, `value`, and its kind.

    `kind` is `"percent"` for shares in [0, 1], `"number"` for anything else.
    """

    name: str
    label: str
    value: float
    kind: str = "percent"

    @property
    def text(self):
        if self.kind == "percent":
            return f"{100 * self.value:.2f} %"
        return f"{self.value:.4f}"


@dataclasses.dataclass(frozen=True)
class Table:
    """Shares in [0, 1], shown as percentages.

    Attributes:
        corner: What the rows are.
        columns: Headings, without the one of the row names.
        rows: `{name: values}`.
        groups: `{heading: names of rows}` that belong together.
    """

    corner: str
    columns: tuple
    rows: dict
    groups: dict


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of measurement.

    Attributes:
        name: Key in JSON: `"clean"`, `"c"`, `"c_extra"`.
        title: Heading.
        n: Number of images of every cell.
        source: Source of the cells: `"original"`, `"generated"`, `"released"`.
        origin: The same in words, with what decided the images.
        figures: `Figure`s.
        table: `Table`, or None.
        cells: `{corruption: {severity: {metric: value}}}`.
        notes: Sentences that a reader of the figures must know.
    """

    name: str
    title: str
    n: int
    source: str
    origin: str
    figures: tuple
    table: Table | None = None
    cells: dict = dataclasses.field(default_factory=dict)
    notes: tuple = ()


class Report:
    """What was measured of one model on one dataset.

    Args:
        records: `{cell: measurements}`, as `CellFile.read` gives, of one model
            on one dataset.
        expected: Cells that must be there; by default every severity that any
            corruption has, for every corruption.

    Raises:
        UsageError: If a cell is missing (the message names it), if there is
            none at all, or if cells of several models or datasets are mixed.

    Example:

    >>> report = Report(CellFile("run/cells.jsonl").read())
    >>> report.figures["c/mean_accuracy"]
    0.6934
    >>> report.write("run")
    """

    def __init__(self, records, expected=None):
        if not records:
            raise UsageError(
                "There are no evaluation cells to report: evaluate first."
            )
        self.dataset = _only("dataset", records)
        self.model = _only("model", records)
        _only("data", records)
        expected = _rectangle(records) if expected is None else expected
        for cell in expected:
            if cell not in records:
                raise UsageError(
                    f"The cell {cell.name} ({cell.source}, n = {cell.n}) is "
                    "missing: run the evaluation again to complete it."
                )
        suites = {}
        for cell, measurements in records.items():
            tally = Tally.restore(cell.n, measurements)
            suites.setdefault(cell.suite, {})[cell] = tally
        self.sections = tuple(
            section
            for suite, tallies in suites.items()
            for section in SECTIONS.get(suite)(tallies)
        )

    @functools.cached_property
    def figures(self):
        """Every figure, `{"section/name": value}`."""
        return {
            f"{section.name}/{figure.name}": figure.value
            for section in self.sections
            for figure in section.figures
        }

    def as_dict(self):
        """The report as JSON values."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "sections": {
                section.name: {
                    "title": section.title,
                    "n": section.n,
                    "source": section.source,
                    "origin": section.origin,
                    "figures": {f.name: f.value for f in section.figures},
                    "cells": section.cells,
                    "notes": list(section.notes),
                }
                for section in self.sections
            },
        }

    def text(self):
        """The report for a terminal."""
        lines = [f"{self.dataset}, model {self.model}"]
        for section in self.sections:
            lines += ["", section.title, f"  {_origin(section)}"]
            width = max(len(figure.label) for figure in section.figures)
            lines += [
                f"  {figure.label:<{width}}  {figure.text:>9}"
                for figure in section.figures
            ]
            if section.table:
                lines += ["", *_text_table(section.table)]
            lines += [f"  Note: {note}" for note in section.notes]
        return "\n".join(lines) + "\n"

    def markdown(self, picture=None):
        """The report as Markdown; `picture` is the file name of a heat map."""
        lines = [f"# {self.dataset}", "", f"Model `{self.model}`."]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", f"{_origin(section)}.", ""]
            lines += ["| figure | value |", "| :-- | --: |"]
            lines += [f"| {f.label} | {f.text} |" for f in section.figures]
            if section.table:
                lines += ["", "Accuracy in %:", ""]
                lines += _markdown_table(section.table)
            for note in section.notes:
                lines += ["", f"Note: {note}"]
        if picture:
            lines += ["", f"![Accuracy per corruption and severity]({picture})"]
        return "\n".join(lines) + "\n"

    def write(self, folder):
        """Writes `report.json`, `report.md` and, with tables, `report.png`."""
        from noisymix_tf.evaluation.plots import heatmap

        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = [section for section in self.sections if section.table]
        if drawn:
            title = f"Accuracy in % on {self.dataset}"
            write_atomically(folder / "report.png", heatmap(drawn, title))
        write_atomically(
            folder / "report.json", json.dumps(self.as_dict(), indent=1) + "\n"
        )
        write_atomically(
            folder / "report.md",
            self.markdown("report.png" if drawn else None),
        )


@SECTIONS.register("clean")
def _clean(tallies):
    n = _only("n", tallies)
    ((_, tally),) = tallies.items()
    return [
        Section(
            name="clean",
            title="Clean images",
            n=n,
            source="original",
            origin="as they are in the dataset",
            figures=(
                Figure("accuracy", "accuracy", tally.accuracy),
                Figure("error", "error", 1.0 - tally.accuracy),
                *_quality([tally]),
            ),
        )
    ]


@SECTIONS.register("c")
def _corruptions(tallies):
    """A section per source and set: nothing is averaged across those."""
    sections = []
    for source in _distinct(cell.source for cell in tallies):
        for kind, suffix in (("common", ""), ("extra", "_extra")):
            part = {
                cell: tally
                for cell, tally in tallies.items()
                if cell.source == source
                and CORRUPTIONS.get(cell.corruption).set == kind
            }
            if part:
                name = "c" if source == "generated" else f"c_{source}"
                sections.append(_corruption_section(name + suffix, kind, part))
    return sections


def _corruption_section(name, kind, tallies):
    for field in ("n", "seed", "generator"):
        _only(field, tallies)
    first = next(iter(tallies))
    table = {}
    for cell, tally in tallies.items():
        table.setdefault(cell.corruption, {})[cell.severity] = tally
    severities = tuple(next(iter(table.values())))
    accuracy = {
        corruption: [row[severity].accuracy for severity in severities]
        for corruption, row in table.items()
    }
    means = {corruption: _mean(row) for corruption, row in accuracy.items()}
    families = {
        family: [c for c in means if CORRUPTIONS.get(c).family == family]
        for family in FAMILIES
    }
    families = {family: rows for family, rows in families.items() if rows}
    mean = _mean(means.values())
    figures = [
        Figure("mean_accuracy", "mean corruption accuracy", mean),
        Figure(
            "mean_error", "mean corruption error (unnormalised)", 1.0 - mean
        ),
    ]
    quiet = [means[c] for c in means if c not in families.get("noise", ())]
    if quiet:
        figures.append(
            Figure(
                "mean_accuracy_without_noise",
                f"mean accuracy without noise ({len(quiet)} of {len(means)})",
                _mean(quiet),
            )
        )
    figures += [
        Figure(
            f"mean_accuracy_{family}",
            f"mean accuracy, {family} ({len(rows)})",
            _mean(means[c] for c in rows),
        )
        for family, rows in families.items()
    ]
    figures += _quality(tallies.values(), mean=True)
    return Section(
        name=name,
        title=f"{kind.capitalize()} corruptions",
        n=first.n,
        source=first.source,
        origin=_corruption_origin(first),
        figures=tuple(figures),
        table=Table(
            corner="corruption",
            columns=(*map(str, severities), "mean"),
            rows={c: (*accuracy[c], means[c]) for c in accuracy},
            groups=families,
        ),
        cells={
            corruption: {
                str(severity): {
                    "accuracy": tally.accuracy,
                    "nll": tally.nll,
                    "ece": tally.ece,
                    "brier": tally.brier,
                }
                for severity, tally in row.items()
            }
            for corruption, row in table.items()
        },
        notes=_corruption_notes(kind, table, severities),
    )


def _corruption_origin(cell):
    if cell.source != "generated":
        return f"from {cell.source} files"
    version, constants = cell.generator.split("-")
    return (
        f"generated from the dataset (constants for {constants}, "
        f"generator version {version}, seed {cell.seed})"
    )


def _corruption_notes(kind, table, severities):
    notes = []
    if kind == "common" and len(table) < _BENCHMARK_SIZE:
        notes.append(
            f"means are over {len(table)} of the benchmark's "
            f"{_BENCHMARK_SIZE} corruptions; do not compare them with "
            "published ones."
        )
    if severities != (1, 2, 3, 4, 5):
        listed = ", ".join(map(str, severities))
        notes.append(f"means are over severities {listed} only.")
    if kind == "extra":
        notes.append("these are in no mean of the common corruptions.")
    return tuple(notes)


def _quality(tallies, mean=False):
    """Calibration, likelihood and Brier score: of one tally, or their mean."""
    name, label = ("mean_", "mean ") if mean else ("", "")
    return [
        Figure(
            f"{name}{metric}",
            f"{label}{words}",
            _mean(getattr(tally, metric) for tally in tallies),
            kind,
        )
        for metric, words, kind in (
            ("ece", "expected calibration error", "percent"),
            ("nll", "negative log-likelihood", "number"),
            ("brier", "Brier score", "number"),
        )
    ]


def _rectangle(records):
    """Every corruption at every severity, within suite, source and seed."""
    groups = {}
    for cell in records:
        key = dataclasses.replace(cell, corruption=None, severity=0)
        groups.setdefault(key, []).append(cell)
    for key, cells in groups.items():
        for corruption in _distinct(cell.corruption for cell in cells):
            for severity in _distinct(cell.severity for cell in cells):
                yield dataclasses.replace(
                    key, corruption=corruption, severity=severity
                )


def _only(field, records):
    values = _distinct(getattr(cell, field) for cell in records)
    if len(values) > 1:
        raise UsageError(
            f"A report is about one {field}, these cells are about "
            f"{', '.join(map(str, values))}: report them one by one."
        )
    return values[0]


def _distinct(values):
    return tuple(dict.fromkeys(values))


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def _origin(section):
    per_cell = " per cell" if section.table else ""
    return f"{section.n:,} images{per_cell}, {section.origin}"


def _text_table(table):
    width = max(len(name) for name in (table.corner, *table.rows))
    heads = "".join(f"{column:>8}" for column in table.columns)
    lines = [f"  {table.corner:<{width}}{heads}"]
    for names in table.groups.values():
        for name in names:
            values = "".join(f"{100 * v:8.2f}" for v in table.rows[name])
            lines.append(f"  {name:<{width}}{values}")
    return lines


def _markdown_table(table):
    lines = [
        f"| {table.corner} | {' | '.join(table.columns)} |",
        f"| :-- |{' --: |' * len(table.columns)}",
    ]
    for names in table.groups.values():
        for name in names:
            values = " | ".join(f"{100 * v:.2f}" for v in table.rows[name])
            lines.append(f"| {name} | {values} |")
    return lines
