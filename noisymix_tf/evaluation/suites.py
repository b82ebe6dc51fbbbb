"""Suites: which cells there are, and how each is measured.

A suite is a class with two methods. `cells` lists what there is to measure, and
`run` measures: it yields a cell and its JSON values as soon as they are known.
Suites that only change the images inherit `run` from `ImageSuite`.
"""

import abc
import collections
import dataclasses
import itertools
import time
from concurrent import futures

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.registry import Registry

SUITES = Registry("suite")

# Images held in memory, so that their decoding is paid once for all cells.
_CACHE_BYTES = 512 << 20


@dataclasses.dataclass
class Job:
    """What the suites of one evaluation share.

    Attributes:
        dataset: Has `name`, `num_classes` and `test.batches(batch_size)`.
        predictor: Images to outputs.
        model_id: Fingerprint of the model.
        data_id: Fingerprint of the images.
        image_shape: (H, W, C).
        num_examples: Number of images.
        corruptions: Names of the corruptions asked for.
        severities: Severities asked for.
        seed: Seed of all that is generated.
        batch_size: Images per forward pass.
        pool: Executor that prepares images.
        depth: How many batches it prepares ahead of the model.
    """

    dataset: object
    predictor: Predictor
    model_id: str
    data_id: str
    image_shape: tuple
    num_examples: int
    corruptions: tuple
    severities: tuple
    seed: int
    batch_size: int
    pool: futures.Executor
    depth: int
    _cache: list | None = None

    def cell(self, suite, corruption=None, severity=0, **fields):
        """A cell of this job; `fields` are source, seed, generator."""
        return Cell(
            dataset=self.dataset.name,
            suite=suite,
            corruption=corruption,
            severity=severity,
            n=self.num_examples,
            model=self.model_id,
            data=self.data_id,
            **fields,
        )

    def batches(self):
        """Yields `(images, labels)`; a small dataset is read only once."""
        if self._cache is not None:
            yield from self._cache
            return
        kept, size = [], 0
        for images, labels in self.dataset.test.batches(self.batch_size):
            images, labels = np.asarray(images), np.asarray(labels)
            self._check(labels)
            size += images.nbytes
            if size <= _CACHE_BYTES:
                kept.append((images, labels))
            yield images, labels
        if size <= _CACHE_BYTES:
            self._cache = kept

    def _check(self, labels):
        for label in (labels.min(), labels.max()):
            if not 0 <= label < self.dataset.num_classes:
                raise UsageError(
                    f"The dataset {self.dataset.name!r} has the label {label}, "
                    f"but its {self.dataset.num_classes} classes count from "
                    f"0 to {self.dataset.num_classes - 1}: mend its labels."
                )


class Suite(abc.ABC):
    """Something that can be measured, cell by cell."""

    @abc.abstractmethod
    def cells(self, job):
        """Returns the list of cells there are for a `Job`."""

    @abc.abstractmethod
    def run(self, cells, job):
        """Yields `(cell, measurements)` for some of its cells, in order."""


class ImageSuite(Suite):
    """A suite whose cells differ only in what is done to the images."""

    @abc.abstractmethod
    def prepare(self, cell, images, indices):
        """Images of a cell; runs ahead of the model in worker threads.

        Args:
            cell: The cell.
            images: uint8 `[b, H, W, C]`, as the dataset has them.
            indices: int `[b]`, their places in the dataset.

        Returns:
            uint8 `[b, H, W, C]`.
        """

    def run(self, cells, job):
        """Prepares in the background; one forward pass feeds all metrics.

        The batches of all cells form one stream, so that the workers go on
        with the next cell while the model finishes the last one.
        """
        calls = (
            ((cell, labels), (cell, images, indices))
            for cell in cells
            for images, labels, indices in _numbered(job.batches())
        )
        prepared = _ahead(job.pool, job.depth, self.prepare, calls)
        start = time.monotonic()
        for cell, batches in itertools.groupby(prepared, lambda b: b[0][0]):
            tally = Tally(job.predictor.from_logits)
            for (_, labels), images in batches:
                tally.update(job.predictor(images), labels)
            if tally.n != cell.n:
                raise RuntimeError(
                    f"{cell.name}: the dataset gave {tally.n} images, "
                    f"{cell.n} when it was counted"
                )
            seconds = time.monotonic() - start
            yield cell, {**tally.measurements(), "seconds": round(seconds, 3)}
            start = time.monotonic()


@SUITES.register("clean")
class Clean(ImageSuite):
    """The test images as they are."""

    def cells(self, job):
        return [job.cell("clean", source="original")]

    def prepare(self, cell, images, indices):
        return images


@SUITES.register("c")
class CommonCorruptions(ImageSuite):
    """Corruptions of the -C benchmarks, generated on the fly."""

    def cells(self, job):
        table = corruptions.table_for(job.image_shape)
        return [
            job.cell(
                "c",
                name,
                severity,
                source="generated",
                seed=job.seed,
                generator=f"{corruptions.version()}-{table}",
            )
            for name in job.corruptions
            for severity in job.severities
        ]

    def prepare(self, cell, images, indices):
        return corruptions.corrupt(
            images, cell.corruption, cell.severity, cell.seed, indices=indices
        )


def _numbered(batches):
    """Adds to every batch the places of its images in the dataset."""
    start = 0
    for images, labels in batches:
        yield images, labels, np.arange(start, start + len(images))
        start += len(images)


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
