"""`evaluate`: a classifier, a dataset and some suites give a report."""

import concurrent.futures
import contextlib
import functools
import os
import pathlib

from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import selection
from noisymix_tf.evaluation.cells import CellFile
from noisymix_tf.evaluation.files import remove_leftovers
from noisymix_tf.evaluation.fingerprint import model_fingerprint
from noisymix_tf.evaluation.gallery import FOLDER as EXAMPLES
from noisymix_tf.evaluation.gallery import Gallery
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor, count_outputs
from noisymix_tf.evaluation.progress import Progress
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.replicas import Replicas
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.settings import Settings, at_least
from noisymix_tf.evaluation.suites import SUITES, Job
from noisymix_tf.places import check_local
from noisymix_tf.run_lock import RunLock

CELLS_FILE = "cells.jsonl"


class Results:
    """What `evaluate` returns.

    Attributes:
        records: `{cell: measurements}`, in the order of the suites.
        planned: The cells that were asked for.
        computed: How many of them were measured now; the others had been
            finished before.
        reference: `Reference`, or None.
        data: Word for the test images, see `data.identity`.
    """

    def __init__(self, records, planned, computed, reference=None, data=None):
        self.records = records
        self.planned = planned
        self.computed = computed
        self.reference = reference
        self.data = data

    @functools.cached_property
    def report(self):
        """The `Report` on all cells."""
        return Report(self.records, self.planned, self.reference, self.data)

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
    progress=True,
    **settings,
):
    """Measures a classifier on a dataset's test images, clean and shifted.

    Images are generated or read by threads while the model works on earlier
    ones; one forward pass feeds every metric; memory does not grow with the
    dataset. With `output_dir`, finished cells are kept in `cells.jsonl` and a
    second call measures only what is missing for the same model, data, seed
    and version of the generator. The report is then written there too.

    Args:
        model: Keras classifier, or what `evaluation.load_classifier` returns.
            It takes pixels 0..255, `[B, H, W, C]`, and gives logits or
            probabilities `[B, K]`: how it ends tells, or else that rows of
            probabilities are non-negative and sum to one.
        dataset: `noisymix_tf.data.Dataset`; or `(images, labels)`, NumPy uint8
            `[N, H, W, 3]` and int `[N]`, below the model's K; or an object
            with `name`, `num_classes` (K), `class_names` and `test`, where
            `test.batches(batch_size)` yields such pairs, always in the same
            order. What it yields is hashed in one more pass, to be known
            again; a `Dataset` knows what it is (`Split.identity`).
        suites: Names of suites, or `Suite` objects: `"clean"`, `"c"`, `"p"`,
            `"r"`, `"fgsm"`, `"pgd"`, `"autoattack"`, `"calibration"`.
        output_dir: Folder for cells and report; None writes no files.
        reference: What errors and flips are divided by: the path of a
            `report.json` on the same images, or of a file of constants (see
            `evaluation.Reference`), or `"alexnet"` for the constants of
            ImageNet-C, which are the default for 1,000 classes.
        batch_size: Images per forward pass; at least 1.
        strategy: `tf.distribute.Strategy` whose replicas share each batch;
            the model was built in its scope.
        num_workers: Threads that prepare images; by default one per core, at
            most 8.
        progress: Called as `progress(cell, measurements, done, total)` after
            each cell that was measured; if it has a method `begin`, that gets
            the cells to measure first. True for `evaluation.Progress()`, None
            for silence.
        **settings: Options of the suites: the attributes of
            `evaluation.Settings`.

    Returns:
        `Results`.

    Raises:
        UsageError: If an argument cannot be used, or model and dataset do not
            fit.

    Example:

    >>> results = evaluate(model, data.load("cifar10"), output_dir="run")
    >>> results.figures["c/mean_accuracy"]
    0.8851
    >>> evaluate(model, dataset, suites=("fgsm",), eps=("2/255", "4/255"))
    """
    check_local(output_dir=output_dir, reference=reference, **settings)
    suites = _suites(suites)
    settings = Settings.of(settings)
    at_least("batch_size", batch_size, 1)
    if num_workers is None:
        num_workers = min(os.cpu_count() or 1, 8)
    at_least("num_workers", num_workers, 1)
    if progress is True:
        progress = Progress()
    if not callable(model):
        raise UsageError(
            f"evaluate takes a Keras model, got {model!r}: load it first, with "
            "evaluation.load_classifier."
        )
    dataset = _dataset(dataset, model)
    reference = Reference.of(reference, dataset)
    images = Images.of(dataset, settings.examples)
    if reference is not None:
        _check_reference(reference, images)
    replicas = Replicas(strategy)
    probe = images.probe(batch_size)
    predictor = Predictor(
        model,
        dataset.num_classes,
        probe,
        min(batch_size, images.n),
        settings.outputs,
        replicas,
    )
    folder = None if output_dir is None else _folder(output_dir)
    pool = concurrent.futures.ThreadPoolExecutor(num_workers, "prepare")
    job = Job(
        dataset=dataset,
        images=images,
        model=model,
        predictor=predictor,
        replicas=replicas,
        model_id=model_fingerprint(model),
        settings=settings,
        batch_size=min(batch_size, images.n),
        pool=pool,
        depth=2 * num_workers,
        gallery=None if folder is None else Gallery(folder, dataset),
    )
    with _lock(folder):
        for place in () if folder is None else (folder, folder / EXAMPLES):
            remove_leftovers(place)
        try:
            results = _measure(suites, job, folder, progress, reference)
        finally:
            pool.shutdown(cancel_futures=True)
        if folder is not None:
            results.report.write(folder)
    return results


