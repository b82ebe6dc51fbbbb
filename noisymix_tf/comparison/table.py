"""The table of a comparison as data: rows, columns, means and deviations."""

import dataclasses
import functools
import math

from noisymix_tf.comparison import budget, columns, notes, published, rows
from noisymix_tf.comparison.normalisation import Normalisation
from noisymix_tf.comparison.side import beside
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Cell:
    """A measure of the runs of a row.

    Attributes:
        values: One for each run, in per cent.
    """

    values: tuple

    @functools.cached_property
    def mean(self):
        return math.fsum(self.values) / len(self.values)

    @functools.cached_property
    def deviation(self):
        """Standard deviation of a run (N - 1 degrees); None for one run."""
        if len(self.values) < 2:
            return None
        squares = math.fsum((v - self.mean) ** 2 for v in self.values)
        return math.sqrt(squares / (len(self.values) - 1))

    @property
    def error(self):
        """Standard error of the mean; None for one run."""
        if self.deviation is None:
            return None
        return self.deviation / math.sqrt(len(self.values))

    def text(self, digits):
        """`"96.4 ± 0.9"`, or without a deviation `"96.4"`."""
        mean = f"{self.mean:.{digits}f}"
        if self.deviation is None:
            return mean
        return f"{mean} ± {self.deviation:.{digits}f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A method, or a published result.

    Attributes:
        title: What it is called.
        method: Name of the method.
        cells: `{key of a column: Cell}`; a measure that it lacks is not there.
        runs: Paths of its runs, as str.
        source: Where it is published; `""` for runs.
    """

    title: str
    method: str
    cells: dict
    runs: tuple = ()
    source: str = ""

    def text(self, column):
        """What stands in a column."""
        cell = self.cells.get(column.key)
        return cell.text(column.digits) if cell else "–"


@dataclasses.dataclass(frozen=True)
class Table:
    """All that the writers show.

    Attributes:
        title: What was compared on what.
        columns: `columns.Column`s, those of the paper's table first.
        rows: `Row`s of runs, in the order of the paper's table.
        published: `Row`s of published results, in the order of their sources.
        notes: Sentences that a reader must know.
    """

    title: str
    columns: tuple
    rows: tuple
    published: tuple
    notes: tuple

    @property
    def parts(self):
        """`(heading, columns)`: the paper's form, then further measures."""
        main = [c for c in self.columns if c.is_main]
        more = [c for c in self.columns if not c.is_main]
        named = (("", main), ("Further measures", more))
        return [(heading, part) for heading, part in named if part]

    @staticmethod
    def shown(rows, columns):
        """Those of some rows that have a value in one of some columns."""
        keys = {column.key for column in columns}
        return [row for row in rows if keys & row.cells.keys()]

    def is_best(self, row, column):
        """Whether no other row of runs shows a better value.

        A single row is not called the best.
        """
        if row.source or len(self.rows) < 2 or column.key not in row.cells:
            return False
        shown = [
            round(other.cells[column.key].mean, column.digits)
            for other in self.rows
            if column.key in other.cells
        ]
        best = max(shown) if column.higher_is_better else min(shown)
        return round(row.cells[column.key].mean, column.digits) == best


def build(runs, reference=None, anyway=False):
    """The table of some runs.

    Args:
        runs: `runs.Run`s, at least one.
        reference: What errors and flips are divided by: a path, `"alexnet"`,
            or None for AlexNet where the reports have its constants, else for
            the baseline where it is among the runs.
        anyway: Whether to compare runs of different budgets.

    Returns:
        `Table`.

    Raises:
        UsageError: The runs differ in their budgets or measurements (the
            message names where), or the reference cannot be used.
    """
    differences = [
        *budget.differences_of_flags({str(r.path): r.flags for r in runs}),
        *budget.differences_of_measurements(runs),
    ]
    groups = rows.of_runs(runs)
    differences += rows.repeated(groups)
    if not anyway:
        budget.check(differences)
    normalise = Normalisation(runs, reference)
    chosen = columns.of_runs(runs, normalise)
    if not chosen:
        raise UsageError(
            "The runs have no measure that a table shows: evaluate them with "
            "--suites=clean,c."
        )
    datasets = {run.value("dataset") for run in runs}
    side = published.of_dataset(datasets.pop()) if len(datasets) == 1 else ()
    chosen, placed = beside(side, chosen)
    own = tuple(_row(group, chosen, groups) for group in groups)
    others = tuple(
        Row(
            each.title,
            each.method,
            {key: Cell((value,)) for key, value in values.items()},
            source=each.source,
        )
        for each, values in placed
    )
    return Table(
        title=_title(runs[0]),
        columns=tuple(chosen),
        rows=own,
        published=others,
        notes=tuple(notes.of_table(runs, groups, chosen, others, differences)),
    )


def _row(group, chosen, groups):
    cells = {}
    for column in chosen:
        values = [column.value(run) for run in group.runs]
        values = tuple(value for value in values if value is not None)
        if values:
            cells[column.key] = Cell(values)
    most = max(len(other.runs) for other in groups)
    title = group.title
    if len(group.runs) < most:
        title += f" [{len(group.runs)} of {most} seeds]"
    return Row(
        title, group.method, cells, tuple(str(run.path) for run in group.runs)
    )


def _title(run):
    width = float(run.value("width"))
    network = run.value("model") + (f" x {width:g}" if width != 1.0 else "")
    epochs = run.value("epochs")
    return (
        f"{run.value('dataset')}, {network}, {epochs} "
        f"{'epoch' if epochs == '1' else 'epochs'}, batches of "
        f"{run.value('batch_size')}"
    )
