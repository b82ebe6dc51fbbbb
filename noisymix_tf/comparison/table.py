"""The table of a comparison as data: rows, columns, and how far they differ."""

import collections
import csv
import dataclasses
import functools
import pathlib
from collections.abc import Iterator

from noisymix_tf import config
from noisymix_tf.comparison import measures
from noisymix_tf.comparison.measures import Cell, Measure
from noisymix_tf.comparison.runs import split
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.reference import alexnet
from noisymix_tf.run_folder import flag_value


def _csv(name):
    """The lines of a file of the package."""
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

# Flags that say, beside epochs, on what and with what a model is trained.
_BUDGET = (
    "dataset image_size preprocess train_examples test_examples model width "
    "batch_size accumulation_steps"
).split()


@dataclasses.dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but their seed, an evaluation, or a result.

    An evaluation has no method and no seed, only what is published a source.
    Cells are `{key of a column: Cell}`, without what a row lacks.
    """

    title: str  # The method, with what tells it from other rows, or the model.
    method: str
    runs: tuple = ()
    seeds: tuple = ()
    source: str = ""
    cells: dict = dataclasses.field(default_factory=dict)

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
    runs, reference=None, anyway=False, baseline=None, equal_passes=False
) -> Table:
    """The table of a list of `runs.Run`s, at least one.

    The reference is as `measures.reference_of` takes it, the baseline a title
    or method. Budgets and measurements that differ are a `UsageError` that
    names where, if not compared `anyway`; of runs of `equal_passes` epochs
    count once for each view.
    """
    rows = _rows(runs)
    flags = {str(run.path): run.flags for run in runs if run.flags}
    differing = budgets(flags, "passes" if equal_passes else "epochs")
    differing += measurements(runs) + _repeated(rows)
    if not anyway:
        check(differing)
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
    for column in columns:
        for row in rows:
            found = [measured[run.path].get(column.place) for run in row.runs]
            if found := list(filter(None, found)):
                row.cells[column.key] = Cell(found)
        _compare(column, rows, target)
    published = _published({r.report["dataset"] for r in runs}, columns)
    lines = [f"Differs: {line}" for line in differing]
    lines += [f"Rows differ in {line}" for line in _recipes(rows)]
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


def check(differences) -> None:
    """Raises a `UsageError` if there are any differences."""
    if differences:
        raise UsageError(
            f"These runs do not compare: {' | '.join(differences)}. Give runs "
            f"of one budget, measured alike, or --compare_anyway."
        )


def budgets(flags, by="epochs") -> list[str]:
    """Lines on what `{run: {flag: line}}` differ in; by `""` in no time."""
    datasets = [own.get("dataset") for own in flags.values()]
    names = _BUDGET + ["data_dir"] * ("--dataset=folder" in datasets)
    names += ["epochs"] * (by == "epochs")
    passes = {run: passes_of(own) for run, own in flags.items()}
    facts = {"passes of each image": passes} if by == "passes" else {}
    return _differing(facts) + _differing_flags(names, flags)


def passes_of(flags) -> int:
    """How often a run's network sees each image, all its views counted."""
    epochs, views, stability = (
        flag_value(flags[name]) for name in ("epochs", "num_views", "stability")
    )
    return int(epochs) * (1 if stability == "none" else int(views))


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
        epochs = f"{passes_of(runs[0].flags)} passes of each image"
    return f"{data}, {model}, {epochs}, batches of {size}"


def _rows(runs):
    """Rows, still without cells, in the order of the paper's."""
    found = collections.defaultdict(list)
    for run in runs:
        recipe = tuple((name, run.flags.get(name)) for name in _trained())
        found[recipe if run.flags else run.path].append(run)
    recipes = [dict(key) for key, (run, *_) in found.items() if run.flags]
    rows = []
    for key, own in found.items():
        title = own[0].report["about"].get("model") or own[0].path.name
        if own[0].flags:
            own.sort(key=lambda run: int(run.value("seed")))
            title = _title_of_recipe(dict(key), recipes)
        seeds = tuple(run.value("seed") for run in own if run.flags)
        rows.append(Row(title, own[0].method, tuple(own), seeds))
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


@functools.cache
def _trained():
    """Names of the flags of a training, without those of budget and seed."""
    names = config.Config().flags(with_free=False)
    return tuple(n for n in names if n not in (*_BUDGET, "epochs", "seed"))


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
            rows.append(Row(title, row["method"], (), (), row["source"], known))
    return rows


def _recipes(rows):
    """Lines on what rows differ in that is no part of their methods."""
    parts = config.DataConfig, config.ModelConfig, config.PretrainedConfig
    parts = *parts, config.OptimizerConfig, config.TuningConfig
    fields = {field.name for x in parts for field in dataclasses.fields(x)}
    names = [name for name in _trained() if name in fields]
    flags = {row.title: row.runs[0].flags for row in rows if row.seeds}
    return _differing_flags(names, flags)


def measurements(runs) -> list[str]:
    """Lines on what measurements differ in: images, their origin, cells."""
    facts = collections.defaultdict(dict)
    for run in runs:
        images = identity.which(run.report["data"] or "")[:8]
        facts["test images or classes"][run.path] = images
        for name, section in run.sections.items():
            # A row of cells has severities. Figures that have a setting are
            # columns of their own.
            cells = [
                f"{row} {severity}"
                for row, own in section["cells"].items()
                for severity, values in own.items()
                if isinstance(values, dict) or severity == next(iter(own))
            ]
            words = section["origin"]
            if not any(split(key)[1] for key in section["figures"]):
                short = identity.short(*cells)[:4]
                words += f", {len(cells)} cells {short}"
            facts[name][run.path] = words
    return _differing(facts)


def _repeated(rows):
    """Lines on seeds that a row has several runs of."""
    return [
        f"seed {seed} of {row.title} is there {number} times, see "
        f"{', '.join(str(run.path) for run in row.runs)}"
        for row in rows
        for seed, number in collections.Counter(row.seeds).items()
        if number > 1
    ]


def _differing_flags(names, flags):
    facts = collections.defaultdict(dict)
    for name in names:
        for holder, own in flags.items():
            facts[name][holder] = flag_value(own.get(name)) or "not set"
    return _differing(facts)


def _differing(facts, most=3):
    """A line for each fact, `{holder: value}`, whose values differ."""
    lines = []
    for what, values in facts.items():
        holders = collections.defaultdict(list)
        for holder, value in values.items():
            holders[value].append(str(holder))
        parts = []
        for value, names in holders.items():
            more = f" and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{value} ({', '.join(names[:most])}{more})")
        lines += [f"{what}: {'; '.join(parts)}"] if len(parts) > 1 else []
    return lines
