"""The sections of the perturbations: flip probabilities and distances."""

from noisymix_tf.corruptions import PERTURBATIONS, perturbation_names
from noisymix_tf.evaluation.flip_rates import flip_rates, top5_rates
from noisymix_tf.evaluation.flips import METRICS, FlipTally
from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Bars,
    Figure,
    Section,
    Table,
    average,
    distinct,
    in_files,
    made,
    name_of,
    only,
    origin,
    source_of,
)

_NOISE, _OTHER = "noise (against the first frame)", "against the frame before"


@SECTIONS.register("p")
def perturbations(records, context):
    """A section per source, and one for what no published mean is over."""
    sections = []
    for source in distinct(cell.source for cell in records):
        part = {c: m for c, m in records.items() if c.source == source}
        benchmark = _benchmark(part)
        name = name_of(next(iter(part)))
        for suffix, chosen in (
            ("", [c for c in part if c.corruption in benchmark]),
            ("_extra", [c for c in part if c.corruption not in benchmark]),
        ):
            if chosen:
                sections.append(
                    _section(
                        name + suffix,
                        {cell: part[cell] for cell in chosen},
                        benchmark,
                        context,
                    )
                )
    return sections


def _benchmark(records):
    """The ten perturbations of the benchmark that these cells belong to.

    The set that is whole; of two, or of none, that of the generator's
    constants; of released files the one that they have more of.
    """
    measured = {cell.corruption for cell in records}
    sets = [perturbation_names(tag) for tag in ("cifar", "imagenet")]
    generators = {cell.generator for cell in records}
    if any(g and g.endswith("imagenet") for g in generators):
        sets.reverse()
    whole = [names for names in sets if measured >= set(names)]
    if whole or generators != {None}:
        return (whole or sets)[0]
    return max(sets, key=lambda names: len(measured & set(names)))


def _section(name, records, benchmark, context):
    for field in ("n", "seed", "generator", "severity", "preprocess"):
        only(field, records)
    tallies = {
        cell.corruption: FlipTally.restore(cell.n, measurements)
        for cell, measurements in records.items()
    }
    extra = name.endswith("_extra")
    noise = [p for p in tallies if PERTURBATIONS.get(p).family == "noise"]
    groups = {
        _NOISE: noise,
        _OTHER: [p for p in tallies if p not in noise],
    }
    groups = {heading: rows for heading, rows in groups.items() if rows}
    first = next(iter(records))
    rates = _Rates(name, tallies, first.severity, context.reference)
    return Section(
        name=name,
        title=("Further perturbations" if extra else "Perturbations")
        + in_files(first),
        n=first.n,
        source=source_of(first),
        origin=origin(records, _words(first), "sequences", per_cell=True),
        figures=() if extra else tuple(_means(tallies, noise, rates)),
        table=_table(tallies, groups, rates),
        cells={
            perturbation: {
                **{metric: getattr(tally, metric) for metric in METRICS},
                "standard_error": tally.standard_error("flip_probability"),
                "difficulty": first.severity,
            }
            for perturbation, tally in tallies.items()
        },
        charts=(_bars(tallies, rates),),
        notes=(
            *_notes(first, tallies, benchmark, extra),
            *rates.notes(first, tallies, extra),
        ),
    )


def _words(cell):
    words = made(cell)
    return (
        words if cell.severity == 1 else f"{words}, difficulty {cell.severity}"
    )


