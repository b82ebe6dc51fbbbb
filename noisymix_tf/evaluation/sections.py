"""Sections of a report: the figures and tables of one kind of measurement.

A suite has a function here that makes its sections out of its cells, which
hold sums; how a section looks is the business of `report.py`.
"""

import dataclasses

from noisymix_tf.corruptions import CORRUPTIONS, FAMILIES
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# Functions from `{cell: tally}` of one suite to a list of sections.
SECTIONS = Registry("section of a report")

# The benchmark takes its means over this many corruptions.
_BENCHMARK_SIZE = 15


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number: `name` for JSON, `label` for people, `value`, and its kind.

    `kind` is `"percent"` for shares in [0, 1], `"number"` for anything else.
    """

    name: str
    label: str
    value: float
    kind: str = "percent"

    @property
    def text(self):
        if self.kind == "percent":
            return f"{100 * self.value:.2f} %"
        return f"{self.value:.4f}"


@dataclasses.dataclass(frozen=True)
class Table:
    """Shares in [0, 1], shown as percentages.

    Attributes:
        corner: What the rows are.
        columns: Headings, without the one of the row names.
        rows: `{name: values}`.
        groups: `{heading: names of rows}` that belong together.
    """

    corner: str
    columns: tuple
    rows: dict
    groups: dict


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of measurement.

    Attributes:
        name: Key in JSON: `"clean"`, `"c"`, `"c_extra"`.
        title: Heading.
        n: Number of images of every cell.
        source: Source of the cells: `"original"`, `"generated"`, `"released"`.
        origin: The same in words, with what decided the images.
        figures: `Figure`s.
        table: `Table`, or None.
        cells: `{corruption: {severity: {metric: value}}}`.
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
    notes: tuple = ()


@SECTIONS.register("clean")
def _clean(tallies):
    n = only("n", tallies)
    ((_, tally),) = tallies.items()
    return [
        Section(
            name="clean",
            title="Clean images",
            n=n,
            source="original",
            origin="as they are in the dataset",
            figures=(
                Figure("accuracy", "accuracy", tally.accuracy),
                Figure("error", "error", 1.0 - tally.accuracy),
                *_quality([tally]),
            ),
        )
    ]


@SECTIONS.register("c")
def _corruptions(tallies):
    """A section per source and set: nothing is averaged across those."""
    sections = []
    for source in distinct(cell.source for cell in tallies):
        for kind, suffix in (("common", ""), ("extra", "_extra")):
            part = {
                cell: tally
                for cell, tally in tallies.items()
                if cell.source == source
                and CORRUPTIONS.get(cell.corruption).set == kind
            }
            if part:
                name = "c" if source == "generated" else f"c_{source}"
                sections.append(_corruption_section(name + suffix, kind, part))
    return sections


def _corruption_section(name, kind, tallies):
    for field in ("n", "seed", "generator"):
        only(field, tallies)
    first = next(iter(tallies))
    table = {}
    for cell, tally in tallies.items():
        table.setdefault(cell.corruption, {})[cell.severity] = tally
    severities = tuple(next(iter(table.values())))
    accuracy = {
        corruption: [row[severity].accuracy for severity in severities]
        for corruption, row in table.items()
    }
    means = {corruption: _mean(row) for corruption, row in accuracy.items()}
    families = {
        family: [c for c in means if CORRUPTIONS.get(c).family == family]
        for family in FAMILIES
    }
    families = {family: rows for family, rows in families.items() if rows}
    mean = _mean(means.values())
    figures = [
        Figure("mean_accuracy", "mean corruption accuracy", mean),
        Figure(
            "mean_error", "mean corruption error (unnormalised)", 1.0 - mean
        ),
    ]
    quiet = [means[c] for c in means if c not in families.get("noise", ())]
    if quiet:
        figures.append(
            Figure(
                "mean_accuracy_without_noise",
                f"mean accuracy without noise ({len(quiet)} of {len(means)})",
                _mean(quiet),
            )
        )
    figures += [
        Figure(
            f"mean_accuracy_{family}",
            f"mean accuracy, {family} ({len(rows)})",
            _mean(means[c] for c in rows),
        )
        for family, rows in families.items()
    ]
    figures += _quality(tallies.values(), mean=True)
    return Section(
        name=name,
        title=f"{kind.capitalize()} corruptions",
        n=first.n,
        source=first.source,
        origin=_corruption_origin(first),
        figures=tuple(figures),
        table=Table(
            corner="corruption",
            columns=(*map(str, severities), "mean"),
            rows={c: (*accuracy[c], means[c]) for c in accuracy},
            groups=families,
        ),
        cells={
            corruption: {
                str(severity): {
                    "accuracy": tally.accuracy,
                    "nll": tally.nll,
                    "ece": tally.ece,
                    "brier": tally.brier,
                }
                for severity, tally in row.items()
            }
            for corruption, row in table.items()
        },
        notes=_corruption_notes(kind, table, severities),
    )


def _corruption_origin(cell):
    if cell.source != "generated":
        return f"from {cell.source} files"
    version, constants = cell.generator.split("-")
    return (
        f"generated from the dataset (constants for {constants}, "
        f"generator version {version}, seed {cell.seed})"
    )


def _corruption_notes(kind, table, severities):
    notes = []
    if kind == "common" and len(table) < _BENCHMARK_SIZE:
        notes.append(
            f"means are over {len(table)} of the benchmark's "
            f"{_BENCHMARK_SIZE} corruptions; do not compare them with "
            "published ones."
        )
    if severities != (1, 2, 3, 4, 5):
        listed = ", ".join(map(str, severities))
        notes.append(f"means are over severities {listed} only.")
    if kind == "extra":
        notes.append("these are in no mean of the common corruptions.")
    return tuple(notes)


def _quality(tallies, mean=False):
    """Calibration, likelihood and Brier score: of one tally, or their mean."""
    name, label = ("mean_", "mean ") if mean else ("", "")
    return [
        Figure(
            f"{name}{metric}",
            f"{label}{words}",
            _mean(getattr(tally, metric) for tally in tallies),
            kind,
        )
        for metric, words, kind in (
            ("ece", "expected calibration error", "percent"),
            ("nll", "negative log-likelihood", "number"),
            ("brier", "Brier score", "number"),
        )
    ]


def only(field, records):
    """The one value that a field has in all cells; `UsageError` if several."""
    values = distinct(getattr(cell, field) for cell in records)
    if len(values) > 1:
        raise UsageError(
            f"A report is about one {field}, these cells are about "
            f"{', '.join(map(str, values))}: report them one by one."
        )
    return values[0]


def distinct(values):
    """The values without repetitions, in order."""
    return tuple(dict.fromkeys(values))


def _mean(values):
    values = list(values)
    return sum(values) / len(values)
