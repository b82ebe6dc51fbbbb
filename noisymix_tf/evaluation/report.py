"""Reports: computed from evaluation cells alone.

A report is a few sections (`sections/`), each with its number of images and the
source of its images; `writers/` say how it looks. `report.json` holds:

{"schema": 2, "dataset": "cifar10", "data": word for its test images,
 "model": "4f0c...", "outputs": "logits",
 "reference": null or its name,
 "sections": {
   "clean": {"title": ..., "n": 10000, "source": "original", "origin": ...,
             "figures": {"accuracy": 0.95, ...}, "cells": {...}, "notes": []},
   "c": {..., "cells": {"fog": {"3": {"accuracy": 0.88, "nll": ...}}}},
   "p": {..., "cells": {"tilt": {"flip_probability": 0.02, "difficulty": 1,
                                 ...}}}, ...}}

Shares are in [0, 1]; figures named mce, relative_mce, mfr and mt5d are in per
cent of the reference. Sections of released files are named `c_released`,
`p_released`, of files that this package wrote `c_written`, `p_written`, those
of extra corruptions `c_extra`.
"""

import dataclasses
import functools
import json
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically
from noisymix_tf.evaluation.sections import (
    SECTIONS,
    Context,
    calibration,
    cost,
    distinct,
    only,
)
from noisymix_tf.evaluation.writers.markdown import markdown
from noisymix_tf.evaluation.writers.text import summary, text

SCHEMA = 2


class Report:
    """What was measured of one model on one dataset.

    Args:
        records: `{cell: measurements}`, as `CellFile.read` gives, of one model
            on one dataset.
        expected: Cells that must be there; by default every severity that any
            corruption has, for every corruption.
        reference: `Reference` that errors and flips are divided by, or None.
        data: Word for the test images, see `data.identity`; by default that of
            the cells that are about them.

    Raises:
        UsageError: If a cell is missing (the message names it), if there is
            none at all, or if cells of several models or datasets are mixed.

    Example:

    >>> report = Report(CellFile("run/cells.jsonl").read())
    >>> report.figures["c/mean_accuracy"]
    0.6934
    >>> report.write("run")
    """

    def __init__(self, records, expected=None, reference=None, data=None):
        if not records:
            raise UsageError(
                "There are no evaluation cells to report: evaluate first."
            )
        self.dataset = only("dataset", records)
        self.model = only("model", records)
        expected = _rectangle(records) if expected is None else expected
        present = {_comparable(cell) for cell in records}
        for cell in expected:
            if _comparable(cell) not in present:
                raise UsageError(
                    f"The cell {cell.name} ({cell.source}, n = {cell.n}) is "
                    "missing: run the evaluation again to complete it."
                )
        measured = only("data", [c for c in records if _is_of_dataset(c)])
        self.data = data or measured
        self.reference = reference
        self.cells = tuple(records)
        context = Context(records, reference)
        self.sections = (
            *(
                section
                for suite in distinct(cell.suite for cell in records)
                for section in SECTIONS.get(suite)(
                    {c: m for c, m in records.items() if c.suite == suite},
                    context,
                )
            ),
            *calibration.calibration(records),
            *cost.cost(records),
        )
        self.outputs = ", ".join(
            distinct(m["outputs"] for m in records.values() if "outputs" in m)
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
            "schema": SCHEMA,
            "dataset": self.dataset,
            "data": self.data,
            "model": self.model,
            "outputs": self.outputs,
            "reference": self.reference and self.reference.name,
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
        return text(self)

    def summary(self):
        """Its few figures that matter most, for a terminal."""
        return summary(self)

    def markdown(self, picture=None):
        """The report as Markdown; `picture` is the file name of a heat map."""
        return markdown(self, picture)

    def write(self, folder):
        """Writes `report.json`, `.md`, `.html`, and a heat map `.png`."""
        from noisymix_tf.evaluation.plots import heatmap
        from noisymix_tf.evaluation.writers.html import html

        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = [s for s in self.sections if s.table and s.table.heat]
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
        write_atomically(folder / "report.html", html(self, folder))


def _is_of_dataset(cell):
    """Whether a cell is about the test images, not some other ones."""
    return cell.source != "released" and cell.suite not in ("r", "shift")


def _comparable(cell):
    """A cell without its data, which released sets have each their own."""
    if cell.source == "released":
        return dataclasses.replace(cell, data="")
    return cell


def _rectangle(records):
    """Every corruption at every severity, within suite, source and seed."""
    groups = {}
    for cell in records:
        key = _comparable(cell)
        key = dataclasses.replace(key, corruption=None, severity=0)
        groups.setdefault(key, []).append(cell)
    for key, cells in groups.items():
        for corruption in distinct(cell.corruption for cell in cells):
            for severity in distinct(cell.severity for cell in cells):
                yield dataclasses.replace(
                    key, corruption=corruption, severity=severity
                )
