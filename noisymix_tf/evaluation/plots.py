"""Figures of a report, drawn without a display and without global state."""

import io

import numpy as np

_DPI = 150


def heatmap(sections, title):
    """Draws accuracy per corruption and severity, the number in every cell.

    The colours run from 0 to 100 % in every figure, so that two figures can be
    laid side by side. The map (cividis) reads the same with any colour vision.

    Args:
        sections: `report.Section`s with a table, one below the other.
        title: Heading.

    Returns:
        The bytes of a PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [len(section.table.rows) for section in sections]
    num_columns = max(len(section.table.columns) for section in sections)
    figure = Figure(
        figsize=(
            2.6 + 0.72 * num_columns,
            0.9 + 0.6 * len(heights) + 0.34 * sum(heights),
        ),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
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
    percent = 100.0 * np.array([table.rows[name] for name in names])
    image = ax.imshow(percent, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        ax.text(
            column,
            row,
            f"{value:.1f}",
            ha="center",
            va="center",
            fontsize=8,
            color="black" if value > 48 else "white",
        )
    ax.set_xticks(range(len(table.columns)), table.columns, fontsize=8)
    ax.set_yticks(
        range(len(names)), [n.replace("_", " ") for n in names], fontsize=8
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    # White lines between families, and before the mean.
    ends = np.cumsum([len(group) for group in table.groups.values()])
    for end in ends[:-1]:
        ax.axhline(end - 0.5, color="white", linewidth=2)
    ax.axvline(len(table.columns) - 1.5, color="white", linewidth=3)
    return image
