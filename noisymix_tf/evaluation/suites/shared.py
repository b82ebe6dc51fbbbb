"""What the suites have in common: fields, figures and notes of sections."""

import abc
import itertools

from noisymix_tf.data import released
from noisymix_tf.evaluation import resampling, sections
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.sections import Figure
from noisymix_tf.evaluation.suites.core import Suite

_QUALITY = (
    ("ece", "expected calibration error", "percent"),
    ("nll", "negative log-likelihood", "number"),
    ("brier", "Brier score", "number"),
)
_NAMES = ("accuracy", "nll", "ece", "rms_calibration_error", "brier")


class Benchmark(Suite):
    """A suite whose means are over a set of corruptions that is published.

    Attributes:
        word, unit: What its rows are, and what is counted.
        titles: Of sections: of what no mean is over, and of the others.
        quantity, bars: What its table shows, and its chart.
        headlines: `(title, key)` of figures that a page opens with.
    """

    unit = "images"

    @abc.abstractmethod
    def benchmark(self, cells):
        """Names that means are over, for cells of one source."""

    @abc.abstractmethod
    def parts(self, scores, main, about, reference, context):
        """What a section is made of.

        Returns:
            Dict of `figures`, `cells`, `notes`, and `caveats` if any; `columns`
            and `groups` of the table, and `heat` if it has a map; `values` of
            the chart beside `theirs`, the reference's; and `ratios` of those
            that could be divided by these.
        """

    def sections(self, scores, context):
        """A section per source, and one for what no published mean is over."""
        found = []
        for source in sections.distinct(cell.source for cell in scores):
            own = [cell for cell in scores if cell.source == source]
            names = self.benchmark(own)
            for main in (True, False):
                cells = [c for c in own if (c.corruption in names) == main]
                if cells:
                    part = {cell: scores[cell] for cell in cells}
                    found.append(self._section(part, main, names, context))
        return found

    def _section(self, scores, main, names, context):
        for field in ("n", "seed", "generator", "preprocess"):
            sections.only(field, scores)
        first, title = next(iter(scores)), self.titles[main]
        own = about(first, title, unit=self.unit, main=main)
        reference = context.reference or Reference("")
        parts = self.parts(scores, main, own, reference, context)
        values, theirs, notes = parts["values"], parts["theirs"], parts["notes"]
        caveats = parts.get("caveats", [])
        if not main:
            means = f"these are in no mean of the benchmark's {self.word}s."
            caveats = [means, *caveats]
        elif len(values) < len(names):
            means = (
                f"means are over {len(values)} of the benchmark's {len(names)} "
                f"{self.word}s; do not compare them with published ones."
            )
            caveats = [means, *caveats]
        if theirs:
            lacking = [n for n in values if n not in parts["ratios"]]
            notes += _on_reference(reference, own, lacking)
        errors = {n: resampling.error(value) for n, value in values.items()}
        chart = sections.Bars(
            f"{self.quantity} by {self.word}".capitalize(),
            self.bars,
            {n: resampling.value(value) for n, value in values.items()},
            errors={} if None in errors.values() else errors,
            reference={n: theirs[n] for n in values if n in theirs},
            reference_name=reference.name,
            limit=1.0,
        )
        of_table = self.word, parts["columns"], parts["groups"], self.quantity
        keys = [figure.key for figure in parts["figures"] if main]
        return sections.Section(
            **own,
            figures=parts["figures"],
            table=table(*of_table, heat=parts.get("heat", 0)),
            cells=parts["cells"],
            charts=(chart,),
            notes=(*caveats, *notes),
            caveats=tuple(caveats) if main else (),
            headlines={t: key for t, key in self.headlines if key in keys},
        )


def _on_reference(reference, about, lacking):
    name, ours = f"the reference {reference.name}", about["n"]
    if lacking:
        yield f"{name} has nothing to divide by for {', '.join(lacking)}."
    n = reference.numbers.get(about["name"], ours)
    if n != ours:
        yield f"{name} was measured on {n:,} per cell, this model on {ours:,}."


