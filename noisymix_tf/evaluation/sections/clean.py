"""The section of the clean images."""

from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Figure,
    Section,
    image_metrics,
    only,
    origin,
    quality,
    tallies,
)


@SECTIONS.register("clean")
def clean(records, context):
    """Accuracy and calibration of the test images as they are."""
    only("data", records)
    ((cell, tally),) = tallies(records).items()
    return [
        Section(
            name="clean",
            title="Clean images",
            n=cell.n,
            source="original",
            origin=origin(records, "as they are in the dataset"),
            figures=(
                Figure("accuracy", "accuracy", tally.accuracy),
                Figure("error", "error", 1.0 - tally.accuracy),
                *quality([tally]),
            ),
            cells={"clean": image_metrics(tally)},
        )
    ]
