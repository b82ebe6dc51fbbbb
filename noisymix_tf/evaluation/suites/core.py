"""What a suite is: cells to measure, and the sections that tell of them.

A suite is a class under `@SUITES.register(name)`: its `tasks` say what there is
to measure, its `sections` make a part of the report of what was measured, and
its `columns` a part of a comparison. The functions are what suites share.
"""

import abc
import dataclasses
import functools
import types
from collections.abc import Callable

import numpy as np

from noisymix_tf.data import identity, released
from noisymix_tf.evaluation import metrics, sections
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.records import Cell
from noisymix_tf.evaluation.reference import Reference, made_in
from noisymix_tf.evaluation.sections import Figure, Section
from noisymix_tf.probabilities import LOGITS
from noisymix_tf.registry import Registry

SUITES = Registry("suite")

_QUALITY = (
    ("ece", "expected calibration error", "percent"),
    ("nll", "negative log-likelihood", "number"),
    ("brier", "Brier score", "number"),
)
_NAMES = ("accuracy", "nll", "ece", "rms_calibration_error", "brier")


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A `Cell`, and how it is measured."""

    cell: Cell
    # Tasks of the same object share its chunks: each is read once.
    images: Images
    # Function `make(images, indices=indices)` of uint8 `[b, H, W, C]` and int
    # `[b]`, the images' places: uint8 `[b, H, W, C]`, or sequences
    # `[b, T, H, W, C]`. Other processes load it: best it is of a module without
    # TensorFlow, or a `functools.partial` of one.
    make: Callable | None = None
    # Function `(images, labels, indices)` in this process that returns what the
    # model shall see, float `[b, H, W, C]`.
    attack: Callable | None = None
    # The cell whose images are made for it, and outputs counted once more.
    outputs_of: Cell | None = None
    frames: int = 1  # T, where an image becomes, or is, a sequence.
    # int `[k]`: only images of these classes count, outputs are cut down to
    # them, and labels count within them (those of `images` do already, where
    # these have k classes). None for all.
    classes: object = None
    # Right labels of each of the n images, where they can be several: the one
    # that the model scores highest counts.
    right: list | None = None
    # What gives its outputs, in place of the job's.
    predictor: Callable | None = None
    # How often an image passes the network; a gradient is two passes more.
    passes: int = 1

    @functools.cached_property
    def places(self) -> np.ndarray | None:
        """Places of the n rows among the images; None where all count."""
        if self.classes is None or self.images.num_classes == len(self.classes):
            return None
        return np.flatnonzero(np.isin(self.images.labels, self.classes))


@dataclasses.dataclass
class Job:
    """What the suites of one evaluation share."""

    dataset: object  # Has `name`, `num_classes`, `class_names` and `test`.
    images: Images  # The test images.
    settings: object  # `evaluation.Settings`.
    batch_size: int  # Images per forward pass.
    # What only a model can tell: itself, what gives its outputs, devices that
    # share the work, its fingerprint.
    model: object = None
    predictor: object = None
    replicas: object = None
    model_id: str = ""

    def cell(
        self, suite, corruption=None, severity=0, images=None, **fields
    ) -> Cell:
        """A cell of `images`, by default the test images, as they are.

        Other `fields` are those of the `Cell`; where a `generator` is among
        them, the images are generated, by the seed that was asked for.
        """
        images = images or self.images
        usual = {
            "dataset": self.dataset.name,
            "source": "original",
            "n": images.n,
            "available": images.available,
            "data": images.fingerprint,
            "preprocess": images.preprocess,
            "model": self.model_id,
            "outputs": self.predictor.kind if self.predictor else "",
        }
        if "generator" in fields:
            usual |= {"source": "generated", "seed": self.settings.seed}
        own = {"suite": suite, "corruption": corruption, "severity": severity}
        return Cell(**usual | own | fields)

    @property
    def like(self):
        """What `data.released` must know of the dataset, whatever it is."""
        names = "name", "num_classes", "class_names", "test"
        own = {name: getattr(self.dataset, name) for name in names}
        return types.SimpleNamespace(image_shape=self.images.shape, **own)

    def opened(self, suite):
        """The files of a suite, and fields of cells that are read there.

        Of files of this package they say how these were made.
        """
        path = getattr(self.settings, f"{suite}_dir")
        how = {"preprocess": self.settings.released_preprocess}
        if suite == "p":
            files = released.perturbed_sequences(path, self.like, **how)
        else:
            how["bar"] = suite == "c_bar"
            files = released.corrupted_images(path, self.like, **how)
        fields = {"source": "released"}
        if files.manifest:
            of = files.manifest["settings"]
            fields["generator"] = f"{of['generator']}-{of['table']}"
            fields["seed"] = of["seed"]
        return files, fields


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a comparison: a figure of the sections of a suite."""

    figure: str  # Name of the `Figure`, whose settings each give a column.
    # Heading, with the section's `{label}` and the figure's `{setting}`.
    title: str = "{label}"
    higher_is_better: bool = True
    is_main: bool = True  # Whether the paper's table has it.
    main_setting: str = ""  # How the settings end that the table has.
    digits: int = 1  # Decimals of per cent, where no error is known.
    measure: str = ""  # What it is, where the heading says it in short.


