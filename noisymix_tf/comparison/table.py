"""The table of a comparison as data: rows, columns, and how far they differ."""

import dataclasses

from noisymix_tf.comparison import measures, published, rows
from noisymix_tf.comparison.differences import Cell
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Table:
    """All that the writers show; what is the paper's comes first."""

    title: str
    columns: list  # Of `measures.Column`.
    rows: list  # Of `rows.Row`: those of runs.
    published: list  # Those of published results, by source.
    sections: dict  # `{name: sections}` of all reports.
    differing: list  # Lines on what runs and rows differ in, though compared.
    target: str  # What differences are to: title of a row, or "the best".

    @property
    def parts(self):
        """`(heading, columns, published rows)`: as in the paper, then more."""
        for heading, is_main in (("", True), ("Further measures", False)):
            columns = [c for c in self.columns if c.is_main == is_main]
            keys = {column.key for column in columns}
            others = [row for row in self.published if keys & row.cells.keys()]
            if columns:
                yield heading, columns, others

    @property
    def cells(self):
        """`(row, column, cell)` of all cells of runs."""
        return [
            (row, column, row.cells[column.key])
            for column in self.columns
            for row in self.rows
            if column.key in row.cells
        ]


def build(runs, reference=None, anyway=False, baseline=None):
    """The `Table` of a list of `runs.Run`s, at least one.

    The reference is as `measures.reference_of` takes it, the baseline a title
    or method. Budgets and measurements that differ are a `UsageError` that
    names where, if not compared `anyway`.
    """
    own = rows.of_runs(runs)
    differing = [
        *rows.budgets({str(run.path): run.flags for run in runs if run.flags}),
        *rows.measurements(runs),
        *rows.repeated(own),
    ]
    if not anyway:
        rows.check(differing)
    target = rows.pick(baseline, own)
    divisor = measures.reference_of(runs, reference)
    measured, sections = {}, {}
    for run in runs:
        measured[run.path], of_run = measures.measure(run, divisor)
        for name, section in of_run.items():
            sections.setdefault(name, []).append(section)
    columns = measures.columns(measured.values(), sections)
    if not columns:
        raise UsageError(
            "The runs have no measure that a table shows: evaluate them with "
            "--suites=clean,c."
        )
    for column in columns:
        for row in own:
            found = [measured[run.path].get(column.place) for run in row.runs]
            if found := list(filter(None, found)):
                row.cells[column.key] = Cell(found)
        _compare(column, own, target)
    others = published.rows_of({r.report["dataset"] for r in runs}, columns)
    lines = [f"Differs: {line}" for line in differing]
    lines += [f"Rows differ in {line}" for line in rows.recipes(own)]
    about = sections, lines, target or "the best"
    return Table(_title(runs), columns, own, others, *about)


def _compare(column, rows, target):
    """Sets differences, and where errors are known, who leads a column."""
    key = column.key
    cells = {row.title: row.cells[key] for row in rows if key in row.cells}
    if len(cells) < 2:
        return
    choose = max if column.of.higher_is_better else min
    best = choose(cells, key=lambda title: cells[title].mean)
    other = cells.get(target or best)
    to_best = [(cell, cell.minus(cells[best])) for cell in cells.values()]
    is_known = all(found.low is not None for _, found in to_best)
    for cell, found in to_best:
        cell.is_leader = is_known and found.low <= 0.0 <= found.high
        if other not in (None, cell):
            cell.difference = cell.minus(other)


def _title(runs):
    if not all(run.flags for run in runs):
        return runs[0].report["dataset"]
    names = ("dataset", "model", "width", "epochs", "batch_size")
    data, model, width, epochs, size = map(runs[0].value, names)
    model += "" if float(width) == 1.0 else f" x {float(width):g}"
    epochs += " epoch" if epochs == "1" else " epochs"
    return f"{data}, {model}, {epochs}, batches of {size}"