class _Rates:
    """Flips and distances in per cent of the reference's, as far as known."""

    def __init__(self, name, tallies, difficulty, reference):
        self.name, self.n, self.base, self.elsewhere = "", None, {}, None
        distances = {}
        if reference is not None:
            self.name = reference.name
            self.n = reference.numbers.get(name)
            measured = reference.difficulties.get(name)
            if measured in (None, difficulty):
                self.base = reference.of_section("flips", name)
                distances = reference.of_section("top5_distances", name)
            else:
                self.elsewhere = measured
        self.flips = _known(flip_rates, tallies, "flip_probability", self.base)
        self.top5 = _known(top5_rates, tallies, "top5_distance", distances)

    def notes(self, cell, tallies, extra):
        """What to know about the comparison."""
        if self.elsewhere is not None:
            yield (
                f"the reference {self.name} was measured at difficulty "
                f"{self.elsewhere}: no flip rates."
            )
            return
        if not self.base:
            if not extra:
                yield (
                    "flip rates (mFR, mT5D) need a reference measured on the "
                    "same sequences: give one by reference."
                )
            return
        lacking = [p for p in tallies if p not in self.flips]
        if lacking:
            yield (
                f"the reference {self.name} has no flips to divide by for "
                f"{', '.join(lacking)}."
            )
        if self.n not in (None, cell.n):
            yield (
                f"the reference {self.name} was measured on {self.n:,} "
                f"sequences, this model on {cell.n:,}."
            )


def _known(function, tallies, metric, base):
    """Rates of what the reference has; one that never moves divides none."""
    values = {
        p: getattr(t, metric) for p, t in tallies.items() if base.get(p, 0) > 0
    }
    return function(values, base)


def _means(tallies, noise, rates):
    quiet = [p for p in tallies if p not in noise]

    def means(key, label, values, kind):
        for suffix, names, words in (
            ("", list(tallies), ""),
            ("_without_noise", quiet, f" without noise ({len(quiet)})"),
        ):
            if names and all(p in values for p in names):
                value = average(values[p] for p in names)
                yield Figure(key + suffix, label + words, value, kind)

    flips = {p: t.flip_probability for p, t in tallies.items()}
    top5 = {p: t.top5_distance for p, t in tallies.items()}
    yield from means("mfp", "mean flip probability (mFP)", flips, "percent")
    yield from means(
        "mean_top5_distance", "mean top-5 distance", top5, "number"
    )
    suffix = f", {rates.name} = 100"
    yield from means(
        "mfr", f"mean flip rate (mFR{suffix})", rates.flips, "ratio"
    )
    yield from means(
        "mt5d", f"mean top-5 distance (mT5D{suffix})", rates.top5, "ratio"
    )


def _table(tallies, groups, rates):
    columns = ["flips", "± s.e.", "top-5 distance"]
    kinds = ["percent", "percent", "number"]
    rows = {
        p: [
            tally.flip_probability,
            tally.standard_error("flip_probability"),
            tally.top5_distance,
        ]
        for p, tally in tallies.items()
    }
    for heading, values in (("FR", rates.flips), ("T5D", rates.top5)):
        if values:
            columns.append(heading)
            kinds.append("ratio")
            for p, row in rows.items():
                row.append(values.get(p))
    return Table(
        corner="perturbation",
        columns=tuple(columns),
        rows={p: tuple(row) for p, row in rows.items()},
        groups=groups,
        quantity="flip probability",
        kinds=tuple(kinds),
    )


def _bars(tallies, rates):
    return Bars(
        "Flip probability by perturbation",
        "flip probability",
        {p: t.flip_probability for p, t in tallies.items()},
        errors={
            p: t.standard_error("flip_probability")
            for p, t in tallies.items()
            if t.n > 1
        },
        reference={p: v for p, v in rates.base.items() if p in tallies},
        reference_name=rates.name,
        limit=1.0,
    )


def _notes(cell, tallies, benchmark, extra):
    missing = [p for p in benchmark if p not in tallies]
    if extra:
        yield "these are in no mean of the benchmark's perturbations."
    elif missing:
        yield (
            f"means are over {len(tallies)} of the benchmark's "
            f"{len(benchmark)} perturbations; do not compare them with "
            "published ones."
        )
    if cell.source == "generated" and cell.generator.endswith("imagenet"):
        yield (
            "frames are made of the images as the model takes them, so that "
            "black comes into view where the content moves, and nothing is "
            "compressed: not comparable with the films of ImageNet-P."
        )
