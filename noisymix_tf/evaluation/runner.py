"""`evaluate`: a classifier, a dataset and some suites give a report."""

import contextlib
import dataclasses
import json
import pathlib

from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import engine
from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.gallery import FOLDER as EXAMPLES
from noisymix_tf.evaluation.gallery import Gallery
from noisymix_tf.evaluation.plan import plan as make_plan
from noisymix_tf.evaluation.records import FILE, Records
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.report import Report, scores_of
from noisymix_tf.files import claimed, remove_leftovers, write_atomically
from noisymix_tf.places import check_local
from noisymix_tf.progress import Progress

CELLS_FILE = "cells.jsonl"
_PLAN = "plan"


class Results:
    """What `evaluate` returns.

    Attributes:
        computed: How many cells were measured now, in whole or in part; the
            others had been finished before.
        report: The `Report` on all cells; None where only a part is measured.
        scores: `{cell: scores}`, in the order of the suites; None likewise.
    """

    def __init__(self, computed, report=None):
        self.computed = computed
        self.report = report
        self.scores = report and report.scores

    @property
    def figures(self):
        """`{"clean/accuracy": 0.95, "c/mean_accuracy": 0.88, ...}`."""
        return self.report.figures

    def __str__(self):
        return self.report.text()


def evaluate(
    model,
    dataset,
    *,
    suites=("clean", "c"),
    output_dir=None,
    reference=None,
    batch_size=256,
    strategy=None,
    num_workers=None,
    shard="1/1",
    progress=True,
    about=None,
    **settings,
):
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
        suites: Names of `evaluation.SUITES`.
        output_dir: Folder for records and report; None writes no files.
        reference: What errors and flips are divided by: the path of a
            `report.json` on the same images, or of a file of constants (see
            `evaluation.Reference`), or `"alexnet"` for the constants of
            ImageNet-C, which are the default for 1,000 classes.
        batch_size: Images of a chunk and of a forward pass; at least 1.
        strategy: `tf.distribute.Strategy` whose replicas share each batch;
            the model was built in its scope.
        num_workers: See `engine.run`.
        shard: `"i/n"`: only part i of n, which needs an `output_dir` of its
            own; `merge` joins all parts, and only then there is a report.
        progress: True for `noisymix_tf.progress.Progress()`, or an object of
            this kind; None for silence.
        about: Dict of words for the head of the report, `{"model": PATH}`.
        **settings: Options of the suites, see `evaluation.Settings`.

    Returns:
        `Results`.

    Raises:
        UsageError: As `plan`.

    Example:

    >>> results = evaluate(model, data.load("cifar10"), output_dir="run")
    >>> results.figures["c/mean_accuracy"]
    0.8851
    >>> evaluate(model, dataset, suites=("fgsm",), eps=("2/255", "4/255"))
    """
    check_local(output_dir=output_dir)
    if num_workers is not None:
        whole_number("num_workers", num_workers, 0)
    plan = make_plan(
        model,
        dataset,
        suites=suites,
        reference=reference,
        batch_size=batch_size,
        strategy=strategy,
        shard=shard,
        **settings,
    )
    if model is None:
        raise UsageError("evaluate takes a Keras model, got None.")
    is_part = plan.shard[1] > 1
    if is_part and output_dir is None:
        raise UsageError(
            f"shard={shard} needs an output_dir, a folder for this part alone."
        )
    if is_part and isinstance(reference, Reference):
        raise UsageError(
            f"shard={shard}: merge reads the reference again, so give its path."
        )
    facts = {
        "key": plan.key,
        "shard": plan.shard,
        "cells": [dataclasses.asdict(cell) for cell in plan.cells],
        "num_classes": plan.job.dataset.num_classes,
        "reference": None if reference is None else str(reference),
        "about": dict(about or {}),
    }
    with _opened(output_dir) as (folder, records):
        records.set_fact(_PLAN, facts)
        computed = engine.run(
            plan,
            records,
            num_workers=num_workers,
            progress=Progress() if progress is True else progress,
            gallery=folder and Gallery(folder),
        )
        if is_part:
            return Results(computed)
        return Results(
            computed, _report(records, facts, plan.reference, folder)
        )


def merge(folders, output_dir):
    """Joins the parts of an evaluation, and writes their report.

    Args:
        folders: Folders of all parts of one plan, see `shard` of `evaluate`.
        output_dir: Folder for all records and the report.

    Returns:
        `Results`, those of one evaluation in one go to the last bit.

    Raises:
        UsageError: A part is missing, not finished, there twice, or of another
            plan.

    Example:

    >>> merge(["parts/1", "parts/2"], "whole").figures["clean/accuracy"]
    0.9481
    """
    folders, parts, first = list(folders), {}, None
    for path in folders:
        facts = _facts(path)
        first = first or facts
        if facts["key"] != first["key"]:
            raise UsageError(
                f"{path} and {folders[0]} are no parts of one plan: measure "
                "both with the same model, data, suites, batch size and n."
            )
        place, count = facts["shard"]
        if place in parts:
            raise UsageError(
                f"{path} and {parts[place]} are both part {place + 1} of "
                f"{count}: give each part once."
            )
        parts[place] = path
    missing = [str(k + 1) for k in range(count) if k not in parts]
    if missing:
        raise UsageError(
            f"Of {count} parts {', '.join(missing)} are missing: give the "
            "folders of all."
        )
    reference = Reference.of(first["reference"], first["num_classes"])
    with _opened(output_dir) as (folder, records):
        for path in folders:
            records.take(path)
        facts = {**first, "shard": (0, 1)}
        records.set_fact(_PLAN, facts)
        return Results(0, _report(records, facts, reference, folder))


def _facts(path):
    if not (pathlib.Path(path) / FILE).is_file():
        raise UsageError(
            f"{path} holds no part of an evaluation ({FILE} is missing)."
        )
    with Records(path) as records:
        facts = records.fact(_PLAN)
    if facts is None:
        raise UsageError(f"{path} holds no part of an evaluation yet.")
    return facts


def _report(records, facts, reference, folder):
    """The report of a plan, written with a readable line for each cell."""
    cells = [Cell(**fields) for fields in facts["cells"]]
    scores = scores_of(records, cells)
    costs = records.seconds(cells)
    report = Report(scores, reference, facts["about"], costs)
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
    if output_dir is None:
        with Records() as records:
            yield None, records
        return
    with claimed(output_dir, "evaluation") as folder:
        for place in (folder, folder / EXAMPLES):
            remove_leftovers(place)
        with Records(folder) as records:
            yield folder, records
