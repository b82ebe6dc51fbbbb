"""The sections of shifted images, beside the clean ones of their classes."""

from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Figure,
    Section,
    image_metrics,
    origin,
    quality,
    tallies,
)

_TITLES = {"r": "ImageNet-R", "shift": "Shifted images"}
_ORIGINS = {"r": "from released files", "shift": "from a folder of one's own"}


@SECTIONS.register("r")
def renditions(records, context):
    """ImageNet-R."""
    return _sections(records)


@SECTIONS.register("shift")
def shifted(records, context):
    """A folder of the user's."""
    return _sections(records)


def _sections(records):
    parts = {}
    for cell, tally in tallies(records).items():
        parts[cell.setting.split()[0]] = cell, tally
    cell, tally = parts["shifted"]
    clean_cell, clean = parts["clean"]
    number = cell.setting.split()[1]
    own = {cell: records[cell]}
    return [
        Section(
            name=cell.suite,
            title=_TITLES[cell.suite],
            n=cell.n,
            source=cell.source,
            origin=origin(own, _ORIGINS[cell.suite]),
            figures=(
                Figure(
                    "accuracy",
                    f"accuracy among {number} classes",
                    tally.accuracy,
                ),
                Figure("error", "error", 1.0 - tally.accuracy),
                Figure(
                    "clean_accuracy",
                    f"clean accuracy among the same ({clean_cell.n:,} images)",
                    clean.accuracy,
                ),
                Figure("gap", "gap", clean.accuracy - tally.accuracy),
                *quality([tally]),
            ),
            cells={
                "shifted": image_metrics(tally),
                "clean": image_metrics(clean),
            },
            notes=(
                f"outputs of other classes than these {number} are left out "
                "before the largest is taken.",
            ),
        )
    ]
