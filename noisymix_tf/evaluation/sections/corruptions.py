"""The sections of the corruptions: accuracy, CE and mCE."""

import functools

from noisymix_tf.corruptions import CORRUPTIONS, FAMILIES, SEVERITIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import corruption_error
from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Bars,
    Figure,
    Section,
    Table,
    average,
    distinct,
    image_metrics,
    in_files,
    made,
    name_of,
    only,
    origin,
    quality,
    source_of,
    tallies,
)

# The benchmark takes its means over this many corruptions.
_BENCHMARK_SIZE = 15


@SECTIONS.register("c")
def corruptions(records, context):
    """A section per source and set: nothing is averaged across those."""
    sections = []
    for source in distinct(cell.source for cell in records):
        for kind, suffix in (("common", ""), ("extra", "_extra")):
            part = {
                cell: measurements
                for cell, measurements in records.items()
                if cell.source == source
                and CORRUPTIONS.get(cell.corruption).set == kind
            }
            if part:
                name = name_of(next(iter(part))) + suffix
                sections.append(_section(name, kind, part, context))
    return sections


def _section(name, kind, records, context):
    for field in ("n", "seed", "generator", "preprocess"):
        only(field, records)
    if next(iter(records)).source == "generated":
        only("data", records)
    table = {}
    for cell, tally in tallies(records).items():
        table.setdefault(cell.corruption, {})[cell.severity] = tally
    severities = tuple(sorted(next(iter(table.values()))))
    accuracy = {
        corruption: {s: row[s].accuracy for s in severities}
        for corruption, row in table.items()
    }
    means = {c: average(row.values()) for c, row in accuracy.items()}
    families = {
        family: [c for c in means if CORRUPTIONS.get(c).family == family]
        for family in FAMILIES
    }
    families = {family: rows for family, rows in families.items() if rows}
    errors = _Errors(name, accuracy, severities, context)
    flat = [tally for row in table.values() for tally in row.values()]
    first = next(iter(records))
    return Section(
        name=name,
        title=f"{kind.capitalize()} corruptions{in_files(first)}",
        n=first.n,
        source=source_of(first),
        origin=origin(records, made(first), per_cell=True),
        figures=(
            *_means(means, families),
            *errors.figures(kind),
            *quality(flat, mean=True),
        ),
        table=_table(accuracy, means, families, severities, errors.ce),
        cells={
            corruption: {str(s): image_metrics(t) for s, t in row.items()}
            for corruption, row in table.items()
        },
        charts=(
            Bars(
                "Accuracy by corruption",
                "accuracy, mean over severities",
                means,
                reference=errors.reference_accuracy(),
                reference_name=errors.reference_name,
            ),
        ),
        notes=(
            *_notes(kind, table, severities),
            *errors.notes(first),
        ),
    )


def _means(means, families):
    mean = average(means.values())
    yield Figure("mean_accuracy", "mean corruption accuracy", mean)
    yield Figure(
        "mean_error", "mean corruption error (unnormalised)", 1.0 - mean
    )
    quiet = [means[c] for c in means if c not in families.get("noise", ())]
    if quiet:
        yield Figure(
            "mean_accuracy_without_noise",
            f"mean accuracy without noise ({len(quiet)} of {len(means)})",
            average(quiet),
        )
    for family, rows in families.items():
        yield Figure(
            f"mean_accuracy_{family}",
            f"mean accuracy, {family} ({len(rows)})",
            average(means[c] for c in rows),
        )


def _table(accuracy, means, families, severities, ce):
    rows = {c: (*accuracy[c].values(), means[c]) for c in accuracy}
    columns = (*map(str, severities), "mean")
    kinds = ("percent",) * len(columns)
    if ce:
        rows = {c: (*row, ce.get(c)) for c, row in rows.items()}
        columns, kinds = (*columns, "CE"), (*kinds, "ratio")
    return Table(
        corner="corruption",
        columns=columns,
        rows=rows,
        groups=families,
        kinds=kinds,
        heat=len(severities) + 1,
    )


