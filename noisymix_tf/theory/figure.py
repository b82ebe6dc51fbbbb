"""The plot: what is exact and what is predicted, on logarithmic axes."""

import io

import numpy as np

_BLUE, _ORANGE = "#0072B2", "#E69F00"
_DPI = 150


def draw(pairs):
    """Draws a panel for the remainders and one for each of the others.

    Args:
        pairs: Dict from name to `Pair`, as `report.markdown` takes it.

    Returns:
        The bytes of a PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in ("divergence", "attack") if name in pairs]
    num = 1 + len(names)
    figure = Figure(figsize=(2.9 * num, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    first, *others = figure.subplots(1, num, squeeze=False)[0]
    _remainders(first, pairs)
    for ax, name in zip(others, names):
        _both(ax, pairs[name], name)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI)
    return png.getvalue()


def _remainders(ax, pairs):
    for name, colour, mark in (
        ("loss with divergence", _ORANGE, "s"),
        ("loss", _BLUE, "o"),
    ):
        pair = pairs[name]
        ax.loglog(
            pair.eps,
            np.abs(pair.remainder),
            color=colour,
            marker=mark,
            markersize=5,
            label=name,
        )
        smallest = np.argmin(pair.eps)
        guide = np.abs(pair.remainder[smallest])
        ax.loglog(
            pair.eps,
            guide * (pair.eps / pair.eps[smallest]) ** 3,
            color="grey",
            linestyle=":",
            label="eps³" if name == "loss" else None,
        )
    _finish(ax, "Loss minus its\nsecond-order expansion")


def _both(ax, pair, name):
    # Values below zero, where eps is too large for the theory, leave gaps.
    ax.loglog(
        pair.eps,
        np.where(pair.exact > 0, pair.exact, np.nan),
        color=_BLUE,
        marker="o",
        markersize=6,
        linestyle="none",
        label="exact",
    )
    ax.loglog(pair.eps, pair.predicted, color=_ORANGE, label="predicted (eps²)")
    titles = {
        "divergence": "Divergence of\ndisplaced views",
        "attack": "Loss minus\nloss under attack",
    }
    _finish(ax, titles[name])


def _finish(ax, title):
    ax.set_title(title, fontsize=11)
    ax.set_xlabel("eps", fontsize=10)
    ax.tick_params(labelsize=9)
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.legend(fontsize=8.5)
