"""Reports: computed from evaluation cells alone, as text, Markdown and JSON.

A report is a few sections (`sections.py`), each with its number of images and
the source of its images.
"""

import dataclasses
import functools
import json
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.sections import SECTIONS, distinct, only


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
        self.dataset = only("dataset", records)
        self.model = only("model", records)
        only("data", records)
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


def _rectangle(records):
    """Every corruption at every severity, within suite, source and seed."""
    groups = {}
    for cell in records:
        key = dataclasses.replace(cell, corruption=None, severity=0)
        groups.setdefault(key, []).append(cell)
    for key, cells in groups.items():
        for corruption in distinct(cell.corruption for cell in cells):
            for severity in distinct(cell.severity for cell in cells):
                yield dataclasses.replace(
                    key, corruption=corruption, severity=severity
                )


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
