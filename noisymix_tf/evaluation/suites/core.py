"""What suites share.

A suite is a class with two methods. `cells` lists what there is to measure, and
`run` measures: it yields a cell and its JSON values as soon as they are known.
Suites that measure images one by one inherit `run` from `ImageSuite` and say
which images a cell has, what is done to them and how the model answers.
"""

import abc
import collections
import dataclasses
import itertools
import pathlib
import time
from concurrent import futures

import numpy as np

from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.evaluation.replicas import Replicas
from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.registry import Registry

SUITES = Registry("suite")


@dataclasses.dataclass
class Job:
    """What the suites of one evaluation share.

    To plan cells takes no more than what has no default.

    Attributes:
        dataset: Has `name`, `num_classes`, `class_names` and `test`.
        images: `Images`, the test images.
        settings: What was asked for.
        batch_size: Images per forward pass.
        model: The classifier.
        predictor: Images to outputs.
        replicas: Devices that share the work.
        model_id: Fingerprint of the model.
        pool: Executor that prepares images.
        depth: How many batches it prepares ahead of the model.
        gallery: Keeps some images with the model's answers; None for none.
    """

    dataset: object
    images: Images
    settings: Settings
    batch_size: int
    model: object = None
    predictor: Predictor | None = None
    replicas: Replicas | None = None
    model_id: str = ""
    pool: futures.Executor | None = None
    depth: int = 0
    gallery: object = None

    def cell(
        self, suite, corruption=None, severity=0, *, images=None, **fields
    ):
        """A cell of this job.

        Args:
            suite, corruption, severity: As in `Cell`.
            images: `Images` of the cell; by default the test images.
            **fields: source, seed, generator, setting.
        """
        images = images or self.images
        return Cell(
            **{
                "dataset": self.dataset.name,
                "suite": suite,
                "corruption": corruption,
                "severity": severity,
                "n": images.n,
                "model": self.model_id,
                "data": images.fingerprint,
                "preprocess": images.preprocess,
                **fields,
            }
        )

    def part(self, examples):
        """`Images`: at most so many of this job's; all of them for None."""
        if examples is None or examples >= self.images.n:
            return self.images
        return Images.of(self.dataset, examples)

    def released(self, split, preprocess):
        """`Images` of a released split, with this job's number of examples."""
        return Images(
            split,
            self.dataset.name,
            self.dataset.num_classes,
            preprocess,
            self.settings.examples,
            self.dataset.class_names,
        )


class Suite(abc.ABC):
    """Something that can be measured, cell by cell."""

    @abc.abstractmethod
    def cells(self, job):
        """Returns the list of cells there are for a `Job`.

        Before a training it is asked, too, of a job that has no model yet, so
        that all `UsageError`s are raised here.
        """

    @abc.abstractmethod
    def run(self, cells, job):
        """Yields `(cell, measurements)` for some of its cells, in order."""


class ImageSuite(Suite):
    """A suite that prepares images, asks the model and sums up its answers."""

    def images(self, cell, job):
        """The `Images` of a cell; by default the dataset's."""
        return job.images

    def batch_size(self, cell, job):
        """How many of them are prepared at a time."""
        return job.batch_size

    def prepare(self, cell, images, indices):
        """What is done to images; runs ahead of the model, in threads.

        Args:
            cell: The cell.
            images: uint8 `[b, H, W, C]`, as the dataset has them.
            indices: int `[b]`, their places in the dataset.

        Returns:
            uint8 `[b, H, W, C]`, or whatever `answer` takes.
        """
        return images

    def answer(self, cell, job, images, labels, indices):
        """What the model says.

        Args:
            cell, job: The cell and its job.
            images: What `prepare` returned.
            labels, indices: int `[b]`.

        Returns:
            `(outputs, shown)`: what the tally takes, and the images that the
            model has seen.
        """
        return job.predictor(images), images

    def tally(self, cell, job):
        """An empty tally."""
        return Tally(job.predictor.from_logits)

    def class_names(self, cell, job):
        """Names of the classes that labels and outputs of a cell count."""
        return job.dataset.class_names

    def facts(self, cell, job):
        """Values that go into the measurements of a cell."""
        return {"outputs": job.predictor.kind}

    def run(self, cells, job):
        """Prepares in the background; one forward pass feeds all metrics.

        The batches of all cells form one stream, so that the workers go on
        with the next cell while the model finishes the last one.
        """
        calls = (
            ((cell, available, labels, indices), (cell, images, indices))
            for cell in cells
            for available, images, labels, indices in self._numbered(cell, job)
        )
        prepared = _ahead(job.pool, job.depth, _timed(self.prepare), calls)
        start = time.monotonic()
        for cell, batches in itertools.groupby(prepared, lambda b: b[0][0]):
            tally = self.tally(cell, job)
            generation = forward = 0.0
            for tag, (images, seconds) in batches:
                _, available, labels, indices = tag
                generation += seconds
                before = time.monotonic()
                outputs, shown = self.answer(cell, job, images, labels, indices)
                forward += time.monotonic() - before
                tally.update(outputs, labels)
                if job.gallery is not None:
                    job.gallery.see(cell, shown, outputs, labels, indices)
            if tally.n != cell.n:
                raise RuntimeError(
                    f"{cell.name}: the dataset gave {tally.n} images, "
                    f"{cell.n} when it was counted"
                )
            if job.gallery is not None:
                job.gallery.keep(cell, self.class_names(cell, job))
            yield (
                cell,
                {
                    **tally.measurements(),
                    **self.facts(cell, job),
                    "available": available,
                    "generation_seconds": round(generation, 3),
                    "forward_seconds": round(forward, 3),
                    "seconds": round(time.monotonic() - start, 3),
                },
            )
            start = time.monotonic()

    def _numbered(self, cell, job):
        """Yields how many images there are, and images, labels, places."""
        images = self.images(cell, job)
        size = self.batch_size(cell, job)
        keep = images is job.images and size == job.batch_size
        start = 0
        for batch, labels in images.batches(size, keep):
            places = np.arange(start, start + len(batch))
            yield images.available, batch, labels, places
            start += len(batch)


def made_by(opened, path, suite):
    """Fields of a cell that say how this package wrote the files it reads.

    Args:
        opened: What `data.released` made of them.
        path: Their directory.
        suite: `"c"` or `"p"`.

    Returns:
        Dict of seed and generator; empty for published files.
    """
    if opened.source != "generated":
        return {}
    from noisymix_tf.data.released.manifest import read_manifest

    of = read_manifest(pathlib.Path(path), suite).settings
    return {
        "seed": of["seed"],
        "generator": f"{of['generator']}-{of['table']}",
    }


def _timed(function):
    """Returns its result with the processor time that its thread took."""

    def timed(*arguments):
        start = time.thread_time()
        result = function(*arguments)
        return result, time.thread_time() - start

    return timed


def _ahead(pool, depth, function, calls):
    """Yields `(tag, function(*arguments))` in order, computed ahead.

    Args:
        pool: Executor.
        depth: How many results may wait, or be under way.
        function: What to compute.
        calls: Iterable of `(tag, arguments)`, read as late as possible.
    """
    waiting = collections.deque()
    for tag, arguments in calls:
        waiting.append((tag, pool.submit(function, *arguments)))
        if len(waiting) > depth:
            tag, result = waiting.popleft()
            yield tag, result.result()
    for tag, result in waiting:
        yield tag, result.result()