class Suite(abc.ABC):
    """Something that can be measured, cell by cell; it has no state.

    Attributes:
        label: Its name in tables; by default that of the flag in capitals.
        options: Names of the `Settings` that mean something to it.
        columns: Its `Column`s of a comparison.
        adapts: Whether it is also measured of a model that adapts, see
            `evaluation.adaptation`.
        scores: Class of the scores of its cells: `scores(rows, group)`, with a
            structured dtype `scores.ROW`.
        of: Suites whose cells its sections are about; by default its own.
    """

    label, options, columns, adapts = None, (), (), False
    scores, of = ImageScores, None

    @abc.abstractmethod
    def tasks(self, job) -> list[Task]:
        """What there is to measure for a `Job`, or a `UsageError`.

        A job before a training has no model yet.
        """

    @abc.abstractmethod
    def sections(self, scores, context) -> list[Section]:
        """Of `{cell: scores}` of its cells and a `sections.Context`."""

    def rows(self, cell, outputs, labels) -> np.ndarray:
        """Rows of dtype `scores.ROW`: what a model said of images of a cell.

        Its `outputs` are float `[b, K]`, of sequences `[b, T, K]`, `labels` int
        `[b]`.
        """
        return self.scores.of(outputs, labels, cell.outputs == LOGITS)

    def group(self, cell) -> str:
        """Word for the images of a cell, see `metrics.draws`."""
        return "test"


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
    def benchmark(self, cells) -> tuple[str, ...]:
        """Names that means are over, for cells of one source."""

    @abc.abstractmethod
    def parts(self, scores, main, about, reference, context) -> tuple:
        """What a section is made of, beside what it is `about`.

        Returns:
            Dict of its `figures`, `table`, `cells` and `notes`, and of more of
            its fields if any; by name the values of its chart, those of the
            reference, and the ratios of the two that there are.
        """

    def sections(self, scores, context) -> list[Section]:
        """A section per source, and one for what no published mean is over."""
        found = []
        for source in sections.distinct(cell.source for cell in scores):
            own = [cell for cell in scores if cell.source == source]
            names = self.benchmark(own)
            for main in (True, False):
                part = [c for c in own if (c.corruption in names) == main]
                if part:
                    part = {cell: scores[cell] for cell in part}
                    found.append(self._section(part, main, names, context))
        return found

    def _section(self, scores, main, names, context):
        for field in ("n", "seed", "generator", "preprocess"):
            sections.only(field, scores)
        first, title = next(iter(scores)), self.titles[main]
        own = about(first, title, unit=self.unit, main=main)
        own["images"] = sections.distinct(map(_images, scores))
        reference = context.reference or Reference("")
        of = scores, main, own, reference, context
        fields, values, theirs, ratios = self.parts(*of)
        notes, caveats = [*fields["notes"]], [*fields.get("caveats", ())]
        if not main:
            words = f"these are in no mean of the benchmark's {self.word}s."
            caveats.insert(0, words)
        elif len(values) < len(names):
            words = (
                f"means are over {len(values)} of the benchmark's {len(names)} "
                f"{self.word}s; do not compare them with published ones."
            )
            caveats.insert(0, words)
        if theirs:
            lacking = [n for n in values if n not in ratios]
            notes += _on_reference(reference, own, lacking)
        errors = {n: metrics.error(value) for n, value in values.items()}
        chart = sections.Bars(
            f"{self.quantity} by {self.word}".capitalize(),
            self.bars,
            {n: metrics.value(value) for n, value in values.items()},
            errors={n: e for n, e in errors.items() if e is not None},
            reference={n: theirs[n] for n in values if n in theirs},
            reference_name=reference.name,
            limit=1.0,
        )
        keys = [figure.key for figure in fields["figures"] if main]
        kind = own["name"].removeprefix(first.suite).replace("_", ", ")
        overview = fields.get("overview", {}) if main else {}
        more = {
            "charts": (chart,),
            "notes": (*caveats, *notes),
            "caveats": tuple(caveats) if main else (),
            "headlines": {t: key for t, key in self.headlines if key in keys},
            "overview": {f"{k}{kind}": v for k, v in overview.items()},
        }
        return Section(**own | fields | more)


def _on_reference(reference, about, lacking):
    name, ours = f"the reference {reference.name}", about["n"]
    n = reference.numbers.get(about["name"], ours)
    images = about["images"] if n == ours else None
    reference.check_section(about["name"], made_in(about["origin"]), images)
    if lacking:
        yield f"{name} has nothing to divide by for {', '.join(lacking)}."
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
    usual = SUITES.get(cell.suite).label or cell.suite.upper()
    parts = cell.suite, kind, "" if main else "extra"
    return {
        "name": "_".join(filter(None, parts)),
        "title": title,
        "label": (label or f"{usual}{files}") if main else "",
        "suite": cell.suite,
        "source": "generated" if cell.generator else cell.source,
        "n": cell.n,
        "images": (_images(cell),),
        "origin": f"{number}{words or f' per cell, {_made(cell)}'}{read}",
    }


def _images(cell):
    return identity.which(cell.data)[:8]


def _made(cell):
    if cell.generator is None:
        return f"from {cell.source} files"
    version, _, constants = cell.generator.rpartition("-")
    files = "" if cell.source == "generated" else "files that were "
    return (
        f"{files}generated from the dataset (constants for {constants}, "
        f"generator version {version}, seed {cell.seed})"
    )


def whole(scores, label, *more) -> tuple[Figure, ...]:
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
        value = metrics.average(getattr(own, metric) for own in scores)
        name, label = f"{word}_{metric}".strip("_"), f"{word} {label}".strip()
        yield Figure(name, label, value, kind)


def json_values(scores, names=_NAMES, by_class=False) -> dict:
    """JSON values of one cell, and the standard error of the first."""
    values = {n: metrics.value(getattr(scores, n)) for n in names}
    values["standard_error"] = metrics.error(getattr(scores, names[0]))
    if by_class:
        values["class_accuracy"] = scores.class_accuracy
    return values
