"""Reports: computed from the scores of evaluation cells alone.

`report.json` holds what `Report.as_dict` gives. Shares are in [0, 1]; figures
of kind "ratio" (mce, mfr...) are in per cent of the reference's.
Sections of released files are named `c_released`, `p_released`, of files that
this package wrote `c_written`, `p_written`, of extra corruptions `c_extra`.
"""

import functools
import json
import os
import pathlib

import numpy as np

from noisymix_tf.corruptions import FAMILIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import adaptation, gallery, metrics, page, sections
from noisymix_tf.evaluation.sections import Figure, show
from noisymix_tf.evaluation.suites.core import SUITES
from noisymix_tf.files import write_atomically

SCHEMA = 3

_TEMPLATES = "evaluation/templates"
# Lines of a summary.
_FEW = 8
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
        failure_share: Of the clean accuracy, below which a model fails.
        num_classes: Of the dataset, where it is known.

    Attributes:
        sections: Its `sections.Section`s.
        headlines: `(section, title, figure)` of the figures that it opens with.

    Raises:
        UsageError: If there is no cell, or if cells of several models or
            datasets are mixed.
    """

    # What ± means, once for all figures.
    ERRORS = (
        "± is the standard error over images, of this model and reference as "
        "they are."
    )

    def __init__(
        self,
        scores,
        reference=None,
        about=None,
        costs=None,
        failure_share=None,
        num_classes=None,
    ):
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
        self.about, self.num_classes = dict(about or {}), num_classes
        self.scores = dict(scores)
        for cell in scores:
            SUITES.get(cell.suite)
        context = sections.Context(scores, reference, failure_share)
        made = []
        for name, suite in SUITES.items():
            suites = suite.of or (name,)
            for word in sections.distinct(cell.adapt for cell in scores):
                own = {
                    cell: own
                    for cell, own in scores.items()
                    if cell.suite in suites and cell.adapt == word
                }
                if own and (suite.adapts or not word):
                    found = suite().sections(own, context)
                    made += [s.adapted(word) for s in found] if word else found
        self.sections = (*made, *_cost(costs))
        self.headlines = [
            (section, title, section.figure(key))
            for section in self.sections
            for title, key in section.headlines.items()
        ]

    @functools.cached_property
    def figures(self) -> dict[str, float]:
        """Every figure, `{"section/key": value}`."""
        return {
            f"{section.name}/{figure.key}": figure.value
            for section in self.sections
            for figure in section.figures
        }

    def as_dict(self) -> dict:
        """The report as JSON values."""
        names = "dataset num_classes data model about outputs".split()
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in names},
            "reference": self.reference and self.reference.name,
            "sections": {s.name: s.as_dict() for s in self.sections},
        }

    @property
    def head(self) -> str:
        """Whom and what it is about, in a line."""
        outputs = f", gives {self.outputs}" if self.outputs else ""
        name = self.about.get("model")
        model = f"{name} ({self.model})" if name else self.model
        return f"{self.dataset}, model {model}{outputs}"

    @property
    def chance(self) -> float | None:
        """Share of the largest class, right by always saying it, if known."""
        every = sorted(self.scores.items(), key=lambda x: x[0].suite != "clean")
        shares = (getattr(own, "largest_class", None) for _, own in every)
        return next((share for share in shares if share is not None), None)

    @property
    def overview(self) -> dict:
        """`{group: figures}` of accuracy, of all sections."""
        return {
            group: [Figure("", words, metric) for words, metric in own.items()]
            for section in self.sections
            for group, own in section.overview.items()
        }

    @property
    def verdict(self) -> str:
        """What it says, in one sentence; `""` without a headline.

        What differs by at most two standard errors is not told apart: clean
        accuracy and chance, clean and corrupted images, families.
        """
        if not self.headlines:
            return ""
        section, title, figure = self.headlines[0]
        said = f"{title} is {section.shown(figure)}"
        if figure.name.endswith("accuracy"):
            gap, is_told = _less(figure.metric, self.chance)
            if gap.value < 0.0 or not is_told:
                said += ", which cannot be told from chance"
        means = [s for s in self.sections if s.figure("mean_accuracy")]
        if section.name == "clean" and means:
            said += _under_corruption(figure, means[0])
        return f"{said}."

    def text(self) -> str:
        """The report as plain lines."""
        return page.render(f"{_TEMPLATES}/report.txt", report=self)

    def summary(self) -> str:
        """The figures that matter most, a line each."""
        rows = [
            (f"{title}, {section.counted}", section.shown(figure))
            for section, title, figure in self.headlines[:_FEW]
        ]
        lines = [self.head, f"  {self.verdict}".rstrip(), *page.aligned(rows)]
        return "\n".join(line for line in lines if line)

    def markdown(self) -> str:
        """The report as Markdown."""
        return page.render(f"{_TEMPLATES}/report.md", report=self)

    def html(self, folder) -> str:
        """The report as a page, with the pictures that lie in a folder."""
        shown = {
            section.name: gallery.shown(folder, section, self.scores)
            for section in self.sections
        }
        about = {"report": self, "examples": shown}
        return page.render(f"{_TEMPLATES}/report.html", **about)

    def write(self, folder):
        """Writes `report.json`, `report.md` and `report.html`.

        The page shows the pictures that lie in the folder, see `gallery`.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for ending, content in (
            ("json", json.dumps(self.as_dict(), indent=1) + "\n"),
            ("md", self.markdown()),
            ("html", self.html(folder)),
        ):
            write_atomically(folder / f"report.{ending}", content)


