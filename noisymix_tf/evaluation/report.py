"""Reports: computed from the scores of evaluation cells alone.

`report.json` holds what `Report.as_dict` gives. Shares are in [0, 1]; figures
of kind "ratio" (mce, mfr...) are in per cent of the reference's.
Sections of released files are named `c_released`, `p_released`, of files that
this package wrote `c_written`, `p_written`, of extra corruptions `c_extra`.
"""

import functools
import json
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import sections, words
from noisymix_tf.evaluation.suites.core import SUITES
from noisymix_tf.files import write_atomically

SCHEMA = 3

# What is known of a cell's cost, for people.
_COSTS = {
    "seconds": "elapsed",
    "generation_seconds": "generating or reading images, processor time",
    "forward_seconds": "in the model, elapsed",
}


class Report:
    """What was measured of one model on one dataset.

    Args:
        scores: `{cell: scores}` of one model on one dataset, see `scores_of`.
        reference: `Reference` that errors and flips are divided by, or None.
        about: Words for the head of the page, `{"model": "runs/one", ...}`.
        costs: `{name: seconds}`, as `Records.seconds` gives.

    Attributes:
        sections: Its `sections.Section`s.
        headlines: `(section, title, figure)` of the figures that it opens with.

    Raises:
        UsageError: If there is no cell, or if cells of several models or
            datasets are mixed.

    Example:

    >>> report = evaluate(model, dataset).report
    >>> report.figures["c/mean_accuracy"]
    0.6934
    >>> report.write("run")
    """

    def __init__(self, scores, reference=None, about=None, costs=None):
        if not scores:
            raise UsageError(
                "There are no evaluation cells to report: evaluate first."
            )
        self.dataset = sections.only("dataset", scores)
        self.model = sections.only("model", scores)
        # Released images have words of their own, as have other groups.
        test = [cell for cell, own in scores.items() if own.group == "test"]
        test = [cell for cell in test if cell.source != "released"]
        self.data = sections.only("data", test)
        self.outputs = ", ".join(sections.distinct(c.outputs for c in scores))
        self.reference = reference
        self.about = dict(about or {})
        self.scores = dict(scores)
        for suite in sections.distinct(cell.suite for cell in scores):
            SUITES.get(suite)
        context = sections.Context(scores, reference)
        made = []
        for name, suite in SUITES.items():
            suites = suite.of or (name,)
            own = {c: s for c, s in scores.items() if c.suite in suites}
            made += suite().sections(own, context) if own else ()
        self.sections = (*made, *_cost(costs))
        self.headlines = [
            (section, title, section.figure(key))
            for section in self.sections
            for title, key in section.headlines.items()
        ]

    @functools.cached_property
    def figures(self):
        """Every figure, `{"section/key": value}`."""
        return {
            f"{section.name}/{figure.key}": figure.value
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
            "about": self.about,
            "outputs": self.outputs,
            "reference": self.reference and self.reference.name,
            "sections": {s.name: _as_dict(s) for s in self.sections},
        }

    # Methods: strings for a terminal and for files.
    text, summary, markdown = words.text, words.summary, words.markdown

    def write(self, folder):
        """Writes `report.json`, `report.md` and `report.html`.

        The page shows the pictures that lie in the folder, see `gallery`.
        """
        from noisymix_tf.evaluation.page import html

        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for ending, content in (
            ("json", json.dumps(self.as_dict(), indent=1) + "\n"),
            ("md", self.markdown()),
            ("html", html(self, folder)),
        ):
            write_atomically(folder / f"report.{ending}", content)


def scores_of(records, cells):
    """`{cell: scores}` out of `Records`, `UsageError` if rows are missing."""
    scores = {}
    for cell in cells:
        suite = SUITES.get(cell.suite)()
        rows = records.rows(cell, suite.scores.ROW)
        scores[cell] = suite.scores(rows, suite.group(cell))
    return scores


def _as_dict(section):
    names, figures = "title label suite source n origin", section.figures
    errors = {figure.key: figure.error for figure in figures}
    return {
        **{name: getattr(section, name) for name in names.split()},
        "figures": {figure.key: figure.value for figure in figures},
        "kinds": {figure.key: figure.kind for figure in figures},
        "standard_errors": {k: e for k, e in errors.items() if e is not None},
        "cells": section.cells,
        "notes": list(section.notes),
        "caveats": list(section.caveats),
    }


def _cost(costs):
    """The section of what the measurement cost, if that is known."""
    figures = tuple(
        sections.Figure(name, label, costs[name], "seconds")
        for name, label in _COSTS.items()
        if name in (costs or {})
    )
    about = "cost", "Time", "", "", "", 0, "all cells of this report"
    return (sections.Section(*about, figures),) if figures else ()
