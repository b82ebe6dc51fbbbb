"""Text and pages out of templates; a page needs no other file, no network.

Templates are files of the package. Those that end in `.html` are pages; the
macros of `charts.html` draw, lengths in per cent, and `style.css` has the
colours.
"""

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
_LIGHT = 0.48
# Where an axis may end, in units of a power of ten, and into how many parts
# its ticks divide it.
_ENDS = ((1.0, 4), (2.0, 4), (3.0, 3), (4.0, 4), (6.0, 3), (10.0, 4))


def render(template, **values) -> str:
    """Text out of a template, a file of the package by its path.

    `evaluation/templates` has `base.html`, which pages extend (blocks `title`,
    `style`, `head`, `body`), and `charts.html`. Text is escaped, unless the
    template says otherwise.

    >>> render("evaluation/templates/base.html")[:15]
    '<!doctype html>'
    """
    return _environment().get_template(template).render(values)


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
        axis=axis, gradient=gradient, heat=heat, show=show, tick=tick
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


def axis(chart) -> tuple[float, list[float]]:
    """The end of the axis of `sections.Bars`, and its ticks.

    The end is the smallest of 1, 2, 3, 4, 6 times a power of ten that no bar or
    whisker goes beyond; the ticks are round values from 0 to it.
    """
    tips = [v + (chart.errors.get(n) or 0.0) for n, v in chart.values.items()]
    tips = [min(tip, chart.limit) for tip in tips]
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


def tick(value, kind) -> str:
    """A round value in few words: `"25 %"`."""
    number, _, unit = show(value, kind).partition(" ")
    return f"{float(number):g} {unit}".rstrip()
