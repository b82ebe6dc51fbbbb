"""The -P benchmarks: how steady answers are along a sequence of frames."""

from noisymix_tf import corruptions
from noisymix_tf.corruptions import PERTURBATIONS
from noisymix_tf.data.subset import balanced_indices
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.flips import FlipTally
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite, made_by


@SUITES.register("p")
class Perturbations(ImageSuite):
    """Sequences, generated on the fly or read from released files."""

    def __init__(self):
        self._released = self._images = None

    def cells(self, job):
        table = corruptions.table_for(job.images.shape)
        names = _names(job.settings, job.images.shape)
        if job.settings.p_dir is not None:
            return self._released_cells(names, job)
        self._images = job.part(job.settings.p_examples)
        version = corruptions.version()
        return [
            job.cell(
                "p",
                name,
                job.settings.difficulty,
                n=self._images.n,
                source="generated",
                seed=job.settings.seed,
                generator=f"{version}-{table}",
            )
            for name in names
        ]

    def _released_cells(self, names, job):
        settings = job.settings
        self._released = _released(job.dataset, settings)
        made = made_by(self._released, settings.p_dir, "p")
        cells = []
        for name in names:
            sequences = self._sequences(name, settings.difficulty, job)
            if sequences.shape != job.images.shape:
                raise UsageError(
                    f"The frames of {name} are {list(sequences.shape)}, the "
                    f"images of the dataset {list(job.images.shape)}: give the "
                    "preprocess that makes them fit."
                )
            cells.append(
                job.cell(
                    "p",
                    name,
                    settings.difficulty,
                    source="released",
                    n=sequences.n,
                    data=sequences.fingerprint,
                    preprocess=str(self._released.preprocess),
                    **made,
                )
            )
        return cells

    def _sequences(self, name, difficulty, job):
        sequences = self._released.sequences(name, difficulty)
        wanted = (job.settings.examples, job.settings.p_examples)
        return _Sequences(
            sequences, min((n for n in wanted if n is not None), default=None)
        )

    def images(self, cell, job):
        if cell.source == "generated":
            return self._images
        return self._sequences(cell.corruption, cell.severity, job)

    def batch_size(self, cell, job):
        if cell.source == "generated":
            table = corruptions.table_for(job.images.shape)
            frames = PERTURBATIONS.get(cell.corruption).frames[table]
        else:
            frames = self._released.sequences(
                cell.corruption, cell.severity
            ).num_frames
        return max(1, job.batch_size // frames)

    def prepare(self, cell, images, indices):
        if cell.source == "released":
            return images
        return corruptions.perturb(
            images,
            cell.corruption,
            cell.seed,
            indices=indices,
            difficulty=cell.severity,
        )

    def answer(self, cell, job, images, labels, indices):
        frames = images.reshape(-1, *images.shape[2:])
        outputs = job.predictor(frames)
        return outputs.reshape(*images.shape[:2], -1), images

    def tally(self, cell, job):
        noise = PERTURBATIONS.get(cell.corruption).family == "noise"
        return _SequenceTally(noise=noise, difficulty=cell.severity)


class _SequenceTally(FlipTally):
    """A `FlipTally` that takes, and does not need, labels."""

    def update(self, outputs, labels=None):
        super().update(outputs)


class _Sequences:
    """Released sequences in the form of `Images`.

    Of those that have labels a part is balanced; of others it is the first.
    """

    def __init__(self, sequences, examples=None):
        self.available = len(sequences)
        if examples is not None and examples < self.available:
            sequences = sequences.subset(_part(sequences.labels, examples))
        self._sequences = sequences
        self.n = len(sequences)
        self.shape = next(iter(sequences.batches(1))).shape[2:]

    @property
    def fingerprint(self):
        return str(self._sequences.identity)

    def batches(self, batch_size, keep=False):
        for frames in self._sequences.batches(batch_size):
            yield frames, [None] * len(frames)


def _names(settings, image_shape):
    """Perturbations asked for; by default those of the images' benchmark."""
    if settings.perturbations is not None:
        return settings.perturbations
    return corruptions.perturbation_names(corruptions.table_for(image_shape))


def _released(dataset, settings):
    from noisymix_tf.data import released

    return released.perturbed_sequences(
        settings.p_dir, dataset, preprocess=settings.released_preprocess
    )


def _part(labels, examples):
    if labels is None:
        return range(examples)
    return balanced_indices(labels, examples, int(labels.max()) + 1)
