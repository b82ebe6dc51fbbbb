"""The test images as they are."""

from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite


@SUITES.register("clean")
class Clean(ImageSuite):
    """One cell: the images as the dataset has them."""

    def cells(self, job):
        return [job.cell("clean", source="original")]
