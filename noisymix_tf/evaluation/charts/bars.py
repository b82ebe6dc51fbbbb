"""Horizontal bars, one for each name, or a pair with the reference's."""

from noisymix_tf.evaluation.charts.scale import axis, tick
from noisymix_tf.evaluation.markup import element
from noisymix_tf.evaluation.sections.core import show

# Across, everything is in per cent of the width, so that the drawing fills any
# width while its letters keep their size. Down, in pixels.
_LEFT = 32.0
_RIGHT = 88.0
_RIGHT_WITH_ERRORS = 80.0
_SINGLE = 14
_PAIR = 12
_GAP = 9
_TOP = 20

# Names above this many letters are cut; the whole is in the table.
_LETTERS = 19


def draw(chart):
    """Draws a `Bars` chart, values at the ends of the bars.

    Standard errors are whiskers, one to each side, and numbers.

    Returns:
        `Markup`, a figure with a legend where there is a reference.
    """
    right = _RIGHT_WITH_ERRORS if chart.errors else _RIGHT
    tips = {
        name: min(value + chart.errors.get(name, 0.0), chart.limit)
        for name, value in chart.values.items()
    }
    end, ticks = axis(max(*tips.values(), *chart.reference.values(), 0.0))

    def place(value):
        return _LEFT + (right - _LEFT) * value / end

    thick = _PAIR if chart.reference else _SINGLE
    step = (2 * _PAIR if chart.reference else _SINGLE) + _GAP
    height = _TOP + step * len(chart.values)
    parts = [
        _grid(place(value), tick(value, chart.kind), height) for value in ticks
    ]
    for row, (name, value) in enumerate(chart.values.items()):
        top = _TOP + row * step + _GAP / 2
        parts.append(_name(name, top + (step - _GAP) / 2))
        parts.append(_bar("ours", place(0.0), place(value), top, thick))
        error = chart.errors.get(name)
        if error is not None:
            ends = place(max(0.0, value - error)), place(tips[name])
            parts.append(_whiskers(*ends, top + thick / 2, thick / 4))
        text = _value(value, error, chart.kind)
        parts.append(_number(text, place(tips[name]), top + thick / 2))
        if name in chart.reference:
            theirs = chart.reference[name]
            top += thick
            parts.append(_bar("theirs", place(0.0), place(theirs), top, thick))
            text = _value(theirs, None, chart.kind)
            parts.append(_number(text, place(theirs), top + thick / 2, "soft"))
    drawing = element(
        "svg",
        parts,
        width="100%",
        height=height,
        role="img",
        aria_label=_in_words(chart),
    )
    return element(
        "figure",
        element("figcaption", element("h3", chart.title), _legend(chart)),
        drawing,
        class_="bars",
    )


def _value(value, error, kind):
    text = show(value, kind, unit=False)
    return text if error is None else f"{text} ± {show(error, kind, False)}"


def _percent(number):
    return f"{number:.3f}%"


def _grid(x, text, height):
    x = _percent(x)
    yield element("line", x1=x, x2=x, y1=_TOP - 4, y2=height, class_="grid")
    yield element("text", text, x=x, y=10, text_anchor="middle", class_="tick")


def _name(name, middle):
    words = name.replace("_", " ")
    if len(words) > _LETTERS:
        words = f"{words[: _LETTERS - 1]}…"
    return element("text", words, x=0, y=middle, dy="0.35em", class_="name")


def _bar(of, start, end, top, thick):
    return element(
        "rect",
        x=_percent(start),
        y=top,
        width=_percent(end - start),
        height=thick - 1,
        class_=of,
    )


def _whiskers(low, high, middle, half):
    """A line between the ends of an interval, closed by short strokes."""
    low, high = _percent(low), _percent(high)
    for x1, x2, y1, y2 in (
        (low, high, middle, middle),
        (low, low, middle - half, middle + half),
        (high, high, middle - half, middle + half),
    ):
        yield element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_="error")


def _number(text, tip, middle, more=""):
    return element(
        "text",
        text,
        x=_percent(tip),
        y=middle,
        dx=4,
        dy="0.35em",
        class_=f"number {more}".strip(),
    )


def _legend(chart):
    entries = []
    if chart.reference:
        entries = [("ours", chart.name), ("theirs", chart.reference_name)]
    elif chart.errors:
        entries = [("ours", chart.name)]
    return element(
        "p",
        f"{chart.quantity.capitalize()}"
        f"{f', with {chart.spread}' if chart.errors else ''}. ",
        [
            element("span", element("i", class_=of), name, class_="key")
            for of, name in entries
        ],
        class_="legend",
    )


def _in_words(chart):
    """All values, for those who do not see the bars."""
    rows = []
    for name, value in chart.values.items():
        words = f"{name.replace('_', ' ')} {show(value, chart.kind)}"
        if chart.errors.get(name) is not None:
            words += f" ± {show(chart.errors[name], chart.kind)}"
        if name in chart.reference:
            theirs = show(chart.reference[name], chart.kind)
            words += f" ({chart.reference_name}: {theirs})"
        rows.append(words)
    return f"{chart.title}: {'; '.join(rows)}."