def check_selection(suites, dataset=None, reference=None, **settings):
    """Raises the `UsageError` that `evaluate` would, before hours of training.

    Args:
        suites, dataset, reference, **settings: As in `evaluate`; with a
            dataset, all cells are planned, which opens released sets.
    """
    suites = _suites(suites)
    settings = Settings.of(settings)
    if dataset is None:
        return
    images = Images.of(dataset, settings.examples)
    reference = Reference.of(reference, dataset)
    if reference is not None:
        _check_reference(reference, images)
    job = Job(dataset, images, settings, batch_size=images.n)
    for suite in suites:
        suite.cells(job)


def _check_reference(reference, images):
    """Raises if a report is on others; constants may be about any images."""
    if reference.dataset is not None:
        reference.check(images.name, images.fingerprint)


def _suites(suites):
    return [
        SUITES.get(suite)() if isinstance(suite, str) else suite
        for suite in selection.sequence("suites", suites)
    ]


def _dataset(dataset, model):
    """A dataset as it is, or one made of arrays with the model's classes."""
    if not isinstance(dataset, tuple | list):
        if not hasattr(dataset, "test"):
            raise UsageError(
                f"evaluate takes a noisymix_tf.data Dataset or (images, "
                f"labels), got a {type(dataset).__name__}."
            )
        return dataset
    if len(dataset) != 2:
        raise UsageError(
            f"evaluate takes a dataset or (images, labels), got a "
            f"{type(dataset).__name__} of {len(dataset)}."
        )
    arrays = ArraySplit(*dataset)
    if not len(arrays):
        raise UsageError("There are no images: nothing to evaluate.")
    return _Arrays(arrays, model)


class _Arrays:
    """Images and labels in memory, as a dataset."""

    name = "arrays"

    def __init__(self, test, model):
        self.test = test
        top = int(max(test.labels))
        self.num_classes = count_outputs(model, test.images[:1]) or top + 1
        if top >= self.num_classes:
            raise UsageError(
                f"There is a label {top}, but the model has "
                f"{self.num_classes} classes, which count from 0 to "
                f"{self.num_classes - 1}: mend the labels, or choose the model "
                "that they belong to."
            )
        self.class_names = tuple(map(str, range(self.num_classes)))


def _measure(suites, job, folder, progress, reference):
    """Measures what is not finished yet, keeping every cell at once."""
    file = None
    finished = {}
    if folder is not None:
        file = CellFile(folder / CELLS_FILE)
        kind = job.predictor.kind
        finished = {
            cell: measurements
            for cell, measurements in file.read().items()
            # What was taken for something else is measured anew.
            if measurements.get("outputs", kind) == kind
        }
    plan = [(suite, suite.cells(job)) for suite in suites]
    # Two suites may share cells.
    planned = list(dict.fromkeys(c for _, cells in plan for c in cells))
    measured = {}
    done = sum(cell in finished for cell in planned)
    if hasattr(progress, "begin"):
        progress.begin([cell for cell in planned if cell not in finished])
    for suite, cells in plan:
        pending = [c for c in cells if c not in finished and c not in measured]
        for cell, measurements in suite.run(pending, job):
            if file is not None:
                file.append(cell, measurements)
            measured[cell] = measurements
            done += 1
            if progress:
                progress(cell, measurements, done, len(planned))
    known = {**finished, **measured}
    records = {cell: known[cell] for cell in planned if cell in known}
    return Results(
        records, planned, len(measured), reference, job.images.fingerprint
    )


def _folder(output_dir):
    folder = pathlib.Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"output_dir {str(folder)!r} cannot be a folder "
            f"({error.strerror}): choose another."
        ) from error
    return folder


def _lock(folder):
    """Keeps other processes from writing to the folder meanwhile."""
    if folder is None:
        return contextlib.nullcontext()
    return RunLock(folder, "output_dir")