def about(cell, title, words=None, *, label=None, unit="images", main=True):
    """Those fields of a `Section` that cells like this one decide.

    `words` say behind the number of images where they come from, by default
    how they were made; what is not `main` is in no mean of a benchmark.
    """
    kind = "released" if cell.source == "released" else ""
    if kind and cell.generator:  # Files of this package were generated, too.
        kind, title = "written", f"{title} in files"
    number = f"{cell.n:,} {unit}"
    if cell.available is not None and cell.available > cell.n:
        number = f"{cell.n:,} of {cell.available:,} {unit}"
    read = "" if cell.preprocess == "as_stored" else f", {cell.preprocess}"
    files = f" ({kind} files)" if kind else ""
    parts = cell.suite, kind, "" if main else "extra"
    return {
        "name": "_".join(filter(None, parts)),
        "title": title,
        "label": (label or cell.suite.upper() + files) if main else "",
        "suite": cell.suite,
        "source": "generated" if cell.generator else cell.source,
        "n": cell.n,
        "origin": f"{number}{words or f' per cell, {_made(cell)}'}{read}",
    }


def _made(cell):
    if cell.generator is None:
        return f"from {cell.source} files"
    version, _, constants = cell.generator.rpartition("-")
    files = "" if cell.source == "generated" else "files that were "
    return (
        f"{files}generated from the dataset (constants for {constants}, "
        f"generator version {version}, seed {cell.seed})"
    )


def opened(job, suite):
    """The files of suite c or p, and fields of cells that are read from them.

    Of files of this package they say how these were made.
    """
    names = {"c": released.corrupted_images, "p": released.perturbed_sequences}
    path = getattr(job.settings, f"{suite}_dir")
    how = {"preprocess": job.settings.released_preprocess}
    files, fields = names[suite](path, job.dataset, **how), {}
    if files.manifest:
        of = files.manifest["settings"]
        fields["generator"] = f"{of['generator']}-{of['table']}"
        fields["seed"] = of["seed"]
    return files, {"source": "released", **fields}


def whole(scores, label, *more):
    """Figures of images as they are; `more` follow the error."""
    classes = f"balanced accuracy ({len(scores.class_accuracy)} classes)"
    largest = "share of the largest class, right by always saying it"
    return (
        Figure("accuracy", label, scores.accuracy),
        Figure("error", "error", 1.0 - scores.accuracy),
        *more,
        Figure("balanced_accuracy", classes, scores.balanced_accuracy),
        Figure("largest_class", largest, scores.largest_class),
        *quality([scores]),
    )


def quality(scores, word=""):
    """Figures of calibration and likelihood: of one cell, or their means."""
    for metric, label, kind in _QUALITY:
        value = sections.average(getattr(own, metric) for own in scores)
        name, label = f"{word}_{metric}".strip("_"), f"{word} {label}".strip()
        yield Figure(name, label, value, kind)


def json_values(scores, names=_NAMES, by_class=False):
    """JSON values of one cell, and the standard error of the first."""
    values = {n: resampling.value(getattr(scores, n)) for n in names}
    values["standard_error"] = resampling.error(getattr(scores, names[0]))
    if by_class:
        values["class_accuracy"] = scores.class_accuracy
    return values


def table(corner, columns, groups, quantity="accuracy", heat=0):
    """A `Table` of `(heading, kind, {name: metric})`: columns not empty."""
    headings, kinds, values = zip(*(column for column in columns if column[-1]))

    def cell(metric):
        return None if metric is None else resampling.value(metric)

    rows = {
        name: tuple(cell(own.get(name)) for own in values)
        for name in itertools.chain(*groups.values())
    }
    groups = {heading: own for heading, own in groups.items() if own}
    cells = headings, rows, groups
    return sections.Table(corner, *cells, kinds, quantity, heat)
