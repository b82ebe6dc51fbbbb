"""Reliability diagrams: accuracy against confidence, and how many images.

Where the two differ in a bin, the difference is drawn as a box; a calibrated
model has none (Guo et al., 2017, "On Calibration of Modern Neural Networks",
section 2).
"""

from noisymix_tf.evaluation.markup import element
from noisymix_tf.evaluation.sections.core import show

# Units of the drawing, which is as wide as a telephone.
_WIDTH, _HEIGHT = 340, 396
_LEFT, _TOP, _SIDE = 46, 8, 286
_COUNTS_TOP, _COUNTS = 308, 44
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def draw(chart):
    """Draws a `Reliability` diagram, with its bins as a table.

    Returns:
        `Markup`, a figure.
    """
    total = sum(count for count, _, _ in chart.bins)
    most = max(count for count, _, _ in chart.bins)
    rows = [_row(k, *bin_, chart) for k, bin_ in enumerate(chart.bins)]
    rows = [row for row in rows if row is not None]
    words = (
        f"{chart.title}: expected calibration error "
        f"{show(chart.error, 'percent')}, {total:,.0f} predictions."
    )
    drawing = element(
        "svg",
        _frame(most),
        [_bin(row, most) for row in rows],
        element(
            "line",
            x1=_x(0.0),
            y1=_y(0.0),
            x2=_x(1.0),
            y2=_y(1.0),
            class_="ideal",
        ),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=words,
    )
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", chart.title),
            element(
                "p",
                element("b", f"ECE {show(chart.error, 'percent')}"),
                f", {total:,.0f} predictions",
                class_="legend",
            ),
            element(
                "p",
                _key("ours", "accuracy"),
                _key("gap", "gap to confidence"),
                class_="legend",
            ),
        ),
        drawing,
        _numbers(rows),
        class_="reliability",
    )


def _row(k, count, confidence, correct, chart):
    """One bin: edges, count, mean confidence, accuracy; None if empty."""
    if not count:
        return None
    num = len(chart.bins)
    return k / num, (k + 1) / num, count, confidence / count, correct / count


def _x(share):
    return _LEFT + _SIDE * share


def _y(share):
    return _TOP + _SIDE * (1.0 - share)


def _bin(row, most):
    low, high, count, confidence, accuracy = row
    x, width = _x(low) + 0.5, _x(high) - _x(low) - 1.0
    top, bottom = max(confidence, accuracy), min(confidence, accuracy)
    tall = _COUNTS * count / most
    return element(
        "g",
        element("title", _sentence(row)),
        element(
            "rect",
            x=x,
            y=_y(accuracy),
            width=width,
            height=_SIDE * accuracy,
            class_="ours",
        ),
        element(
            "rect",
            x=x,
            y=_y(top),
            width=width,
            height=_SIDE * (top - bottom),
            class_="gap over" if confidence > accuracy else "gap under",
        ),
        element(
            "rect",
            x=x,
            y=_COUNTS_TOP + _COUNTS - tall,
            width=width,
            height=tall,
            class_="count",
        ),
    )


def _sentence(row):
    low, high, count, confidence, accuracy = row
    return (
        f"Confidence from {low:.2f} to {high:.2f}: {count:,.0f} predictions, "
        f"accuracy {show(accuracy, 'percent')}, mean confidence "
        f"{show(confidence, 'percent')}."
    )


def _frame(most):
    """Grid, ticks and names of the axes."""
    end = _COUNTS_TOP + _COUNTS
    for share in _TICKS:
        text = f"{share:g}"
        yield _line(_x(share), _TOP, _x(share), _y(0.0))
        yield _line(_LEFT, _y(share), _x(1.0), _y(share))
        yield _text(text, _LEFT - 6, _y(share), "end", dy="0.35em")
        yield _text(text, _x(share), end + 14, "middle")
    yield _line(_LEFT, end, _x(1.0), end)
    yield _text(f"{most:,.0f}", _LEFT - 6, _COUNTS_TOP, "end", dy="0.7em")
    yield _text("0", _LEFT - 6, end, "end")
    yield _text("predictions", _LEFT + 2, _COUNTS_TOP - 3, "start")
    yield _text("confidence", _x(0.5), _HEIGHT - 8, "middle")
    middle = _y(0.5)
    turned = f"rotate(-90 10 {middle:g})"
    yield _text("accuracy", 10, middle, "middle", transform=turned)


def _line(x1, y1, x2, y2):
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="grid")


def _text(text, x, y, anchor, **more):
    return element(
        "text", text, x=x, y=y, text_anchor=anchor, class_="tick", **more
    )


def _key(of, name):
    return element("span", element("i", class_=of), name, class_="key")


def _numbers(rows):
    """The bins as a table that opens on demand."""
    heads = ("confidence", "predictions", "mean", "accuracy", "gap")
    body = [
        element(
            "tr",
            element("th", f"{low:.2f}–{high:.2f}", scope="row"),
            element("td", f"{count:,.0f}"),
            element("td", show(confidence, "percent", unit=False)),
            element("td", show(accuracy, "percent", unit=False)),
            element("td", show(accuracy - confidence, "percent", unit=False)),
        )
        for low, high, count, confidence, accuracy in rows
    ]
    return element(
        "details",
        element("summary", "Bins in numbers, in %"),
        element(
            "table",
            element(
                "thead",
                element("tr", [element("th", h, scope="col") for h in heads]),
            ),
            element("tbody", body),
        ),
    )
