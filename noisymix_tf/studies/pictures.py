"""The pictures of the studies: boundaries of the toy, and the theory's orders.

Blue and orange are told apart with any colour vision (Okabe and Ito, "Color
Universal Design"), and classes and lines have different marks as well.
"""

import io

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from noisymix_tf.studies.measures import EXTENT, axis
from noisymix_tf.studies.points import CLOUD, CURVE

_BLUE, _ORANGE = "#0072B2", "#E69F00"
_DARK_BLUE, _DARK_ORANGE = "#00405F", "#8A4B00"
_COLOURS = LinearSegmentedColormap.from_list(
    "curve", [_ORANGE, "#FBEBC8", "#FFFFFF", "#C8E1EF", _BLUE]
)
# Of the theory's panels, by name.
TITLES = {
    "divergence": "Divergence of\ndisplaced views",
    "attack": "Loss minus\nloss under attack",
}
_PANEL_INCHES = 2.67
# At 150 dots an inch a figure of three such panels has 1200 pixels.
_DPI = 150


def boundaries(maps, points):
    """Draws what each scheme makes of the same points, those that it learned.

    `maps` is a dict from title to probabilities (see `measure`), a panel each.
    Returns a dict from name of a file, PNG and SVG, to its bytes.
    """
    columns = 2 if len(maps) == 4 else min(3, len(maps))
    rows = -(-len(maps) // columns)
    size = _PANEL_INCHES * columns, (_PANEL_INCHES + 0.45) * rows + 0.6
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    for ax, (title, field) in zip(axes, maps.items()):
        shades = _boundary(ax, title, field, points)
    bar = figure.colorbar(
        shades,
        ax=list(axes),
        orientation="horizontal",
        shrink=0.9 if columns == 1 else 0.6,
        aspect=35,
        pad=0.02,
        ticks=[0, 0.5, 1],
    )
    words = "; cloud (●); black line: one half" if columns > 1 else ""
    bar.set_label(f"probability of the curve (▲){words}", fontsize=11)
    bar.ax.tick_params(labelsize=10)
    return {
        f"toy.{suffix}": _saved(figure, suffix) for suffix in ("png", "svg")
    }


def _boundary(ax, title, field, points):
    """Draws one panel; returns its filled contours."""
    x = axis()
    shades = ax.contourf(
        x, x, field, levels=np.linspace(0, 1, 11), cmap=_COLOURS
    )
    ax.contour(x, x, field, levels=[0.5], colors="black", linewidths=1.2)
    look = {"s": 9, "edgecolors": "white", "linewidths": 0.3}
    cloud, curve = (points.x[points.y == group].T for group in (CLOUD, CURVE))
    ax.scatter(*cloud, marker="o", color=_DARK_ORANGE, **look)
    ax.scatter(*curve, marker="^", color=_DARK_BLUE, **look)
    ax.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=[], yticks=[])
    ax.set_aspect("equal")
    ax.set_title(title, fontsize=12)
    return shades


def orders(pairs):
    """Draws the `Pair`s of the theory on logarithmic axes; bytes of a PNG file.

    The remainders of the losses share a panel; `attack` may not be there.
    """
    figure = Figure((2.9 * (len(pairs) - 1), 3.2), layout="constrained")
    first, *axes = figure.subplots(1, len(pairs) - 1)
    for name, colour, style in (
        ("loss with divergence", _ORANGE, "s-"),
        ("loss", _BLUE, "o-"),
    ):
        eps, rest = pairs[name].eps, np.abs(pairs[name].remainder)
        first.loglog(eps, rest, style, color=colour, markersize=5, label=name)
        smallest = np.argmin(eps)
        cubes = rest[smallest] * (eps / eps[smallest]) ** 3
        (guide,) = first.loglog(eps, cubes, ":", color="grey")
    guide.set_label("eps³")
    _finish(first, "Loss minus its\nsecond-order expansion")
    for ax, name in zip(axes, ("divergence", "attack")):
        eps, exact, near = pairs[name]
        # Values below zero, where eps is too large for the theory, leave gaps.
        exact = np.where(exact > 0, exact, np.nan)
        ax.loglog(eps, exact, "o", color=_BLUE, markersize=6, label="exact")
        ax.loglog(eps, near, color=_ORANGE, label="predicted (eps²)")
        _finish(ax, TITLES[name])
    return _saved(figure)


def _finish(ax, title):
    ax.set_title(title, fontsize=11)
    ax.set_xlabel("eps", fontsize=10)
    ax.tick_params(labelsize=9)
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.legend(fontsize=8.5)


def _saved(figure, suffix="png"):
    """The bytes of a file, the same ones for the same picture."""
    file, options = io.BytesIO(), {"dpi": _DPI, "metadata": {"Date": None}}
    # The ids of an SVG are random without a salt.
    with matplotlib.rc_context({"svg.hashsalt": "toy"}):
        figure.savefig(file, format=suffix, **options)
    return file.getvalue()
