"""Which column a published number may stand in."""

from noisymix_tf.comparison.columns import Column

_ALEXNET = "AlexNet"
# The radius that is assumed for the paper's FGSM.
_FGSM = "fgsm[linf eps=4/255 cross_entropy]"

# Measures that are divided by AlexNet's, and their headings.
_RATIOS = {
    "c_mce": "mCE",
    "p_mfr": "P, mFR",
    "p_mfr_without_noise": "P without noise, mFR",
}


def beside(rows, columns):
    """Puts published rows into the columns of runs.

    A number goes to the column of the same measure: of released files where
    there is one, as it is about these, and of what was divided by AlexNet. What
    runs have divided by something else gets a column of its own.

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
        if name in _RATIOS
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
    if measure == "fgsm":
        keys = (_FGSM,)
    else:
        section, _, rest = measure.partition("_")
        released = "_".join(filter(None, (section, "released", rest)))
        keys = (released, measure, f"{measure}[{_ALEXNET}]")
    fitting = {
        column.key
        for column in columns
        if measure not in _RATIOS or column.divisor == _ALEXNET
    }
    return next((key for key in keys if key in fitting), None)


def _column(measure):
    return Column(
        f"{measure}[{_ALEXNET}]",
        f"{_RATIOS[measure]} ({_ALEXNET})",
        measure[0],
        lambda run: None,
        higher_is_better=False,
        divisor=_ALEXNET,
        is_main=False,
    )
