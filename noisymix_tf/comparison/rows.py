"""Rows of a comparison, and whether they may stand in one table."""

import collections
import csv
import dataclasses
import functools
import pathlib

from noisymix_tf import config
from noisymix_tf.comparison.runs import split
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import flag_value

# `{method: title}`: the rows of Erichson et al. (2022), arXiv:2202.01263, Table
# 1, with their relatives beside them. AugMix's relatives and NoisyMix's come
# before the method itself, so that the last row is NoisyMix.
_METHODS = pathlib.Path(__file__).with_name("methods.csv")
TITLES = dict(csv.reader(_METHODS.read_text(encoding="utf-8").splitlines()))
BASELINE = "baseline"

# Flags that say on what, with what and for how long a model is trained.
_BUDGET = (
    "dataset image_size preprocess train_examples test_examples model width "
    "epochs batch_size accumulation_steps"
).split()


@dataclasses.dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but their seed, an evaluation, or a result.

    An evaluation has no method and no seed, only what is published a source.
    Cells are `{key of a column: differences.Cell}`, without what a row lacks.
    """

    title: str  # The method, with what tells it from other rows, or the model.
    method: str
    runs: tuple = ()
    seeds: tuple = ()
    source: str = ""
    cells: dict = dataclasses.field(default_factory=dict)

    def text(self, column):
        """What stands in a column, a dash for nothing."""
        cell = self.cells.get(column.key)
        return cell.text(column.of.digits) if cell else "–"

    def difference(self, column):
        """The difference that stands in a column, a dash for nothing."""
        found = column.key in self.cells and self.cells[column.key].difference
        return found.text(column.of.digits) if found else "–"


def title_of(method):
    """What a method is called; an unknown one by its own name."""
    return TITLES.get(method, method.replace("_", " "))


def of_runs(runs):
    """A list of `Row`, still without cells, in the order of the paper's."""
    found = {}
    for run in runs:
        recipe = tuple((name, run.flags.get(name)) for name in _trained())
        found.setdefault(recipe if run.flags else run.path, []).append(run)
    recipes = [dict(key) for key, (run, *_) in found.items() if run.flags]
    rows = []
    for key, own in found.items():
        title = own[0].report["about"].get("model") or own[0].path.name
        if own[0].flags:
            own.sort(key=lambda run: int(run.value("seed")))
            title = _title(dict(key), recipes)
        seeds = tuple(run.value("seed") for run in own if run.flags)
        rows.append(Row(title, own[0].method, tuple(own), seeds))
    number = collections.Counter(row.title for row in rows)
    for place, row in enumerate(rows):
        if number[row.title] > 1:
            title = f"{row.title} ({row.runs[0].path})"
            rows[place] = dataclasses.replace(row, title=title)
    # Methods of one's own, and models without one, come last.
    return sorted(rows, key=lambda row: [*TITLES, row.method].index(row.method))


def _title(recipe, others):
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
    return tuple(n for n in names if n not in (*_BUDGET, "seed"))


def pick(name, rows):
    """Title of the one `Row` that `--baseline` stands for; None for None."""
    found = [row.title for row in rows if row.title == name]
    found = found or [row.title for row in rows if row.method == name]
    if name is not None and len(found) != 1:
        raise UsageError(
            f"--baseline={name} stands for {len(found)} rows: give one of "
            f"{', '.join(row.title for row in rows)}."
        )
    return None if name is None else found[0]


def check(differences):
    """Raises a `UsageError` if there are any differences."""
    if differences:
        raise UsageError(
            f"These runs do not compare: {' | '.join(differences)}. Give runs "
            f"of one budget, measured alike, or --compare_anyway."
        )


def budgets(flags):
    """What budgets, `{run: {flag: line}}`, differ in: a list of lines."""
    datasets = [own.get("dataset") for own in flags.values()]
    # A folder of images is known by where it lies.
    is_folder = "--dataset=folder" in datasets
    return _differing_flags(_BUDGET + ["data_dir"] * is_folder, flags)


def recipes(rows):
    """Lines on what rows differ in that is no part of their methods."""
    parts = config.DataConfig, config.ModelConfig, config.OptimizerConfig
    fields = {field.name for x in parts for field in dataclasses.fields(x)}
    names = [name for name in _trained() if name in fields]
    flags = {row.title: row.runs[0].flags for row in rows if row.seeds}
    return _differing_flags(names, flags)


def measurements(runs):
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
            words = f", {len(cells)} cells {identity.short(*cells)[:4]}"
            has_settings = any(split(key)[1] for key in section["figures"])
            words = section["origin"] + words * (not has_settings)
            facts[name][run.path] = words
    return _differing(facts)


def repeated(rows):
    """Lines on seeds that a row has several runs of."""
    return [
        f"seed {seed} of {row.title} is there {number} times, see "
        f"{', '.join(str(run.path) for run in row.runs)}"
        for row in rows
        for seed, number in collections.Counter(row.seeds).items()
        if number > 1
    ]


def _differing_flags(names, flags):
    def value(own, name):
        return flag_value(own.get(name)) or "not set"

    return _differing(
        {n: {of: value(own, n) for of, own in flags.items()} for n in names}
    )


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
