"""Text and pages out of templates; a page needs no other file, no network.

Templates are files of the package. Those that end in `.html` are pages; the
macros of `charts.html` draw, lengths in per cent, and `style.css` has the
colours.
"""

import datetime
import functools
import math
import pathlib

import jinja2

from noisymix_tf.evaluation import metrics
from noisymix_tf.evaluation.sections import show

_PACKAGE = pathlib.Path(__file__).parents[1]

# The map from dark blue to yellow reads the same with any colour vision
# (Nuñez, Anderton and Renslow, 2018, "Optimizing colormaps with consideration
# for color vision deficiency").
_COLOURS = "cividis"
# Above this share a field is so light that black on it is easier to read.
_LIGHT = 0.465


def render(template, **values) -> str:
    """Text out of a template, a file of the package by its path.

    `evaluation/templates` has `base.html`, which pages extend (blocks `title`,
    `style`, `head`, `body`), and `charts.html`. Text is escaped, unless the
    template says otherwise. `today` is the date.

    >>> render("evaluation/templates/base.html")[:15]
    '<!doctype html>'
    """
    today = datetime.date.today().isoformat()
    return _environment().get_template(template).render(today=today, **values)


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_short,
    )
    environment.globals.update(
        axis=axis, gradient=gradient, heat=heat, show=show
    )
    environment.filters.update(aligned=aligned)
    return environment


def _short(value):
    """Floats to a thousandth: less than that is not seen on a screen."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else value


def aligned(rows) -> list[str]:
    """Lines of a name and words to its right, one below the other."""
    widths, lines = [max(map(len, column)) for column in zip(*rows)], []
    for name, *words in rows:
        shown = "".join(f"{w:>{n + 2}}" for w, n in zip(words, widths[1:]))
        lines.append(f"  {name:<{widths[0]}}{shown}")
    return lines


def heat(share) -> str:
    """CSS of a field that shows a share in [0, 1]: its colour and its ink."""
    share = metrics.value(share)
    ink = "black" if share > _LIGHT else "white"
    return f"background:{_colour(share)};color:{ink}"


def gradient() -> str:
    """CSS of the bar that explains the colours, from 0 to 1."""
    stops = ",".join(_colour(step / 10) for step in range(11))
    return f"background:linear-gradient(90deg,{stops})"


def _colour(share):
    from matplotlib import colormaps, colors

    return colors.to_hex(colormaps[_COLOURS](share))


def axis(charts) -> list[float]:
    """Ticks from 0 that no bar or whisker of some `sections.Bars` is beyond."""
    ends = [0.0]
    for chart in charts:
        ends += chart.reference.values()
        for name, value in chart.values.items():
            ends += [min(value + chart.errors.get(name, 0.0), chart.limit)]
    return ticks(ends)


def ticks(values) -> list[float]:
    """Round values, at most 6 apart alike, from below some to above them.

    >>> ticks([61.5, 93.0])
    [60.0, 70.0, 80.0, 90.0, 100.0]
    >>> ticks([50.0, 50.0 + 1e-14])
    [50.0, 60.0]
    """
    low, high = min(values), max(values)
    width = high - low
    if width <= 1e-9 * abs(high):  # What rounding makes of no difference.
        width = abs(high) or 1.0
    unit = 10.0 ** math.floor(math.log10(width / 5.0))
    # The tolerance is for what rounding adds to a round number.
    step = next(k * unit for k in (1, 2, 5, 10) if width <= 5.000001 * k * unit)
    first = math.floor(low / step + 1e-6)
    last = max(first + 1, math.ceil(high / step - 1e-6))
    # Rounded, as 3 * 0.1 is not 0.3.
    return [round(step * k, 12) for k in range(first, last + 1)]
