"""The table of a comparison as data: rows, columns, and how far they differ."""

import collections
import csv
import dataclasses
import pathlib
from collections.abc import Iterator

from noisymix_tf.comparison import differences, measures
from noisymix_tf.comparison.measures import Cell, Measure
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.reference import alexnet
from noisymix_tf.run_folder import flag_value


def _csv(name):
    path = pathlib.Path(__file__).with_name(name)
    return path.read_text(encoding="utf-8").splitlines()


# `{method: title}`: the rows of Erichson et al. (2022), arXiv:2202.01263, Table
# 1, with their relatives beside them. AugMix's relatives and NoisyMix's come
# before the method itself, so that the last row is NoisyMix.
TITLES = dict(csv.reader(_csv("methods.csv")))
# Table 1 and the corruption leaderboards of RobustBench
# (github.com/RobustBench/robustbench), in per cent, each under the figure of a
# report that measures the same. All are of the released files, flips and mCE in
# per cent of AlexNet's. RobustBench measures ImageNet on 5,000 images; its
# means without noise are of its table of single corruptions. The radius of the
# paper's FGSM is not published but assumed, 4/255.
_PUBLISHED = list(csv.DictReader(_csv("published.csv")))


@dataclasses.dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but their seed, an evaluation, or a result.

    An evaluation has no method and no seed, only what is published a source.
    Cells are `{key of a column: Cell}`, without what a row lacks.
    """

    title: str  # The method, with what tells it from other rows, or the model.
    method: str
    runs: tuple = ()
    source: str = ""
    cells: dict = dataclasses.field(default_factory=dict)

    def only(self, runs) -> "Row":
        """It with those of its runs that are among some, without cells."""
        found = tuple(run for run in self.runs if run in runs)
        return dataclasses.replace(self, runs=found, cells={})

    @property
    def seeds(self) -> tuple[str, ...]:
        """Those of its runs."""
        return tuple(run.value("seed") for run in self.runs if run.flags)

    def text(self, column) -> str:
        """What stands in a column, a dash for nothing."""
        cell = self.cells.get(column.key)
        return cell.text(column.of.digits) if cell else "–"

    def difference(self, column) -> str:
        """The difference that stands in a column, a dash for nothing."""
        found = column.key in self.cells and self.cells[column.key].difference
        return found.text(column.of.digits) if found else "–"


@dataclasses.dataclass(frozen=True)
class Table:
    """All that the writers show; what is the paper's comes first."""

    title: str
    columns: list  # Of `measures.Column`.
    rows: list  # Those of runs.
    published: list  # Those of published results, by source.
    sections: dict  # `{name: sections}` of all reports.
    differing: list  # Lines on what runs and rows differ in, though compared.
    target: str  # What differences are to: title of a row, or "the best".

    @property
    def parts(self) -> Iterator[tuple]:
        """`(heading, columns, published rows)`: as in the paper, then more."""
        for heading, is_main in (("", True), ("Further measures", False)):
            columns = [c for c in self.columns if c.is_main == is_main]
            keys = {column.key for column in columns}
            others = [row for row in self.published if keys & row.cells.keys()]
            if columns:
                yield heading, columns, others

    @property
    def opening(self) -> list:
        """The columns of which the verdict is: two of the first quantity."""
        first = self.columns[0].quantity
        return [c for c in self.columns if c.quantity == first][:2]

    @property
    def verdict(self) -> str:
        """What can be told apart there, in a sentence; `""` of a single row."""
        found, short = {}, self.abbreviations(self.opening)
        for column in self.opening:
            cells = [own for own in self.cells if own[1] == column]
            where = _lower(self.sections[column.place[0]][0]["title"])
            where += f" ({column.label})" * (column.label in short)
            if column.title != column.label:
                where = column.title
            if len(cells) > 1:
                found.setdefault(_told(cells), []).append(f"on {where}")
        said = "; ".join(f"{' and '.join(on)} {w}" for w, on in found.items())
        if said and all(len(row.runs) == 1 for row in self.rows):
            said = f"of these runs, {said}"
        return said and f"{said[0].upper()}{said[1:]}."

    def abbreviations(self, columns) -> dict[str, str]:
        """What stands for what in the headings of columns."""
        found = {}
        for column in columns:
            title = self.sections[column.place[0]][0]["title"]
            if column.label not in title.split():
                found[column.label] = _lower(title)
            if column.of.measure:
                found[column.title.rpartition(" ")[2]] = column.of.measure
        return found

    @property
    def cells(self) -> list[tuple]:
        """`(row, column, cell)` of all cells of runs."""
        return [
            (row, column, row.cells[column.key])
            for column in self.columns
            for row in self.rows
            if column.key in row.cells
        ]