class _Errors:
    """Errors of a section in per cent of the reference's.

    What the reference lacks is left out, and said.
    """

    def __init__(self, name, accuracy, severities, context):
        self.ours = {
            c: {s: 1.0 - value for s, value in row.items()}
            for c, row in accuracy.items()
        }
        self.severities = severities
        self.context = context
        self.section = name
        reference = context.reference
        self.theirs = reference and reference.of_section("errors", name)
        self.reference_name = reference.name if self.theirs else ""
        self.lacking = []
        self.ce = self._ce() if self.theirs else {}

    def _ce(self):
        ce = {}
        for corruption, row in self.ours.items():
            try:
                ce |= self._call(
                    corruption_error.corruption_errors, {corruption: row}
                )
            except UsageError:
                self.lacking.append(corruption)
        return ce

    def _call(self, function, *arguments, **more):
        return function(
            *arguments,
            reference=self.theirs,
            severities=self.severities,
            **more,
        )

    def figures(self, kind):
        """Mean errors; of the common corruptions only if all are there."""
        if kind != "common" or len(self.ce) < _BENCHMARK_SIZE:
            return
        yield Figure(
            "mce",
            f"mean corruption error (mCE, {self.reference_name} = 100)",
            self._call(corruption_error.mean_corruption_error, self.ours),
            "ratio",
        )
        value, _ = self._relative
        if value is not None:
            yield Figure(
                "relative_mce",
                f"relative mCE ({self.reference_name} = 100)",
                value,
                "ratio",
            )

    @functools.cached_property
    def _relative(self):
        """Relative mCE, and why there is none."""
        clean = {
            c: m for c, m in self.context.records.items() if c.suite == "clean"
        }
        base = self.context.reference.clean_error
        if len(clean) != 1 or base is None or len(self.ce) < _BENCHMARK_SIZE:
            return None, None
        ((_, tally),) = tallies(clean).items()
        try:
            return self._call(
                corruption_error.relative_mean_corruption_error,
                self.ours,
                1.0 - tally.accuracy,
                reference_clean_error=base,
            ), None
        except UsageError as error:
            return None, str(error)

    def reference_accuracy(self):
        """`{corruption: mean accuracy}` of the reference."""
        means = {}
        for corruption in self.ce:
            ours = average(self.ours[corruption].values())
            if self.ce[corruption] > 0.0:
                means[corruption] = 1.0 - 100.0 * ours / self.ce[corruption]
        return means

    def notes(self, cell):
        """What to know about the comparison."""
        reference = self.context.reference
        if reference is None:
            return
        if not self.theirs:
            yield (
                f"the reference {reference.name} says nothing of these cells: "
                "no CE."
            )
            return
        _, reason = self._relative
        if reason:
            yield f"no relative mCE: {reason}"
        if self.lacking:
            yield (
                f"the reference {self.reference_name} has no errors to divide "
                f"by for {', '.join(self.lacking)} at these severities."
            )
        if self.theirs == "alexnet" and source_of(cell) == "generated":
            yield (
                "AlexNet's constants are about the released files of "
                "ImageNet-C, these images were generated: not comparable with "
                "published mCE."
            )
        n = reference.numbers.get(self.section)
        if n not in (None, cell.n):
            yield (
                f"the reference {self.reference_name} was measured on {n:,} "
                f"images per cell, this model on {cell.n:,}."
            )


def _notes(kind, table, severities):
    if kind == "common" and len(table) < _BENCHMARK_SIZE:
        yield (
            f"means are over {len(table)} of the benchmark's "
            f"{_BENCHMARK_SIZE} corruptions; do not compare them with "
            "published ones."
        )
    if severities != SEVERITIES:
        listed = ", ".join(map(str, severities))
        yield f"means are over severities {listed} only."
    if kind == "extra":
        yield "these are in no mean of the common corruptions."