def scores_of(records, cells) -> dict:
    """`{cell: scores}` out of `Records`, `UsageError` if rows are missing."""
    scores = {}
    for cell in cells:
        suite = SUITES.get(cell.suite)()
        rows, group = records.rows(cell, suite.scores.ROW), suite.group(cell)
        if cell.adapt and group == "test":  # Resampled with those of the rest.
            rows = rows[np.argsort(adaptation.order(cell.n))]
        scores[cell] = suite.scores(rows, group)
    return scores


def check_kept(before, facts, suites, folder):
    """Refuses to replace a report by that of another model, or of less.

    Of facts of the last plan, if any, and of this one, whose suites are asked
    for by name.
    """
    if not before:
        return
    both = before, facts
    names = [own["about"].get("model") for own in both]
    models, of = (
        [{cell[field] for cell in own["cells"]} for own in both]
        for field in ("model", "suite")
    )
    is_same, is_named = models[0] == models[1], None not in names
    if is_named and not is_same:
        old, new = map(os.path.realpath, names)
        # A run that was moved and trained further has its model beside it.
        if old != new and os.path.dirname(new) != str(folder.resolve().parent):
            raise UsageError(
                f"{folder} holds the evaluation of {names[0]}: name another "
                "output_dir."
            )
    left = sorted(of[0] - of[1] - {*suites})
    # Of a model that was trained further there is nothing to keep.
    is_kept = is_same or not is_named
    if left and is_kept and (folder / "report.json").exists():
        raise UsageError(
            f"{folder} holds a report with suite {', '.join(left)}, which this "
            "would leave out: add it to suites (what is measured is not "
            "measured again), or name another output_dir."
        )


def _less(metric, other):
    """The difference of two metrics, and whether it is told from nothing."""
    found = Figure("", "", metric - other)
    return found, abs(found.value) > 2 * (found.error or 0.0)


def _under_corruption(clean, section):
    """What accuracy loses, and in which families it is the lowest."""
    lost, is_told = _less(clean.metric, section.figure("mean_accuracy").metric)
    points = show(abs(lost.value), "percent", unit=False, error=lost.error)
    families = {f: section.figure(f"mean_accuracy_{f}") for f in FAMILIES}
    families = {f: own.metric for f, own in families.items() if own}
    low = min(families.values(), key=metrics.value, default=None)
    worst = [f for f, own in families.items() if not _less(own, low)[1]]
    said = f", under corruption {points} points "
    said += "less" if lost.value >= 0.0 else "more"
    said += "" if is_told else " (not told apart)"
    if len(worst) < len(families):
        verb = "is" if len(worst) == 1 else "are"
        said += f"; {' and '.join(worst)} {verb} worst"
    return said


def _cost(costs):
    figures = tuple(
        Figure(name, label, costs[name], "seconds")
        for name, label in _COSTS.items()
        if name in (costs or {})
    )
    about = "cost", "Time", "", "", "", 0, "all cells of this report"
    return (sections.Section(*about, figures),) if figures else ()
