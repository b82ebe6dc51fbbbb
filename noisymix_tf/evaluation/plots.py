"""The heat map of a report as PNG, drawn without display or global state."""

import io

import numpy as np

from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.sections.core import show

_DPI = 150


def heatmap(sections, title):
    """Draws accuracy per corruption and severity, the number in every cell.

    The colours run from 0 to 100 % in every figure, so that two figures can be
    laid side by side.

    Args:
        sections: `Section`s whose tables have columns to show (`Table.heat`),
            one below the other.
        title: Heading.

    Returns:
        The bytes of a PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [len(section.table.rows) for section in sections]
    num_columns = max(section.table.heat for section in sections)
    figure = Figure(
        figsize=(
            2.6 + 0.72 * num_columns,
            0.9 + 0.6 * len(heights) + 0.34 * sum(heights),
        ),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    # Names of datasets are no formulas.
    figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(
        len(heights), 1, squeeze=False, height_ratios=heights
    )[:, 0]
    for ax, section in zip(axes, sections):
        image = _draw(ax, section.table)
        ax.set_title(
            f"{section.title}: {section.n:,} {section.source} images per cell",
            fontsize=9,
            loc="left",
        )
    axes[-1].set_xlabel("severity", fontsize=9)
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.02)
    bar.set_label("accuracy in %", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI)
    return png.getvalue()


def _draw(ax, table):
    """Draws one table; returns the image that the colours belong to."""
    names = [name for group in table.groups.values() for name in group]
    shares = np.array(
        [table.rows[name][: table.heat] for name in names], np.float64
    )
    image = ax.imshow(
        100.0 * shares, cmap=heat.COLOURS, vmin=0, vmax=100, aspect="auto"
    )
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            continue
        ax.text(
            column,
            row,
            show(share, "percent", unit=False),
            ha="center",
            va="center",
            fontsize=8,
            color=heat.ink(share),
        )
    ax.set_xticks(range(table.heat), table.columns[: table.heat], fontsize=8)
    ax.set_yticks(
        range(len(names)), [n.replace("_", " ") for n in names], fontsize=8
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    # White lines between families, and before the mean.
    ends = np.cumsum([len(group) for group in table.groups.values()])
    for end in ends[:-1]:
        ax.axhline(end - 0.5, color="white", linewidth=2)
    ax.axvline(table.heat - 1.5, color="white", linewidth=3)
    return image
