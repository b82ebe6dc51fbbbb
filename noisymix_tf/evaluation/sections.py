"""What a report is made of: figures, tables and charts, as plain data.

A suite makes sections out of the scores of its cells; how a section looks is
the business of the writers.
"""

import dataclasses
import math

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import resampling


@dataclasses.dataclass(frozen=True)
class Context:
    """The `{cell: scores}` of all suites, and the `Reference` or None."""

    scores: dict
    reference: object = None


# How values are shown: factor, digits behind the point, unit.
_KINDS = {
    "percent": (100.0, 2, " %"),
    "ratio": (1.0, 2, " %"),
    "number": (1.0, 4, ""),
    "seconds": (1.0, 1, " s"),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of a section.

    Attributes:
        name: What it is, for JSON: `"accuracy"`.
        label: The same for people.
        metric: A number, or the array that `resampling.means` gives.
        kind: `"percent"` for shares in [0, 1], `"ratio"` for values in per
            cent of a reference's, `"seconds"`, or `"number"`.
        setting: Which of several of this name: `"linf eps=4/255"`.
    """

    name: str
    label: str
    metric: object
    kind: str = "percent"
    setting: str = ""

    @property
    def key(self):
        """Its name in a section, `"accuracy"`, `"accuracy[linf eps=4/255]"`."""
        return f"{self.name}[{self.setting}]" if self.setting else self.name

    @property
    def value(self):
        return resampling.value(self.metric)

    @property
    def error(self):
        """Standard error over images, or None."""
        return resampling.error(self.metric)


def show(value, kind, unit=True, error=None, step=None):
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
    least = factor * (error or step or 0.0)
    if least:
        digits = min(digits, max(0, -math.floor(math.log10(least / 3.55))))
    text = f"{factor * resampling.value(value):.{digits}f}"
    if error:
        text += f" ± {factor * error:.{digits}f}"
    elif error is not None and digits:
        text = text.rstrip("0").rstrip(".")
    return text + (sign if unit else "")


@dataclasses.dataclass(frozen=True)
class Table:
    """Values by row and column.

    Attributes:
        corner: What the rows are.
        columns: Headings, without the one of the row names.
        rows: `{name: values}`; None where there is none.
        groups: `{heading: names of rows}` that belong together.
        kinds: Kind of every column, as of a `Figure`.
        quantity: What the values are: `"accuracy"`.
        heat: How many of the columns, from the first, a heat map shows.
    """

    corner: str
    columns: tuple
    rows: dict
    groups: dict
    kinds: tuple
    quantity: str = "accuracy"
    heat: int = 0


@dataclasses.dataclass(frozen=True)
class Bars:
    """A bar for every name, beside that of the reference where there is one.

    Attributes:
        title: Heading.
        quantity: What the bars show.
        values: `{name: value}`.
        kind: As of a `Figure`.
        errors, reference: Standard errors, and the reference's values,
            likewise; some may be missing.
        reference_name: What the reference is called.
        limit: Largest value that can be, where whiskers end.
    """

    title: str
    quantity: str
    values: dict
    kind: str = "percent"
    errors: dict = dataclasses.field(default_factory=dict)
    reference: dict = dataclasses.field(default_factory=dict)
    reference_name: str = ""
    limit: float = math.inf


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A reliability diagram: accuracy against confidence, by bins.

    `bins` are `[[count, sum of confidence, sum of right], ...]`, of equal
    widths; `error` is the expected calibration error.
    """

    title: str
    bins: list
    error: float


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of measurement.

    Attributes:
        name: Key in JSON: `"clean"`, `"c"`, `"c_extra"`, `"shift_art"`.
        title: Heading.
        label: What columns of a comparison call it: `"C"`, `"art"`; `""` for
            a section that has none there.
        suite: Suite of its cells; `""` where there are several.
        source: As of its `Cell`s; `""` where there are several.
        n: Number of images, or sequences, of every cell.
        origin: In words: how many images, and what decided them.
        figures: `Figure`s.
        table: `Table`, or None.
        cells: JSON values of the single cells.
        charts: `Bars` and `Reliability` diagrams.
        notes: Sentences that a reader of the figures must know.
        caveats: Those of them that a table of several models must repeat.
        headlines: Keys of the figures that a page opens with, by their titles
            there: `{"Clean accuracy": "accuracy"}`.
    """

    name: str
    title: str
    label: str
    suite: str
    source: str
    n: int
    origin: str
    figures: tuple
    table: Table | None = None
    cells: dict = dataclasses.field(default_factory=dict)
    charts: tuple = ()
    notes: tuple = ()
    caveats: tuple = ()
    headlines: dict = dataclasses.field(default_factory=dict)

    def figure(self, key):
        """The figure of a key, or None."""
        return next((f for f in self.figures if f.key == key), None)


def only(field, cells):
    """The one value that a field has in all cells; None if there is no cell."""
    values = distinct(getattr(cell, field) for cell in cells)
    if len(values) > 1:
        raise UsageError(
            f"A report is about one {field}, these cells are about "
            f"{', '.join(map(str, values))}: report them one by one."
        )
    return values[0] if values else None


def distinct(values):
    """The values without repetitions, in order."""
    return tuple(dict.fromkeys(values))


def average(values):
    """The mean of an iterable of numbers or metrics."""
    values = list(values)
    return sum(values) / len(values)
