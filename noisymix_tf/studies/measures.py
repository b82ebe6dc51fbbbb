"""What is measured of a classifier of points, kept, and drawn as a map.

Blue and orange are told apart with any colour vision (Okabe and Ito, "Color
Universal Design"), and classes have different marks as well.
"""

import io
import json
import zipfile
from typing import NamedTuple

import contourpy
import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.studies.points import CLOUD, CURVE

# Half the side of the square in which the boundary is measured and drawn: the
# curve with room around it.
_EXTENT = 2.5
_GRID = 301
BLUE, ORANGE = "#0072B2", "#E69F00"
_DARK_BLUE, _DARK_ORANGE = "#00405F", "#8A4B00"
_COLOURS = LinearSegmentedColormap.from_list(
    "curve", [ORANGE, "#FBEBC8", "#FFFFFF", "#C8E1EF", BLUE]
)
_PANEL_INCHES = 2.67
# At 150 dots an inch a figure of three such panels has 1200 pixels.
_DPI = 150


class Measures(NamedTuple):
    """Figures of one classifier.

    Attributes:
        accuracy: Share of the test points that it gets right.
        gradient_norm: Mean over the test points of the Euclidean norm of the
            gradient of the probability.
        boundary_length: Length of the line where the probability is one half,
            from -2.5 to 2.5 on both axes.
    """

    accuracy: float
    gradient_norm: float
    boundary_length: float


def measure(probability, test) -> tuple[Measures, np.ndarray]:
    """`Measures` of a classifier on test `Points`, and a map.

    `probability` is a differentiable function from a float32 tensor `[N, 2]` to
    the probability of class 1, `[N]`. The map are the probabilities on the grid
    of `axis()`, float32 `[G, G]`, the second coordinate along the rows.
    """
    x = tf.constant(test.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        p = probability(x)
    gradient = tape.gradient(p, x)
    grid = np.stack(np.meshgrid(axis(), axis()), axis=-1)
    field = probability(grid.reshape(-1, 2)).numpy().reshape(grid.shape[:2])
    contours = contourpy.contour_generator(axis(), axis(), field)
    sides = (np.diff(line, axis=0) for line in contours.lines(0.5))
    lengths = (np.linalg.norm(each, axis=1).sum() for each in sides)
    return Measures(
        accuracy=float(np.mean((p.numpy() > 0.5) == (test.y == 1))),
        gradient_norm=float(tf.reduce_mean(tf.norm(gradient, axis=1))),
        boundary_length=float(sum(lengths)),
    ), field


def axis() -> np.ndarray:
    """Coordinates of the map, float32 `[G]`, the same in both directions."""
    return np.linspace(-_EXTENT, _EXTENT, _GRID, dtype=np.float32)


def write(path, found, field) -> None:
    """Keeps what `measure` gave; sixteen bits are enough for a picture."""
    file = io.BytesIO()
    text = json.dumps(found._asdict())
    np.savez_compressed(file, measures=text, map=field.astype(np.float16))
    write_atomically(path, file.getvalue())


def read(path) -> tuple[Measures, np.ndarray]:
    """What `write` has kept; a damaged file is a `UsageError`."""
    try:
        with np.load(path) as file:
            found = Measures(**json.loads(str(file["measures"])))
            return found, file["map"].astype(np.float32)
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} is damaged ({error}): remove it, and give the same "
            f"command again."
        ) from error


def draw(maps, points) -> Figure:
    """What each scheme makes of the same points, those that it learned.

    `maps` is a dict from title to probabilities (see `measure`), a panel each.
    """
    columns = 2 if len(maps) == 4 else min(3, len(maps))
    rows = -(-len(maps) // columns)
    size = _PANEL_INCHES * columns, (_PANEL_INCHES + 0.45) * rows + 0.6
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    for ax, (title, field) in zip(axes, maps.items()):
        shades = _panel(ax, title, field, points)
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
    return figure


def _panel(ax, title, field, points):
    """Draws one map; returns its filled contours."""
    x = axis()
    shades = ax.contourf(
        x, x, field, levels=np.linspace(0, 1, 11), cmap=_COLOURS
    )
    ax.contour(x, x, field, levels=[0.5], colors="black", linewidths=1.2)
    look = {"s": 9, "edgecolors": "white", "linewidths": 0.3}
    cloud, curve = (points.x[points.y == group].T for group in (CLOUD, CURVE))
    ax.scatter(*cloud, marker="o", color=_DARK_ORANGE, **look)
    ax.scatter(*curve, marker="^", color=_DARK_BLUE, **look)
    ends = (-_EXTENT, _EXTENT)
    ax.set(xlim=ends, ylim=ends, xticks=[], yticks=[])
    ax.set_aspect("equal")
    ax.set_title(title, fontsize=12)
    return shades


def to_bytes(figure, suffix="png") -> bytes:
    """A figure's file, the same for the same picture."""
    file, options = io.BytesIO(), {"dpi": _DPI, "metadata": {"Date": None}}
    # The ids of an SVG are random without a salt.
    with matplotlib.rc_context({"svg.hashsalt": "toy"}):
        figure.savefig(file, format=suffix, **options)
    return file.getvalue()
