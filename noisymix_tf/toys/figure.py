"""The figure: what each scheme makes of the same points.

Blue and orange are told apart with any colour vision (Okabe and Ito, "Color
Universal Design"), and the classes have different marks as well.
"""

import dataclasses
import io

import numpy as np

from noisymix_tf.toys.measures import EXTENT, axis
from noisymix_tf.toys.points import CLOUD, CURVE

_BLUE, _ORANGE = "#0072B2", "#E69F00"
_DARK_BLUE, _DARK_ORANGE = "#00405F", "#8A4B00"
_COLUMNS = 3
_PANEL_INCHES = 2.67
# At 150 dots an inch a figure of three columns has 1200 pixels.
_DPI = 150


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: Name of the scheme.
        row: Its `Row`: accuracies of all seeds.
        field: Probabilities of class 1 on the grid of `measures.axis()`.
    """

    title: str
    row: object
    field: np.ndarray


def draw(panels, points):
    """Draws the figure.

    Args:
        panels: `Panel`s.
        points: `Points`, in every panel; those that the maps were trained on.

    Returns:
        Dict from suffix, `"png"` and `"svg"`, to bytes.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(panels) == 4 else min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(_PANEL_INCHES * columns, (_PANEL_INCHES + 0.45) * rows + 0.6),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, panels):
        shades = _draw(ax, panel, points)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _explain(figure, axes, shades, columns)
    files = {}
    # The ids of an SVG are random without a salt.
    with matplotlib.rc_context({"svg.hashsalt": "toy"}):
        for suffix, more in (("png", {}), ("svg", {"Date": None})):
            file = io.BytesIO()
            figure.savefig(file, format=suffix, dpi=_DPI, metadata=more)
            files[suffix] = file.getvalue()
    return files


def _draw(ax, panel, points):
    """Draws one panel; returns its filled contours."""
    x = axis()
    shades = ax.contourf(
        x, x, panel.field, levels=np.linspace(0, 1, 11), cmap=_colours()
    )
    ax.contour(x, x, panel.field, levels=[0.5], colors="black", linewidths=1.2)
    for group, mark, colour in (
        (CLOUD, "o", _DARK_ORANGE),
        (CURVE, "^", _DARK_BLUE),
    ):
        ax.scatter(
            *points.x[points.y == group].T,
            s=9,
            marker=mark,
            color=colour,
            edgecolors="white",
            linewidths=0.3,
        )
    ax.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=[], yticks=[])
    ax.set_aspect("equal")
    ax.set_title(f"{panel.title}\n{_accuracy(panel.row)}", fontsize=12)
    return shades


def _accuracy(row):
    deviation = row.deviation("accuracy")
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return f"{100 * row.mean('accuracy'):.1f}{spread} %"


def _explain(figure, axes, shades, columns):
    """The bar below: what colours and marks mean."""
    bar = figure.colorbar(
        shades,
        ax=list(axes),
        orientation="horizontal",
        shrink=0.9 if columns == 1 else 0.6,
        aspect=35,
        pad=0.02,
        ticks=[0, 0.5, 1],
    )
    bar.set_label(
        "probability of the curve (▲); cloud (●); black line: one half"
        if columns > 1
        else "probability of the curve (▲)",
        fontsize=11,
    )
    bar.ax.tick_params(labelsize=10)


def _colours():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "curve", [_ORANGE, "#FBEBC8", "#FFFFFF", "#C8E1EF", _BLUE]
    )
