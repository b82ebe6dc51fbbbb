"""Which column a published number may stand in."""

from noisymix_tf.comparison.columns import Column
from noisymix_tf.comparison.normalisation import ALEXNET

# The radius that is assumed for the paper's FGSM.
_FGSM = "fgsm[linf eps=4/255 cross_entropy]"

# Measures of the benchmarks' released files, and their headings.
_OF_FILES = {
    "c": "C, released files",
    "c_without_noise": "C without noise, released files",
    "c_mce": "mCE, released files (AlexNet)",
    "p_mfr": "P, mFR, released files (AlexNet)",
    "p_mfr_without_noise": "P without noise, mFR, released files (AlexNet)",
}
# Those that are divided by AlexNet's.
_RATIOS = ("c_mce", "p_mfr", "p_mfr_without_noise")


def beside(rows, columns):
    """Puts published rows beside the columns of runs.

    A number goes to the column of the same measure of the same images: that of
    released files, where runs were measured on them. Beside generated images,
    or what was divided by another reference, it gets a column of its own.

    Args:
        rows: `published.Published`s.
        columns: `Column`s of the runs.

    Returns:
        `(columns, [(row, {key: value})])`; rows without a number are left out.
    """
    measures = dict.fromkeys(name for row in rows for name in row.values)
    added = [
        _column(name)
        for name in measures
        if name in _OF_FILES
        and any(c.section.startswith(name[0]) for c in columns)
        and _place(name, columns) is None
    ]
    columns = [*columns, *added]
    placed = []
    for row in rows:
        places = {_place(n, columns): v for n, v in row.values.items()}
        places.pop(None, None)
        if places:
            placed.append((row, places))
    return columns, placed


def _place(measure, columns):
    """Key of the column of a published measure, or None."""
    keys = (_FGSM if measure == "fgsm" else measure,)
    if measure in _OF_FILES:
        section, _, rest = measure.partition("_")
        released = "_".join(filter(None, (section, "released", rest)))
        keys = (released, _own(measure))
    fitting = {
        column.key
        for column in columns
        if measure not in _RATIOS or column.divisor == ALEXNET
    }
    return next((key for key in keys if key in fitting), None)


def _own(measure):
    """Key of the column that only published rows have."""
    return f"{measure}[published]"


def _column(measure):
    is_ratio = measure in _RATIOS
    return Column(
        _own(measure),
        _OF_FILES[measure],
        measure[0],
        lambda run: None,
        higher_is_better=not is_ratio,
        divisor=ALEXNET if is_ratio else "",
        is_main=False,
    )
