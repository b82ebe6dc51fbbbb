"""`evaluate`: a classifier, a dataset and some suites give a report.

First there is a plan, every cell that there is to measure: all that cannot be
measured is refused there, before a model works for hours.
"""

import contextlib
import dataclasses
import json
import os
import pathlib

from noisymix_tf import checks
from noisymix_tf.data import identity
from noisymix_tf.distribution import Replicas
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import adaptation, engine
from noisymix_tf.evaluation.gallery import FOLDER as EXAMPLES
from noisymix_tf.evaluation.gallery import Gallery
from noisymix_tf.evaluation.images import Images, dataset_of
from noisymix_tf.evaluation.options import checked
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.evaluation.records import FILE, Cell, Records
from noisymix_tf.evaluation.reference import Reference, made_in
from noisymix_tf.evaluation.report import Report, check_kept, scores_of
from noisymix_tf.evaluation.suites import Job
from noisymix_tf.evaluation.suites.core import about as about_cell
from noisymix_tf.files import claimed, remove_leftovers, write_atomically
from noisymix_tf.models.unwrap import model_fingerprint
from noisymix_tf.places import check_local
from noisymix_tf.progress import Progress

CELLS_FILE = "cells.jsonl"
_PLAN = "plan"
# What parts of one plan have in common.
_OF_PLAN = "key", "reference", "failure_share"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks, and what they share."""

    tasks: tuple  # `suites.Task`s, each of another cell, in the suites' order.
    job: Job
    reference: Reference | None
    shard: tuple  # `(i, n)`: chunks i, i + n, i + 2n... of all images, from 0.

    @property
    def cells(self) -> list[Cell]:
        return [task.cell for task in self.tasks]

    @property
    def sources(self) -> dict:
        """`{images: tasks}`: what is walked, one after the other."""
        sources = {}
        for task in self.tasks:
            sources.setdefault(task.images, []).append(task)
        return sources

    @property
    def key(self) -> str:
        """Hash of all cells and of the chunks: equal for shards of one plan."""
        keys = [cell.key for cell in self.cells]
        return identity.short(*keys, self.job.batch_size, self.shard[1])

    def __str__(self):
        """A line for each cell."""
        fields = "name n source seed generator preprocess".split()
        rows = [fields]
        for cell in self.cells:
            values = (getattr(cell, field) for field in fields)
            rows.append(["" if v is None else str(v) for v in values])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
        return "\n".join(map(str.rstrip, lines))


def plan(
    model,
    dataset,
    *,
    suites=("clean", "c"),
    reference=None,
    batch_size=256,
    strategy=None,
    shard="1/1",
    **settings,
) -> Plan:
    """What `evaluate` would measure of the same arguments.

    Args:
        model, dataset: As of `evaluate`; of None for a model what only it can
            tell is left out.
        suites: Names of `evaluation.SUITES`.
        reference: What errors and flips are divided by: the path of a
            `report.json` on the same images, or of a file of constants (see
            `evaluation.Reference`), or `"alexnet"` for the constants of
            ImageNet-C, which are the default for 1,000 classes.
        batch_size: Images of a chunk and of a forward pass; at least 1.
        strategy: `tf.distribute.Strategy` whose replicas share each batch;
            the model was built in its scope.
        shard: `"i/n"`: only part i of n, which needs an `output_dir` of its
            own; `merge` joins all parts, and only then there is a report.
        **settings: Options of the suites, see `evaluation.Settings`.

    Raises:
        UsageError: An argument cannot be used, an option would do nothing, or
            model, dataset and reference do not fit.

    >>> import numpy
    >>> images = numpy.zeros([4, 8, 8, 3], "uint8"), [0, 1, 0, 0]
    >>> print(plan(None, images, corruptions=("fog",), severities=(3,)))
    name            n  source     seed  generator  preprocess
    arrays/clean    4  original                    as_stored
    arrays/c/fog/3  4  generated  0     3-cifar    as_stored
    """
    check_local(reference=reference)
    chosen, settings = checked(suites, settings)
    checks.whole_number("batch_size", batch_size, 1)
    shard = checks.shard(shard)
    dataset = dataset_of(dataset, model)
    images = Images.of(dataset, settings.examples)
    reference = Reference.of(reference, dataset.num_classes)
    job = Job(dataset, images, settings, min(batch_size, images.n))
    if model is not None:
        _add_model(job, model, Replicas(strategy))
    tasks = {}
    for suite in chosen:
        found = suite.tasks(job)
        if suite.adapts and settings.adapt == adaptation.BN:
            found += adaptation.tasks(found, job)
        for task in found:
            tasks.setdefault(task.cell, task)
    if reference is not None:
        if reference.dataset is not None:
            reference.check(images.name, images.fingerprint)
        for own in (about_cell(cell, "") for cell in tasks):
            reference.check_section(own["name"], made_in(own["origin"]))
    return Plan(tuple(tasks.values()), job, reference, shard)


def _add_model(job, model, replicas):
    if not callable(model):
        raise UsageError(
            f"evaluate takes a Keras model, got {model!r}: load it first, with "
            "evaluation.load_classifier."
        )
    job.model, job.replicas = model, replicas
    job.model_id = model_fingerprint(model)
    probe, classes = job.images.probe(job.batch_size), job.dataset.num_classes
    how = job.batch_size, job.settings.outputs, replicas
    job.predictor = Predictor(model, classes, probe, *how)


@dataclasses.dataclass(frozen=True)
class Results:
    """What `evaluate` returns."""

    # How many cells were measured now, in whole or in part; the others had
    # been finished before.
    computed: int
    report: Report | None = None  # On all cells; None of a part of them.

    @property
    def scores(self) -> dict | None:
        """`{cell: scores}`, in the order of the suites; None of a part."""
        return self.report and self.report.scores

    @property
    def figures(self) -> dict[str, float]:
        """`{"clean/accuracy": 0.95, "c/mean_accuracy": 0.88, ...}`."""
        return self._whole.figures

    def __str__(self):
        return self._whole.text()

    @property
    def _whole(self):
        if self.report is None:
            raise UsageError(
                "A part of an evaluation has no report: join all parts with "
                "evaluation.merge."
            )
        return self.report


def evaluate(
    model,
    dataset,
    *,
    suites=("clean", "c"),
    output_dir=None,
    reference=None,
    num_workers=None,
    progress=True,
    about=None,
    **planned,
) -> Results:
    """Measures a classifier on a dataset's test images, clean and shifted.

    Each image is read once, one forward pass feeds every metric, and memory
    does not grow with the dataset. With `output_dir` what was measured is kept
    in `records.sqlite`, chunk by chunk: a second call measures only what is
    missing for the same model, data, seed and version of the generator. The
    report is then written there too.

    Args:
        model: Keras classifier, or what `evaluation.load_classifier` returns.
            It takes pixels 0..255, `[B, H, W, C]`, and gives logits or
            probabilities `[B, K]`; see `noisymix_tf.probabilities`.
        dataset: `noisymix_tf.data.Dataset`; or `(images, labels)`, NumPy uint8
            `[N, H, W, 3]` and int `[N]`, below the model's K; or an object
            with `name`, `num_classes` (K), `class_names` and `test`, where
            `test.batches(batch_size)` yields such pairs, always in the same
            order, and which is read once more to be known again.
        output_dir: Folder for records and report; None writes no files.
        num_workers: See `engine.run`.
        progress: True for `noisymix_tf.progress.Progress()`, or an object of
            this kind; None for silence.
        about: Dict of words for the head of the report, `{"model": PATH}`:
            the report of another one in `output_dir` is not replaced.
        suites, reference, **planned: What is measured, as of `plan`: also
            `batch_size`, `strategy`, `shard`, and the options of the suites.

    Raises:
        UsageError: As `plan`; or a report would be lost in `output_dir`.

    >>> dataset = data.load("cifar10")  # doctest: +SKIP
    >>> print(evaluate(model, dataset, suites=("fgsm",)))  # doctest: +SKIP
    """
    check_local(output_dir=output_dir)
    if num_workers is not None:
        checks.whole_number("num_workers", num_workers, 0)
    planned |= {"suites": suites, "reference": reference}
    work = plan(model, dataset, **planned)
    facts = _facts_of(work, output_dir, reference, dict(about or {}))
    progress = Progress() if progress is True else progress
    with _opened(output_dir) as (folder, records):
        check_kept(records.fact(_PLAN), facts, suites, folder)
        records.set_fact(_PLAN, facts)
        how = num_workers, progress, folder and Gallery(folder)
        computed = engine.run(work, records, *how)
        if work.shard[1] > 1:
            return Results(computed)
        report = _report(records, facts, work.reference, folder)
        return Results(computed, report)


def _facts_of(work, output_dir, reference, about):
    """What `merge` must know of a plan, as JSON values."""
    if work.job.model is None:
        raise UsageError("evaluate takes a Keras model, got None.")
    shard = f"shard={work.shard[0] + 1}/{work.shard[1]}"
    if work.shard[1] > 1 and output_dir is None:
        raise UsageError(
            f"{shard} needs an output_dir, a folder for this part alone."
        )
    if work.shard[1] > 1 and isinstance(reference, Reference):
        raise UsageError(
            f"{shard}: merge reads the reference again, so give its path."
        )
    return {
        "key": work.key,
        "shard": work.shard,
        "cells": [dataclasses.asdict(cell) for cell in work.cells],
        "num_classes": work.job.dataset.num_classes,
        "reference": None if reference is None else str(reference),
        "about": {name: str(word) for name, word in about.items()},
        "failure_share": work.job.settings.failure_share,
    }


def merge(folders, output_dir) -> Results:
    """Joins the parts of an evaluation, and writes their report.

    Args:
        folders: Folders of all parts of one plan, see `shard` of `plan`.
        output_dir: Folder for all records and the report.

    Returns:
        Those of one evaluation in one go to the last bit.

    Raises:
        UsageError: A part is missing, not finished, there twice, of another
            plan, or lies in `output_dir`.
    """
    first, parts = _parts([*folders], output_dir)
    reference = Reference.of(first["reference"], first["num_classes"])
    with _opened(output_dir) as (folder, records):
        (folder / EXAMPLES).mkdir(exist_ok=True)
        for path in parts.values():
            records.take(path)
            for file in pathlib.Path(path, EXAMPLES).glob("*.json"):
                content = file.read_bytes()
                write_atomically(folder / EXAMPLES / file.name, content)
        facts = {**first, "shard": (0, 1)}
        records.set_fact(_PLAN, facts)
        return Results(0, _report(records, facts, reference, folder))


def _parts(folders, output_dir):
    """The facts of the first of all parts of one plan, and them by place."""
    if os.path.realpath(output_dir) in map(os.path.realpath, folders):
        raise UsageError(
            f"output_dir={output_dir} is one of the parts: name another folder "
            "for the whole."
        )
    if not folders:
        raise UsageError("No part was given: name the folders of all parts.")
    first, parts = _facts(folders[0]), {}
    for path in folders:
        facts = _facts(path)
        if any(facts.get(name) != first.get(name) for name in _OF_PLAN):
            raise UsageError(
                f"{path} and {folders[0]} are no parts of one plan: measure "
                "both with the same model, data, suites, batch size, n, "
                "reference and failure_share."
            )
        place, count = facts["shard"]
        if place in parts:
            raise UsageError(
                f"{path} and {parts[place]} are both part {place + 1} of "
                f"{count}: give each part once."
            )
        parts[place] = path
    if missing := [str(k + 1) for k in range(count) if k not in parts]:
        raise UsageError(
            f"Of {count} parts {', '.join(missing)} are missing: give the "
            "folders of all."
        )
    return first, parts


def _facts(path):
    if (pathlib.Path(path) / FILE).is_file():
        with Records(path) as records:
            if facts := records.fact(_PLAN):
                return facts
    raise UsageError(
        f"{path} holds no part of an evaluation: {FILE} is missing, or none "
        "has begun there."
    )


def _report(records, facts, reference, folder):
    """The report of a plan, written with a readable line for each cell."""
    cells = [Cell(**fields) for fields in facts["cells"]]
    scores = scores_of(records, cells)
    costs = records.seconds(cells)
    how = facts["about"], costs, facts.get("failure_share")
    report = Report(scores, reference, *how, facts["num_classes"])
    if folder is not None:
        lines = []
        for cell, own in scores.items():
            names = (name for name in own.ROW.names if name != "label")
            means = {f"mean_{n}": float(own.rows[n].mean()) for n in names}
            lines.append(json.dumps(dataclasses.asdict(cell) | means) + "\n")
        write_atomically(folder / CELLS_FILE, "".join(lines))
        report.write(folder)
    return report


@contextlib.contextmanager
def _opened(output_dir):
    """The folder, locked, or None; and its records, or some in memory."""
    claim = contextlib.nullcontext()
    if output_dir is not None:
        claim = claimed(output_dir, "evaluation")
    with claim as folder, Records(folder) as records:
        for place in (folder, folder / EXAMPLES) if folder else ():
            remove_leftovers(place)
        yield folder, records
