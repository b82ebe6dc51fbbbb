"""Reports: computed from the scores of evaluation cells alone.

`report.json` holds what `Report.as_dict` gives. Shares are in [0, 1]; figures
of kind "ratio" (mce, mfr...) are in per cent of the reference's.
Sections of released files are named `c_released`, `p_released`, of files that
this package wrote `c_written`, `p_written`, of extra corruptions `c_extra`.
"""

import datetime
import functools
import json
import pathlib

from noisymix_tf.corruptions import FAMILIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import gallery, page, sections
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
    def figures(self) -> dict[str, float]:
        """Every figure, `{"section/key": value}`."""
        return {
            f"{section.name}/{figure.key}": figure.value
            for section in self.sections
            for figure in section.figures
        }

    def as_dict(self) -> dict:
        """The report as JSON values."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "data": self.data,
            "model": self.model,
            "about": self.about,
            "outputs": self.outputs,
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
    def verdict(self) -> str:
        """What it says, in one sentence; `""` where it says too little.

        A family is the worst only if it lies below the others by more than two
        standard errors of the difference.
        """
        found = {section.name: section for section in self.sections}
        clean = "clean" in found and found["clean"].figure("accuracy")
        means = [s for s in self.sections if s.figure("mean_accuracy")]
        if not clean or not means:
            return ""
        lost = _less(clean, means[0].figure("mean_accuracy"))
        points = show(abs(lost.value), "percent", unit=False, error=lost.error)
        families = {f: means[0].figure(f"mean_accuracy_{f}") for f in FAMILIES}
        families = {f: own for f, own in families.items() if own}
        low = min(families.values(), key=lambda f: f.value, default=None)
        gaps = {family: _less(own, low) for family, own in families.items()}
        worst = [f for f, g in gaps.items() if g.value <= 2 * (g.error or 0)]
        more = ""
        if len(worst) < len(families):
            verb = "is" if len(worst) == 1 else "are"
            more = f"; {' and '.join(worst)} {verb} worst"
        verb = "Loses" if lost.value >= 0.0 else "Gains"
        return f"{verb} {points} points under corruption{more}."

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
        about = {"examples": shown, "today": datetime.date.today().isoformat()}
        return page.render(f"{_TEMPLATES}/report.html", report=self, **about)

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
        rows = records.rows(cell, suite.scores.ROW)
        scores[cell] = suite.scores(rows, suite.group(cell))
    return scores


def _less(figure, other):
    """The difference of two figures, with its error."""
    return Figure("", "", figure.metric - other.metric)


def _cost(costs):
    """The section of what the measurement cost, if that is known."""
    figures = tuple(
        Figure(name, label, costs[name], "seconds")
        for name, label in _COSTS.items()
        if name in (costs or {})
    )
    about = "cost", "Time", "", "", "", 0, "all cells of this report"
    return (sections.Section(*about, figures),) if figures else ()
