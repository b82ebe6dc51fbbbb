"""The -C benchmarks: corruptions at five severities."""

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite, made_by


@SUITES.register("c")
class CommonCorruptions(ImageSuite):
    """Corruptions, generated on the fly or read from released files."""

    def __init__(self):
        self._released = None
        self._frost_folder = None
        self._open = None

    def cells(self, job):
        if job.settings.c_dir is None:
            return self._generated_cells(job)
        return self._released_cells(job)

    def _generated_cells(self, job):
        self._frost_folder = job.settings.frost_folder
        table = corruptions.table_for(job.images.shape)
        version = corruptions.version(self._frost_folder)
        return [
            job.cell(
                "c",
                name,
                severity,
                source="generated",
                seed=job.settings.seed,
                generator=f"{version}-{table}",
            )
            for name in job.settings.corruptions
            for severity in job.settings.severities
        ]

    def _released_cells(self, job):
        settings = job.settings
        self._released = _released(job.dataset, settings)
        made = made_by(self._released, settings.c_dir, "c")
        return [
            job.cell(
                "c",
                name,
                severity,
                images=self._images(name, severity, job),
                source="released",
                **made,
            )
            for name in settings.corruptions
            for severity in settings.severities
        ]

    def _images(self, name, severity, job):
        split = self._released.split(name, severity)
        images = job.released(split, str(self._released.preprocess))
        if images.shape != job.images.shape:
            raise UsageError(
                f"{name} at severity {severity} has images "
                f"{list(images.shape)}, the dataset {list(job.images.shape)}: "
                "give the preprocess that makes them fit, such as "
                "resize256-crop224."
            )
        return images

    def images(self, cell, job):
        if cell.source == "generated":
            return job.images
        # One cell at a time is open: a tree has a list of files for each.
        if self._open is None or self._open[0] != cell:
            self._open = (
                cell,
                self._images(cell.corruption, cell.severity, job),
            )
        return self._open[1]

    def prepare(self, cell, images, indices):
        if cell.source == "released":
            return images
        return corruptions.corrupt(
            images,
            cell.corruption,
            cell.severity,
            cell.seed,
            indices=indices,
            frost_folder=self._frost_folder,
        )


def _released(dataset, settings):
    from noisymix_tf.data import released

    return released.corrupted_images(
        settings.c_dir, dataset, preprocess=settings.released_preprocess
    )