def build(
    runs,
    reference=None,
    anyway=False,
    baseline=None,
    equal_passes=False,
    rows=(),
) -> Table:
    """The table of a list of `runs.Run`s, at least one.

    The reference is as `measures.reference_of` takes it, the baseline a title
    or method. Budgets and measurements that differ are a `UsageError` that
    names where, if not compared `anyway`; of runs of `equal_passes` epochs
    count once for each view. `rows_of` more runs may be given for their titles.
    """
    rows = [row.only(runs) for row in rows or rows_of(runs)]
    rows = [row for row in rows if row.runs]
    flags = {str(run.path): run.flags for run in runs if run.flags}
    by = "passes" if equal_passes else "epochs"
    differing = differences.budgets(flags, by)
    differing += differences.measurements(runs) + differences.repeated(rows)
    if not anyway:
        differences.check(differing)
    target = pick(baseline, rows)
    divisor = measures.reference_of(runs, reference)
    measured, sections = {}, collections.defaultdict(list)
    for run in runs:
        measured[run.path], of_run = measures.measure(run, divisor)
        for name, section in of_run.items():
            sections[name].append(section)
    columns = measures.columns(measured.values(), sections)
    if not columns:
        raise UsageError(
            "The runs have no measure that a table shows: evaluate them with "
            "--suites=clean,c."
        )
    few = {}
    for column in columns:
        for row in rows:
            found = [measured[run.path].get(column.place) for run in row.runs]
            if found := list(filter(None, found)):
                row.cells[column.key] = Cell(found)
            if 0 < len(found) < (number := len(row.runs)):
                few[f"{row.title}, {column.label}"] = len(found), number
        _compare(column, rows, target)
    published = _published({r.report["dataset"] for r in runs}, columns)
    lines = [f"Differs: {line}" for line in differing]
    lines += [f"Rows differ in {line}" for line in differences.recipes(rows)]
    lines += [f"{name}: {own} of {n} runs" for name, (own, n) in few.items()]
    about = sections, lines, target or "the best"
    return Table(_title(runs, equal_passes), columns, rows, published, *about)


def _told(cells):
    """Who leads a column, as far as that is known."""
    if None in [cell.standard_error for _, _, cell in cells]:
        return "nothing can be told apart, as errors are not known"
    lead = [row.title for row, _, cell in cells if cell.is_leader]
    if not lead:
        return "nothing can be told from the best"
    if len(lead) == 1:
        return f"{lead[0]} leads"
    names = f"{', '.join(lead[:-1])} and {lead[-1]}"
    if len(lead) > 4:
        names = f"{len(lead)} of {len(cells)} rows"
    return f"{names} lead and cannot be told from the best"


def _lower(title):
    return title[0].lower() + title[1:] if title[1:2].islower() else title


def title_of(method) -> str:
    """What a method is called; an unknown one by its own name."""
    return TITLES.get(method, method.replace("_", " "))


def pick(name, rows) -> str | None:
    """Title of the one `Row` that `--baseline` stands for; None for None."""
    found = [row.title for row in rows if row.title == name]
    found = found or [row.title for row in rows if row.method == name]
    if name is not None and len(found) != 1:
        raise UsageError(
            f"--baseline={name} stands for {len(found)} rows: give one of "
            f"{', '.join(row.title for row in rows)}."
        )
    return None if name is None else found[0]


def _title(runs, equal_passes):
    if not all(run.flags for run in runs):
        return runs[0].report["dataset"]
    names = ("dataset", "model", "width", "epochs", "batch_size")
    data, model, width, epochs, size = map(runs[0].value, names)
    model += "" if float(width) == 1.0 else f" x {float(width):g}"
    starts = {pathlib.Path(run.value("init") or model).name for run in runs}
    model = " and ".join(sorted(starts))
    epochs += " epoch" if epochs == "1" else " epochs"
    if equal_passes:
        epochs = f"{differences.passes_of(runs[0].flags)} passes of each image"
    return f"{data}, {model}, {epochs}, batches of {size}"


def rows_of(runs) -> list[Row]:
    """Rows, still without cells, in the order of the paper's."""
    found = collections.defaultdict(list)
    for run in runs:
        recipe = tuple(
            (name, run.flags.get(name)) for name in differences.trained()
        )
        found[recipe if run.flags else run.path].append(run)
    recipes = [dict(key) for key, (run, *_) in found.items() if run.flags]
    rows = []
    for key, own in found.items():
        title = own[0].report["about"].get("model") or own[0].path.name
        if own[0].flags:
            own.sort(key=lambda run: int(run.value("seed")))
            title = _title_of_recipe(dict(key), recipes)
        rows.append(Row(title, own[0].method, tuple(own)))
    number = collections.Counter(row.title for row in rows)
    for place, row in enumerate(rows):
        if number[row.title] > 1:
            title = f"{row.title} ({row.runs[0].path})"
            rows[place] = dataclasses.replace(row, title=title)
    # Methods of one's own, and models without one, come last.
    return sorted(rows, key=lambda row: [*TITLES, row.method].index(row.method))


def _title_of_recipe(recipe, others):
    """The method, with the flags in which rows of the same method differ."""
    same = [other for other in others if other["method"] == recipe["method"]]
    words = [
        f"{name}={flag_value(line) or 'not set'}"
        for name, line in recipe.items()
        if any(other[name] != line for other in same)
    ]
    title = title_of(flag_value(recipe["method"]))
    return f"{title} ({', '.join(words)})" if words else title


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
    equal = [c for c, f in to_best if is_known and f.low <= 0.0 <= f.high]
    for cell in cells.values():
        cell.is_leader = len(equal) < len(cells) and cell in equal
        if other not in (None, cell):
            cell.difference = cell.minus(other)


def _published(datasets, columns):
    """Published rows that have a number for one of the columns of runs.

    Numbers of released files stand in no column of generated images, nor in
    one of what is divided by others than AlexNet.
    """
    keys = [c.key for c in columns if c.place[3] in ("", alexnet().name)]
    rows = []
    for row in _PUBLISHED:
        known = {k: Cell([Measure(float(row[k]))]) for k in keys if row.get(k)}
        source = row["source"].rpartition(", ")[2]
        title = f"{row['name']} ({row['network']}, {source})"
        if known and {row["dataset"]} == datasets:
            rows.append(Row(title, row["method"], (), row["source"], known))
    return rows
