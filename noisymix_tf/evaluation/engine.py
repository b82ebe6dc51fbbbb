"""The engine: carries out a plan, walking the images once.

A chunk of images is read once. Worker processes make what its cells show the
model, ahead of it; the model answers here; a thread turns answers into rows
and keeps them, a transaction for each chunk. Who makes an image, and when,
decides nothing: any number of workers gives the same bits.
"""

import collections
import concurrent.futures
import functools
import time

import numpy as np

from noisymix_tf.data.shifts import best
from noisymix_tf.evaluation.predictor import restrict
from noisymix_tf.evaluation.suites import SUITES
from noisymix_tf.probabilities import LOGITS
from noisymix_tf.workers import Workers, cores

# Images to make that pay for the start of a process of their own.
_IMAGES_A_WORKER = 1000
# Images that an estimate tries each kind of cell on.
_TRIED = 4


def run(plan, records, num_workers=None, progress=None, gallery=None) -> int:
    """Measures what `Records` lack of the `runner.Plan` of a model.

    Args:
        num_workers: Processes that make images; 0 for none beside this one. By
            default one for each core, but no more than one for each thousand
            images to make.
        progress, gallery: A `Progress` and a `Gallery`, or None.

    Returns:
        Number of cells that were measured, in whole or in part.
    """
    walks = [_Walk(plan, images, records) for images in plan.sources]
    made = sum(walk.count(lambda task: task.make) for walk in walks)
    if progress:
        progress.begin(sum(walk.count() for walk in walks))
    with (
        Workers(_processes(num_workers, made)) as workers,
        concurrent.futures.ThreadPoolExecutor(1, "records") as keeper,
    ):
        engine = _Engine(plan.job, records, workers, keeper, progress, gallery)
        for made, seconds in workers.ordered(engine.calls(walks)):
            engine.take(made, seconds)
        engine.wait()
    if progress:
        progress.end()
    return len({task.cell for walk in walks for task in walk.tasks})


