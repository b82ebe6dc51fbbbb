"""The pictures of a comparison: dots, and how far they are from one of them."""

import collections
import dataclasses
import math

from noisymix_tf.evaluation.page import ticks


@dataclasses.dataclass(frozen=True)
class Dot:
    """What a row has in a column, in per cent."""

    words: str
    line: float | None  # Where the row is to which differences are.
    # Of the interval of its difference, at its own place: where it meets the
    # line, the two cannot be told apart.
    ends: tuple
    marks: tuple  # `(kind, value)`: "ours" leads, "mean" does not, or "theirs".


class Dots:
    """Columns of a `table.Table` side by side on one axis, the best row first.

    The axis spans all columns `beside` them, by default themselves.
    """

    def __init__(self, table, columns, beside=None):
        made = {c.key: _dots(table, c) for c in beside or columns}
        every = [dot for dots in made.values() for dot in dots.values()]
        values = [v for dot in every for _, v in dot.marks]
        self.ticks = ticks(values + [v for dot in every for v in dot.ends])
        self.columns = [column.title for column in columns]
        self.words = columns[0].quantity
        by = columns[-1]
        sign = -1.0 if by.of.higher_is_better else 1.0
        means = {
            row.title: row.cells[by.key].mean * sign
            for row in table.rows
            if by.key in row.cells
        }
        names = sorted(
            (r.title for r in table.rows),
            key=lambda title: means.get(title, math.inf),
        )
        self.rows = {n: [made[c.key][n] for c in columns] for n in names}
        shown = [dot for dots in self.rows.values() for dot in dots]
        kinds = {kind for dot in shown for kind, _ in dot.marks}
        keys = {
            "dot ours": "ours" in kinds and "leads",
            "dot mean": "mean" in kinds
            and ("does not lead" if "ours" in kinds else "mean"),
            "dot theirs": "theirs" in kinds and "published",
            "line": any(dot.line is not None for dot in shown) and table.target,
            "error": any(dot.ends for dot in shown)
            and "95 % interval of the difference to it",
        }
        self.keys = {kind: words for kind, words in keys.items() if words}

    def place(self, value) -> float:
        """Where a value is on the axis, in per cent of its length."""
        start, end = self.ticks[0], self.ticks[-1]
        return 100.0 * (value - start) / (end - start)


def plots(table) -> dict:
    """The `Dots` of `table.opening`, and of each heading of `table.parts`."""
    found, alike = {}, collections.defaultdict(list)
    for column in table.columns:
        alike[column.quantity].append(column)
    for heading, columns, _ in table.parts:
        parts = [[c for c in own if c in columns] for own in alike.values()]
        found[heading] = [
            Dots(table, own[k : k + 2], alike[own[0].quantity])
            for own in parts
            for k in range(0, len(own), 2)
        ]
    return found | {"opening": Dots(table, table.opening)}


def _dots(table, column):
    """`{title: Dot}` of all rows."""
    cells = {row.title: cell for row, of, cell in table.cells if of == column}
    still = [cell.mean for cell in cells.values() if cell.difference is None]
    gaps = [cell.difference for cell in cells.values() if cell.difference]
    is_known = gaps and None not in [gap.low for gap in gaps]
    line = still[0] if is_known else None
    limit = math.inf if column.place[3] else 100.0
    dots = {}
    for row in table.rows:
        words = f"{row.title}, {column.title}: {row.text(column)}"
        marks, ends, cell = [], (), cells.get(row.title)
        for other in table.published if cell else ():
            if row.method == other.method and column.key in other.cells:
                marks.append(("theirs", other.cells[column.key].mean))
                words += f", published {other.text(column)}"
        if cell:
            marks.append(("ours" if cell.is_leader else "mean", cell.mean))
        if gap := cell and cell.difference:
            words += f", {row.difference(column)} to {table.target}"
            if line is not None:
                ends = line + gap.low, line + gap.high
                ends = tuple(min(max(0.0, end), limit) for end in ends)
        dots[row.title] = Dot(words, line, ends, tuple(marks))
    return dots
