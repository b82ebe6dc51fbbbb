"""The test images as they are."""

from noisymix_tf.evaluation.sections import Section
from noisymix_tf.evaluation.suites import shared
from noisymix_tf.evaluation.suites.core import SUITES, Column, Suite, Task


@SUITES.register("clean")
class Clean(Suite):
    """One cell: the images as the dataset has them."""

    columns = (Column("accuracy"),)

    def tasks(self, job):
        return [Task(job.cell("clean"), job.images)]

    def sections(self, scores, context):
        ((cell, own),) = scores.items()
        words = ", as they are in the dataset"
        section = Section(
            **shared.about(cell, "Clean images", words, label="Clean"),
            figures=shared.whole(own, "accuracy"),
            cells={"clean": shared.json_values(own, by_class=True)},
            headlines={"Clean accuracy": "accuracy"},
        )
        return [section]