def _processes(wanted, made):
    usual = min(cores(), made // _IMAGES_A_WORKER)
    return usual if wanted is None else wanted


def estimate(plan, num_workers=None):
    """About how many seconds `run` takes, by trying every kind of cell."""
    few = plan.job.images.probe(_TRIED)
    rates, making, passes = {}, 0.0, 0
    for task in plan.tasks:
        passes += task.cell.n * task.frames * task.passes
        kind = task.cell.suite, task.cell.corruption
        if task.make and kind not in rates:
            began = time.process_time()
            task.make(few, indices=np.arange(len(few)))
            rates[kind] = (time.process_time() - began) / len(few)
        making += task.cell.n * (rates[kind] if task.make else 0.0)
    batch = plan.job.images.probe(plan.job.batch_size)
    began = time.monotonic()
    plan.job.predictor(batch)
    answering = passes * (time.monotonic() - began) / len(batch)
    made = sum(task.cell.n * task.frames for task in plan.tasks if task.make)
    shards = plan.shard[1]
    making /= max(1, min(cores(), _processes(num_workers, made // shards)))
    return (making + answering) / shards


class _Walk:
    """The chunks of some images that lack records of some of their tasks."""

    def __init__(self, plan, images, records):
        tasks = plan.sources[images]
        frames = 1 if tasks[0].make else tasks[0].frames
        self.images = images
        self.size = max(1, plan.job.batch_size // frames)
        covered = {task: records.covered(task.cell) for task in tasks}
        place, count = plan.shard
        self.lacking = {}
        for start in range(0, images.n, self.size)[place::count]:
            lacking = [
                task
                for task in tasks
                if not covered[task][slice(*self.span(task, start))].all()
            ]
            if lacking:
                self.lacking[start] = lacking
        self.tasks = {t for tasks in self.lacking.values() for t in tasks}

    def span(self, task, start) -> tuple[int, int]:
        """Places of the rows of a chunk among those of a task's cell."""
        ends = start, min(start + self.size, self.images.n)
        if task.places is None:
            return ends
        return tuple(np.searchsorted(task.places, ends).tolist())

    def count(self, wanted=lambda task: True) -> int:
        """How many images there are to measure, once for each task."""
        return sum(
            min(self.size, self.images.n - start) * task.frames
            for start, tasks in self.lacking.items()
            for task in tasks
            if wanted(task)
        )

    def chunks(self):
        for read in self.images.chunks(self.size, list(self.lacking)):
            yield _Chunk(self, *read)


class _Chunk:
    """Images that were read once, and what is known of them by now."""

    def __init__(self, walk, start, images, labels):
        self.walk, self.start = walk, start
        self.images, self.labels = images, labels
        self.tasks = walk.lacking[start]
        self.indices = np.arange(start, start + len(images))
        self.outputs = {task: [] for task in self.tasks}
        self.seconds = {task: collections.Counter() for task in self.tasks}
        # Calls to workers under way, and what is measured meanwhile.
        self.waiting = 1


class _Engine:
    """What a run has in hand: chunks, and calls whose results will come."""

    def __init__(self, job, records, workers, keeper, progress, gallery):
        self._job, self._records = job, records
        self._workers, self._keeper = workers, keeper
        self._progress, self._gallery = progress, gallery
        self._expected = collections.deque()
        self._kept, self._done = None, 0

    def calls(self, walks):
        """Yields calls for the workers, and meanwhile measures the rest."""
        for chunk in _ahead(c for walk in walks for c in walk.chunks()):
            number, shared, firsts = len(chunk.images), {}, {}
            for task in chunk.tasks:
                # Of images as they are all tasks have the same outputs.
                is_own = task.make or task.attack
                key = (task.outputs_of or task.cell) if is_own else None
                first = firsts.setdefault(key, task)
                if first is not task:
                    chunk.outputs[task] = chunk.outputs[first]
            for task in (task for task in firsts.values() if task.make):
                # About a batch of frames each.
                step = max(1, self._job.batch_size // task.frames)
                for start in range(0, number, step):
                    part, place = slice(start, start + step), (start, step)
                    if place not in shared:
                        pixels = chunk.images[part]
                        shared[place] = self._workers.share(pixels)
                    indices = chunk.indices[part]
                    make = functools.partial(task.make, indices=indices)
                    self._expected.append((chunk, task, part))
                    chunk.waiting += 1
                    yield make, shared[place]
            for task in (task for task in firsts.values() if not task.make):
                self._answer(chunk, task, slice(0, number), chunk.images)
            self._finish(chunk)

    def take(self, made, seconds):
        """Shows the model what a worker has made."""
        chunk, task, part = self._expected.popleft()
        chunk.seconds[task]["generation_seconds"] += seconds
        self._answer(chunk, task, part, made)
        self._finish(chunk)

    def wait(self):
        """Until all rows are kept."""
        if self._kept:
            self._kept.result()

    def _answer(self, chunk, task, part, shown):
        began = time.monotonic()
        labels = chunk.labels[part]
        if task.attack:
            shown = task.attack(shown, labels, chunk.indices[part])
        frames = shown if task.frames == 1 else np.concatenate(shown)
        outputs = (task.predictor or self._job.predictor)(frames)
        if task.frames > 1:
            outputs = outputs.reshape(*shown.shape[:2], -1)
        chunk.outputs[task].append(outputs)
        chunk.seconds[task]["forward_seconds"] += time.monotonic() - began
        if self._gallery and part.start == chunk.start == 0:
            keep, outputs, labels = _counted(task, outputs, labels)
            names = self._job.dataset.class_names
            if task.classes is not None:
                names = [names[k] for k in task.classes]
            self._gallery.see(task.cell, shown[keep], outputs, labels, names)

    def _finish(self, chunk):
        chunk.waiting -= 1
        if chunk.waiting:
            return
        # No more than one chunk waits for the disk.
        self.wait()
        self._kept = self._keeper.submit(_keep, self._records, chunk)
        self._done += sum(t.frames for t in chunk.tasks) * len(chunk.images)
        if self._progress:
            self._progress.advance(self._done)


def _keep(records, chunk):
    measured = []
    for task in chunk.tasks:
        outputs = np.concatenate(chunk.outputs[task])
        _, *answers = _counted(task, outputs, chunk.labels, chunk.start)
        rows = SUITES.get(task.cell.suite)().rows(task.cell, *answers)
        start, _ = chunk.walk.span(task, chunk.start)
        seconds = {k: round(v, 4) for k, v in chunk.seconds[task].items()}
        measured.append((task.cell, start, rows, seconds))
    records.add(measured)


def _counted(task, outputs, labels, start=0):
    """`(which images, outputs, labels)` of those from `start` that count."""
    keep = slice(None)
    if task.right is not None:
        labels = best(outputs, task.right[start:][: len(labels)])
    if task.classes is None:
        return keep, outputs, labels
    if task.places is not None:
        keep = np.isin(labels, task.classes)
        labels = np.searchsorted(task.classes, labels[keep])
    is_logits = task.cell.outputs == LOGITS
    return keep, restrict(outputs[keep], task.classes, is_logits), labels


def _ahead(iterator):
    with concurrent.futures.ThreadPoolExecutor(1, "images") as reader:
        following = reader.submit(next, iterator, None)
        while (element := following.result()) is not None:
            following = reader.submit(next, iterator, None)
            yield element
