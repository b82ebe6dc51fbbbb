"""What methods reach for their cost: a table of each budget, and a picture."""

import collections
import io
import itertools
import pathlib
from collections.abc import Iterator

from noisymix_tf.comparison import differences, table, writers
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.marked import aligned

_PASSES = "Passes of each image"
_MARKERS = "osD^v<>Pp*Xhd"


def build(
    runs, reference=None, anyway=False, baseline=None
) -> dict[int, table.Table]:
    """`{passes: table}`, the smallest budget first; see `table.build`.

    Raises:
        UsageError: There is one budget only, an evaluation without a training,
            or runs that differ in more than their method and budget.
    """
    groups = collections.defaultdict(list)
    for run in runs:
        if not run.flags:
            raise UsageError(
                f"{run.path} is an evaluation, whose budget nothing tells: "
                f"give --curve runs of trainings alone."
            )
        groups[differences.passes_of(run.flags)].append(run)
    if len(groups) < 2:
        raise UsageError(
            f"--curve needs several budgets, these runs have one, "
            f"{min(groups)} passes of each image: leave it out, or train "
            f"longer ones, too."
        )
    flags = {str(run.path): run.flags for run in runs}
    lines = differences.budgets(flags, by="") + differences.measurements(runs)
    if not anyway:
        differences.check(lines)
    # A recipe has one title at all budgets.
    how = reference, anyway, baseline, True, table.rows_of(runs)
    tables = {own: table.build(groups[own], *how) for own in sorted(groups)}
    tables[max(tables)].differing.extend(f"Differs: {line}" for line in lines)
    if not _columns(tables):
        raise UsageError(
            "The budgets have no figure in common: evaluate all of them with "
            "--suites=clean,c."
        )
    return tables


def markdown(tables, is_short=False) -> str:
    """A table of each figure, methods by budgets; in short without notes."""
    parts = [f"# {_title(tables)}\n"]
    for column in _columns(tables):
        lines = [[_PASSES, *tables]]
        for name in _names(tables):
            lines.append(
                [name, *(_text(own, name, column) for own in tables.values())]
            )
        words = "".join(f"| {' | '.join(line)} |\n" for line in aligned(lines))
        parts.append(f"## {column.title}: {column.quantity}\n\n{words}")
    if not is_short:
        _, *notes = facts(tables)
        parts.append("".join(f"- {note}.\n" for note in notes))
    return "\n".join(parts)


def facts(tables) -> Iterator[str]:
    """What is said under it in a page."""
    yield _title(tables)
    for passes, own in tables.items():
        words = "; ".join(writers.seeds(own))
        yield f"{passes} passes: {words[0].lower()}{words[1:]}"
    yield writers.ERRORS
    every = [writers.origins(own) for own in tables.values()]
    yield from dict.fromkeys(itertools.chain(*reversed(every)))


def write(folder, tables) -> Iterator[pathlib.Path]:
    """Writes the tables of all budgets, theirs together, and the picture."""
    for passes, own in tables.items():
        below = folder / f"passes{passes}"
        below.mkdir(exist_ok=True)
        yield from writers.write(below, own)
    for name, form in (("curve.md", markdown), ("curve.png", _picture)):
        write_atomically(folder / name, form(tables))
        yield folder / name


def _title(tables):
    """That of a budget, with all of them in its place."""
    *most, last = map(str, tables)
    words = f"{', '.join(most)} and {last} passes"
    return tables[min(tables)].title.replace(f"{min(tables)} passes", words)


def _columns(tables):
    """Those that all budgets have, but for what their own baselines divide."""
    first, *others = (
        {c.key: c for c in own.columns if c.place[3] != "the baseline"}
        for own in tables.values()
    )
    return [c for k, c in first.items() if all(k in other for other in others)]


def _names(tables):
    """The titles of all rows, those of the largest budget first."""
    rows = itertools.chain(*(own.rows for own in reversed(tables.values())))
    return dict.fromkeys(row.title for row in rows)


def _cell(own, name, column):
    rows = {row.title: row for row in own.rows}
    return rows[name].cells.get(column.key) if name in rows else None


def _text(own, name, column):
    """A cell's words, bold where it leads its budget."""
    if (cell := _cell(own, name, column)) is None:
        return "–"
    words = cell.text(column.of.digits)
    return f"**{words}**" if cell.is_leader else words


def _picture(tables):
    """A PNG: each figure against passes, with 95 % intervals of the means."""
    from matplotlib.figure import Figure

    columns, names = _columns(tables), _names(tables)
    wide = min(4, len(columns))
    tall = -(-len(columns) // wide)
    size = (3.2 * wide, 2.8 * tall + 0.25 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(tall, wide, squeeze=False).ravel()
    for ax, column in zip(axes, columns):
        for place, name in enumerate(names):
            cells = {p: _cell(own, name, column) for p, own in tables.items()}
            cells = {p: cell for p, cell in cells.items() if cell is not None}
            ax.errorbar(
                # Beside each other, so that no interval hides another.
                [p * 1.012**place for p in cells],
                [cell.mean for cell in cells.values()],
                [cell.half or 0.0 for cell in cells.values()],
                fmt=f"{_MARKERS[place % len(_MARKERS)]}-",
                color=f"C{place % 10}",
                markersize=4,
                linewidth=1.2,
                elinewidth=0.8,
                label=name,
            )
        ax.set(xscale="log", title=column.title, xlabel=_PASSES.lower())
        # The titles name the measures in short.
        *_, unit, better = column.quantity.split(", ")
        ax.set_ylabel(f"{unit.replace('per cent', '%')}, {better}")
        ax.set_xticks([*tables], map(str, tables))
        ax.minorticks_off()
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(columns) :]:
        ax.remove()
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=wide)
    file = io.BytesIO()
    figure.savefig(file, dpi=110)
    return file.getvalue()
