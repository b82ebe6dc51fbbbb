"""What charts are drawn from: axes, and the places of their marks.

The macros of `templates/charts.html` write them down, lengths in per cent; the
style sheet has the colours.
"""

import math

from noisymix_tf.evaluation.sections import show

# Where an axis may end, in units of a power of ten, and into how many parts
# its ticks divide it.
_ENDS = ((1.0, 4), (2.0, 4), (3.0, 3), (4.0, 4), (6.0, 3), (10.0, 4))


def axis(chart):
    """The end of the axis of `sections.Bars`, and its ticks.

    The end is the smallest of 1, 2, 3, 4, 6 times a power of ten that no bar or
    whisker goes beyond; the ticks are round values from 0 to it.
    """
    tips = [_tip(chart, name) for name in chart.values]
    highest = max([0.0, *tips, *chart.reference.values()]) or 1.0
    unit = 10.0 ** math.floor(math.log10(highest))
    end, parts = next(
        (factor * unit, parts)
        for factor, parts in _ENDS
        # The tolerance is for what rounding adds to a round number.
        if highest <= factor * unit * (1.0 + 1e-9)
    )
    # Rounded, as 3 * 0.1 is not 0.3.
    return end, [round(end * i / parts, 12) for i in range(parts + 1)]


def rows(chart, end, step=None):
    """Rows of bars: `(title, [(class, length, low, high, words), ...])`.

    Our own bar, then the reference's where there is one; the ends of a whisker
    lie one standard error to each side. All in per cent of an axis that ends at
    `end`; `step` is as of `sections.show`.
    """
    scale = 100.0 / end
    for name, value in chart.values.items():
        error, high = chart.errors.get(name), _tip(chart, name)
        low = max(0.0, value - (error or 0.0))
        words = show(value, chart.kind, error=error, step=step)
        marks = [("ours", scale * value, scale * low, scale * high, words)]
        if (theirs := chart.reference.get(name)) is not None:
            words = show(theirs, chart.kind, step=step)
            marks.append(("theirs", *3 * [scale * theirs], words))
        yield words_of(name), marks


def boxes(chart):
    """Boxes of `sections.Reliability`: accuracies, gaps and numbers by bin.

    They are `(class, left, width, bottom, height, words)`, in per cent.
    """
    most = max(count for count, _, _ in chart.bins)
    for low, high, count, sure, share in filled(chart):
        words = (
            f"Confidence from {low:.2f} to {high:.2f}: {count:,.0f} "
            f"predictions, accuracy {show(share, 'percent')}, mean confidence "
            f"{show(sure, 'percent')}."
        )
        gap = "gap over" if sure > share else "gap under"
        for of, *place in (
            ("ours", 0.0, 100.0 * share),
            (gap, 100.0 * min(sure, share), 100.0 * abs(sure - share)),
            # Below the diagram.
            ("count", -20.0, 15.0 * count / most),
        ):
            yield of, 100.0 * low, 100.0 * (high - low), *place, words


def filled(chart):
    """`(low, high, count, mean confidence, accuracy)` of bins with images."""
    number = len(chart.bins)
    return [
        (k / number, (k + 1) / number, count, confidence / count, right / count)
        for k, (count, confidence, right) in enumerate(chart.bins)
        if count
    ]


def tick(value, kind):
    """A round value in few words: `"25 %"`."""
    number, _, unit = show(value, kind).partition(" ")
    return f"{float(number):g} {unit}".rstrip()


def words_of(name):
    """`"gaussian noise"` of `"gaussian_noise"`."""
    return str(name).replace("_", " ")


def short(value):
    """Floats to a thousandth: less than that is not seen on a screen."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else value


def _tip(chart, name):
    """Where a bar ends, or its whisker."""
    end = chart.values[name] + (chart.errors.get(name) or 0.0)
    return min(end, chart.limit)
