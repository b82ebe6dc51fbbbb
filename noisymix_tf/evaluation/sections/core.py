"""What sections are made of: figures, tables and charts, as plain data.

A suite has a function, registered by the name of its cells, that makes its
sections out of those cells; how a section looks is the business of the writers
(`writers/`).
"""

import dataclasses
import math

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.registry import Registry

# Functions from `({cell: measurements} of one suite, Context)` to sections.
SECTIONS = Registry("section of a report")


@dataclasses.dataclass(frozen=True)
class Context:
    """What sections may look at besides their own cells.

    Attributes:
        records: `{cell: measurements}` of all suites.
        reference: `Reference`, or None.
    """

    records: dict
    reference: object = None


# How values are shown: factor, digits behind the point, unit.
_KINDS = {
    "percent": (100.0, 2, " %"),  # Shares in [0, 1].
    "ratio": (1.0, 2, " %"),  # Per cent of a reference.
    "number": (1.0, 4, ""),
    "seconds": (1.0, 1, " s"),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number: `name` for JSON, `label` for people, `value`, and its kind.

    `kind` is `"percent"` for shares in [0, 1], `"ratio"` for values in per cent
    of a reference's, `"seconds"`, or `"number"` for anything else.
    """

    name: str
    label: str
    value: float
    kind: str = "percent"

    @property
    def text(self):
        return show(self.value, self.kind)


def show(value, kind, unit=True):
    """A value in words: `"94.10 %"`; None is a dash."""
    if value is None:
        return "–"
    factor, digits, sign = _KINDS[kind]
    return f"{factor * value:.{digits}f}{sign if unit else ''}"


@dataclasses.dataclass(frozen=True)
class Table:
    """Values by row and column.

    Attributes:
        corner: What the rows are.
        columns: Headings, without the one of the row names.
        rows: `{name: values}`; None where there is none.
        groups: `{heading: names of rows}` that belong together.
        quantity: What the values are: `"accuracy"`.
        kinds: Kind of every column, as of a `Figure`; one for all.
        heat: How many of the columns, from the first, a heat map shows.
    """

    corner: str
    columns: tuple
    rows: dict
    groups: dict
    quantity: str = "accuracy"
    kinds: tuple | str = "percent"
    heat: int = 0

    def kind(self, column):
        """Kind of a column, by its place."""
        return self.kinds if isinstance(self.kinds, str) else self.kinds[column]


@dataclasses.dataclass(frozen=True)
class Bars:
    """A bar for every name, beside that of the reference where there is one.

    Attributes:
        title: Heading.
        quantity: What the bars show.
        values: `{name: value}`.
        kind: As of a `Figure`.
        errors: `{name: standard error}`; empty for none.
        reference: `{name: value}` of the reference; empty for none.
        reference_name: What it is called.
        name: What the bars themselves are called.
        spread: What the errors are.
        limit: Largest value that can be, where whiskers end.
    """

    title: str
    quantity: str
    values: dict
    kind: str = "percent"
    errors: dict = dataclasses.field(default_factory=dict)
    reference: dict = dataclasses.field(default_factory=dict)
    reference_name: str = ""
    name: str = "this model"
    spread: str = "standard error"
    limit: float = math.inf


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A reliability diagram: accuracy against confidence, by bins.

    Attributes:
        title: Heading.
        bins: `[[count, sum of confidence, sum of correct], ...]`, equal widths.
        error: Expected calibration error.
    """

    title: str
    bins: list
    error: float


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of measurement.

    Attributes:
        name: Key in JSON: `"clean"`, `"c"`, `"c_extra"`.
        title: Heading.
        n: Number of images, or sequences, of every cell.
        source: Source of the cells: `"original"`, `"generated"`, `"released"`;
            `""` where there are several.
        origin: In words: how many images, and what decided them.
        figures: `Figure`s.
        table: `Table`, or None.
        cells: JSON values of the single cells.
        charts: `Bars` and `Reliability` diagrams.
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
    charts: tuple = ()
    notes: tuple = ()


def tallies(records):
    """`{cell: Tally}` out of `{cell: measurements}`."""
    return {cell: Tally.restore(cell.n, m) for cell, m in records.items()}


def quality(tallies, mean=False):
    """Calibration, likelihood and Brier score: of one tally, or their mean."""
    name, label = ("mean_", "mean ") if mean else ("", "")
    return [
        Figure(
            f"{name}{metric}",
            f"{label}{words}",
            average(getattr(tally, metric) for tally in tallies),
            kind,
        )
        for metric, words, kind in (
            ("ece", "expected calibration error", "percent"),
            ("nll", "negative log-likelihood", "number"),
            ("brier", "Brier score", "number"),
        )
    ]


def image_metrics(tally):
    """JSON values of one cell of images."""
    return {
        "accuracy": tally.accuracy,
        "nll": tally.nll,
        "ece": tally.ece,
        "rms_calibration_error": tally.rms_calibration_error,
        "brier": tally.brier,
    }


def origin(records, words, unit="images", per_cell=False):
    """How many images there are, and where they come from.

    Args:
        records: `{cell: measurements}` of one section.
        words: Where they come from.
        unit: What is counted.
        per_cell: Whether there are several cells.
    """
    cell, measurements = next(iter(records.items()))
    available = measurements.get("available", cell.n)
    number = f"{cell.n:,} {unit}"
    if available > cell.n:
        number = f"{cell.n:,} of {available:,} {unit}"
    if per_cell:
        number += " per cell"
    read = "" if cell.preprocess == "as_stored" else f", {cell.preprocess}"
    return f"{number}, {words}{read}"


def source_of(cell):
    """Source of a cell's images; files of this package are generated too."""
    return "generated" if cell.generator else cell.source


def name_of(cell):
    """Name of a cell's section: `"c"`, `"c_released"`, or `"c_written"`.

    The last is of files that this package wrote.
    """
    if cell.source == "generated":
        return cell.suite
    kind = "written" if source_of(cell) != cell.source else cell.source
    return f"{cell.suite}_{kind}"


def in_files(cell):
    """Words for a title: whether generated images were read from files."""
    return " in files" if source_of(cell) != cell.source else ""


def made(cell):
    """Words for the origin of corrupted images."""
    if source_of(cell) != "generated":
        return f"from {cell.source} files"
    version, _, constants = cell.generator.rpartition("-")
    files = "files that were " if in_files(cell) else ""
    return (
        f"{files}generated from the dataset (constants for {constants}, "
        f"generator version {version}, seed {cell.seed})"
    )


def only(field, records):
    """The one value that a field has in all cells, `UsageError` if several.

    None if there is no cell.
    """
    values = distinct(getattr(cell, field) for cell in records)
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
    """The mean of an iterable."""
    values = list(values)
    return sum(values) / len(values)
