"""A plan: every cell that there is to measure, before any is measured.

All that cannot be measured is refused here, before a model works for hours.
"""

import dataclasses

from noisymix_tf import checks
from noisymix_tf.corruptions.selection import sequence
from noisymix_tf.data import identity
from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor, count_outputs
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.evaluation.suites import SUITES, Job
from noisymix_tf.models.fingerprint import model_fingerprint
from noisymix_tf.places import check_local
from noisymix_tf.replicas import Replicas


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
):
    """What `evaluate` would measure of the same arguments.

    Args:
        model: As in `evaluate`; None to plan before there is one, which leaves
            out what only a model can tell.
        dataset, ...: As in `evaluate`.

    Returns:
        `Plan`.

    Raises:
        UsageError: An argument cannot be used, an option would do nothing, or
            model, dataset and reference do not fit.

    Example:

    >>> print(plan(model, data.load("cifar10"), suites=("clean", "c", "p")))
    """
    # Of sets of shifted images each is looked at by their suite.
    paths = {k: v for k, v in settings.items() if k != "shift_dir"}
    check_local(reference=reference, **paths)
    chosen, settings = checked(suites, settings)
    checks.whole_number("batch_size", batch_size, 1)
    shard = checks.shard(shard)
    dataset = _dataset(dataset, model)
    images = Images.of(dataset, settings.examples)
    batch_size = min(batch_size, images.n)
    reference = Reference.of(reference, dataset.num_classes)
    if reference is not None and reference.dataset is not None:
        reference.check(images.name, images.fingerprint)
    job = Job(dataset, images, settings, batch_size)
    if model is not None:
        job = _with_model(job, model, Replicas(strategy))
    tasks = {}
    for suite in chosen:
        for task in suite.tasks(job):
            tasks.setdefault(task.cell, task)
    return Plan(tuple(tasks.values()), job, reference, shard)


def checked(suites, settings):
    """List of `Suite`s and `Settings` of names and a dict of options.

    Raises:
        UsageError: A name is not known, a value cannot be used, or an option
            would do nothing for these suites.
    """
    names = sequence("suites", suites)
    chosen = [SUITES.get(name)() for name in names]
    settings = Settings.of(settings)
    used = {option for suite in chosen for option in suite.options}
    for option in sorted(settings.chosen() - used):
        owners = [n for n, s in SUITES.items() if option in s.options]
        raise UsageError(
            f"{option}={getattr(settings, option)!r} would do nothing: it is "
            f"for suite {' or '.join(owners)}, which is not among "
            f"{', '.join(names)}. Leave it out, or add the suite."
        )
    return chosen, settings


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks, and what they share.

    Attributes:
        tasks: `suites.Task`s, each of another cell, in the order of the
            suites.
        job: `suites.Job`.
        reference: `Reference`, or None.
        shard: `(i, n)`: chunks i, i + n, i + 2n... of all images, from 0.
    """

    tasks: tuple
    job: Job
    reference: Reference | None
    shard: tuple

    @property
    def cells(self):
        """The `Cell`s, in order."""
        return [task.cell for task in self.tasks]

    @property
    def sources(self):
        """`{images: tasks}`: what is walked, one after the other."""
        sources = {}
        for task in self.tasks:
            sources.setdefault(task.images, []).append(task)
        return sources

    @property
    def key(self):
        """Hash of all cells and of the chunks: equal for shards of one plan."""
        return identity.short(
            *(cell.key for cell in self.cells),
            self.job.batch_size,
            self.shard[1],
        )

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


def _with_model(job, model, replicas):
    if not callable(model):
        raise UsageError(
            f"evaluate takes a Keras model, got {model!r}: load it first, with "
            "evaluation.load_classifier."
        )
    return dataclasses.replace(
        job,
        model=model,
        replicas=replicas,
        model_id=model_fingerprint(model),
        predictor=Predictor(
            model,
            job.dataset.num_classes,
            job.images.probe(job.batch_size),
            job.batch_size,
            job.settings.outputs,
            replicas,
        ),
    )


def _dataset(dataset, model):
    """A dataset as it is, or one made of arrays with the model's classes."""
    if hasattr(dataset, "test"):
        return dataset
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        size = f" of {len(dataset)}" if hasattr(dataset, "__len__") else ""
        raise UsageError(
            f"evaluate takes a noisymix_tf.data Dataset or (images, labels), "
            f"got a {type(dataset).__name__}{size}."
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
        count = model and count_outputs(model, test.images[:1])
        self.num_classes = count or top + 1
        if top >= self.num_classes:
            raise UsageError(
                f"There is a label {top}, but the model has "
                f"{self.num_classes} classes, which count from 0 to "
                f"{self.num_classes - 1}: mend the labels, or choose the model "
                "that they belong to."
            )
        self.class_names = tuple(map(str, range(self.num_classes)))
