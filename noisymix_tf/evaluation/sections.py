"""What a report is made of: figures, tables and charts, as plain data.

A suite makes sections out of the scores of its cells; how a section looks is
the business of the templates.
"""

import dataclasses
import math

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class Context:
    """The `{cell: scores}` of all suites, and the `Reference` or None."""

    scores: dict
    reference: object = None
    failure_share: float | None = None  # See `Settings`.


# How values are shown: factor, digits behind the point, unit.
_KINDS = {
    "percent": (100.0, 2, " %"),
    "ratio": (1.0, 2, " %"),
    "number": (1.0, 4, ""),
    "seconds": (1.0, 1, " s"),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of a section."""

    name: str  # What it is, for JSON: "accuracy".
    label: str  # The same for people.
    metric: object  # A number, or an array as of `metrics.means`.
    # "percent" for shares in [0, 1], "ratio" for values in per cent of a
    # reference's, "seconds", or "number".
    kind: str = "percent"
    setting: str = ""  # Which of several of this name: "linf eps=4/255".

    @property
    def key(self) -> str:
        """Its name in a section, `"accuracy"`, `"accuracy[linf eps=4/255]"`."""
        return f"{self.name}[{self.setting}]" if self.setting else self.name

    @property
    def value(self) -> float:
        return metrics.value(self.metric)

    @property
    def error(self) -> float | None:
        """Standard error over images."""
        return metrics.error(self.metric)


def show(value, kind, unit=True, error=None, step=None) -> str:
    """A value in words: `"94.10 %"`, `"94.1 ± 0.8 %"`; None is a dash.

    Args:
        value: Number or metric.
        kind: As of a `Figure`.
        unit: Whether the unit is told.
        error: Its standard error. It decides how many digits there are: its
            first, and its second where the two are below 36 (as the Review of
            Particle Physics has it, section 5.3).
        step: Of a value without error: the least that it can change by.
    """
    if value is None:
        return "–"
    factor, digits, sign = _KINDS[kind]
    digits = decimals(factor * (error or step or 0.0), digits)
    text = f"{factor * metrics.value(value):.{digits}f}"
    if error:
        text += f" ± {factor * error:.{digits}f}"
    elif error is not None and digits:
        text = text.rstrip("0").rstrip(".")
    return text + (sign if unit else "")


def decimals(least, most) -> int:
    """Decimals of a value that is known to `least`, at most `most`."""
    if not least:
        return most
    return min(most, max(0, -math.floor(math.log10(least / 3.55))))


@dataclasses.dataclass(frozen=True)
class Table:
    """Values by row and column."""

    corner: str  # What the rows are.
    columns: tuple  # Headings, without the one of the row names.
    rows: dict  # `{name: values}`; None where there is none.
    groups: dict  # `{heading: names of rows}` that belong together.
    kinds: tuple  # Kind of every column, as of a `Figure`.
    steps: tuple  # The largest standard error of every column, 0 for none.
    quantity: str = "accuracy"  # What the values are.
    heat: int = 0  # How many columns, from the first, a heat map shows.

    @classmethod
    def of(cls, corner, columns, groups, quantity="accuracy", heat=0):
        """Of `(heading, kind, {name: metric})`; empty columns are left out."""
        headings, kinds, values = zip(*(own for own in columns if own[-1]))
        rows = {
            name: tuple(
                metrics.value(own[name]) if own.get(name) is not None else None
                for own in values
            )
            for names in groups.values()
            for name in names
        }
        steps = tuple(
            max(metrics.error(metric) or 0.0 for metric in own.values())
            for own in values
        )
        groups = {heading: own for heading, own in groups.items() if own}
        about = groups, kinds, steps, quantity, heat
        return cls(corner, headings, rows, *about)

    def shown(self, name, step) -> list[str]:
        """A row in words, no finer than errors, or `step` where none is."""
        row = zip(self.rows[name], self.kinds, self.steps)
        return [show(v, kind, False, step=own or step) for v, kind, own in row]


@dataclasses.dataclass(frozen=True)
class Bars:
    """A bar for every name, beside that of the reference where there is one."""

    title: str  # Heading.
    quantity: str  # What the bars show.
    values: dict  # `{name: value}`.
    # Standard errors, and the reference's values; some may be missing.
    errors: dict = dataclasses.field(default_factory=dict)
    reference: dict = dataclasses.field(default_factory=dict)
    reference_name: str = ""
    limit: float = math.inf  # Largest value that can be: where whiskers end.


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A reliability diagram: accuracy against confidence, by bins.

    `bins` are `[[count, sum of confidence, sum of right], ...]`, of equal
    widths; `error` is the expected calibration error, a metric.
    """

    title: str
    bins: list
    error: object

    @property
    def shown(self) -> str:
        """The error in words."""
        return show(self.error, "percent", error=metrics.error(self.error))

    @property
    def filled(self) -> list[tuple]:
        """`(low, high, count, confidence, accuracy)` of bins with images."""
        number = len(self.bins)
        return [
            (k / number, (k + 1) / number, count, sure / count, right / count)
            for k, (count, sure, right) in enumerate(self.bins)
            if count
        ]


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of measurement."""

    name: str  # Key in JSON: "clean", "c", "c_extra", "shift_art".
    title: str  # Heading.
    label: str  # In columns of a comparison: "C"; "" where it has none there.
    suite: str  # Suite of its cells; "" where there are several.
    source: str  # As of its `Cell`s; "" where there are several.
    n: int  # Number of images, or sequences, of every cell.
    origin: str  # In words: how many images, and what decided them.
    figures: tuple  # `Figure`s.
    table: Table | None = None
    # JSON values of the single cells.
    cells: dict = dataclasses.field(default_factory=dict)
    charts: tuple = ()  # `Bars` and `Reliability` diagrams.
    notes: tuple = ()  # Sentences that a reader of the figures must know.
    caveats: tuple = ()  # Those that a table of several models must repeat.
    # Keys of the figures that a page opens with, by their titles there:
    # `{"Clean accuracy": "accuracy"}`.
    headlines: dict = dataclasses.field(default_factory=dict)
    # Accuracies of the picture that a page opens with, the mildest first:
    # `{"noise": {"severity 1": metric}}`.
    overview: dict = dataclasses.field(default_factory=dict)
    adapt: str = ""  # As of its `Cell`s.
    images: tuple = ()  # Which images these are: 8 digits of each `Cell.data`.

    def adapted(self, word) -> "Section":
        """The same of a model that adapted to the images, of `Cell.adapt`."""
        return dataclasses.replace(
            self,
            adapt=word,
            name=f"{self.name}_adapted",
            title=f"{self.title}, adapted",
            label=self.label and f"{self.label}, adapted",
            origin=f"{self.origin}; statistics of {word}",
            headlines={},
            overview={},
        )

    def figure(self, key) -> Figure | None:
        """The figure of a key."""
        return next((f for f in self.figures if f.key == key), None)

    @property
    def counted(self) -> str:
        """How many images it is about: `"200 images per cell"`."""
        return self.origin.partition(", ")[0]

    def shown(self, figure) -> str:
        """A figure in words, its digits as far as they are known."""
        step = 1 / self.n if self.n else None
        return show(figure.value, figure.kind, error=figure.error, step=step)

    @property
    def lines(self) -> list[tuple]:
        """Its figures, `(label, words)`."""
        return [(figure.label, self.shown(figure)) for figure in self.figures]

    @property
    def grid(self) -> list[tuple]:
        """The rows of its table in words, the first its headings."""
        table, step = self.table, 1 / self.n
        rows = [(name, *table.shown(name, step)) for name in table.rows]
        return [(table.corner, *table.columns), *rows]

    def as_dict(self) -> dict:
        """The section as JSON values."""
        names, figures = "title label suite source n origin", self.figures
        errors = {figure.key: figure.error for figure in figures}
        return {
            **{name: getattr(self, name) for name in names.split()},
            "figures": {figure.key: figure.value for figure in figures},
            "kinds": {figure.key: figure.kind for figure in figures},
            "standard_errors": {
                k: e for k, e in errors.items() if e is not None
            },
            "cells": self.cells,
            "images": list(self.images),
            "notes": list(self.notes),
            "caveats": list(self.caveats),
        }


def only(field, cells):
    """The one value that a field has in all cells; None if there is no cell."""
    values = distinct(getattr(cell, field) for cell in cells)
    if len(values) > 1:
        raise UsageError(
            f"A report is about one {field}, these cells are about "
            f"{', '.join(map(str, values))}: report them one by one."
        )
    return values[0] if values else None


def distinct(values) -> tuple:
    """The values without repetitions, in order."""
    return tuple(dict.fromkeys(values))
