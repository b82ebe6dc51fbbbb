"""How a comparison looks: Markdown, CSV, LaTeX, JSON, one page of HTML."""

import collections
import csv
import dataclasses
import functools
import io
import json
import math
import os
import pathlib
import urllib.parse
from collections.abc import Iterator

from noisymix_tf.evaluation.page import render, ticks
from noisymix_tf.files import write_atomically
from noisymix_tf.marked import aligned

_SCHEMA = 2
_TEMPLATES = "comparison/templates"
# What JSON and CSV have of each.
_OF_ROW = ("title", "method", "source")
_OF_COLUMN = ("key", "title", "quantity")
_OF_CELL = ("mean", "standard_deviation", "standard_error", "is_leader")
_OF_DIFFERENCE = ("difference", "low", "high", "is_paired")
ERRORS = (
    "±: the standard error over images and, where there are several, over "
    "seeds; bold: all that cannot be told from the best of its column"
)
# Of LaTeX. A bracket behind the end of a line would be taken for its argument.
_SPECIAL = {sign: f"\\{sign}" for sign in "&%$#_{}"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "[": "{[}"}
_SPECIAL |= {"^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--"}


def write(folder, table) -> Iterator[pathlib.Path]:
    """Writes a `table.Table` in all its forms; yields the files' paths."""
    forms = {"md": markdown, "csv": _csv, "tex": _latex, "json": _json}
    forms["html"] = functools.partial(_html, folder=folder)
    for suffix, form in forms.items():
        path = folder / f"comparison.{suffix}"
        write_atomically(path, form(table))
        yield path


def notes(table) -> list[str]:
    """What a reader of the table must know, in sentences."""
    paragraphs = render(f"{_TEMPLATES}/notes.txt", table=table).split("\n\n")
    return [" ".join(text.split()) for text in paragraphs if text.strip()]


def _render(suffix, table, **more):
    path = f"{_TEMPLATES}/comparison.{suffix}"
    return render(path, **{"table": table, "notes": notes(table), **more})


def facts(table) -> Iterator[str]:
    """What is said under the table in a page: less than in `notes`."""
    yield table.title
    yield from seeds(table)
    yield ERRORS
    low = [c.title for c in table.columns if not c.of.higher_is_better]
    yield from [f"Lower is better in {'; '.join(low)}"] * bool(low)
    yield from origins(table)


def seeds(table) -> Iterator[str]:
    """Which seeds there are, and of which rows only some."""
    found = {seed: None for row in table.rows for seed in row.seeds}
    yield from [f"Seeds {', '.join(found)}"] * bool(found)
    for row in table.rows:
        if 0 < len(row.seeds) < len(found):
            yield f"{row.title}: only {', '.join(row.seeds)}"


def origins(table) -> Iterator[str]:
    """What was measured on which images, and in what rows differ."""
    for own in table.sections.values():
        yield f"{own[0]['label']}: {own[0]['origin']}"
        for caveat in dict.fromkeys(c for x in own for c in x["caveats"]):
            yield caveat[0].upper() + caveat[1:]
    yield from table.differing


def markdown(table, is_short=False) -> str:
    """The table as Markdown, its columns aligned for a terminal, too.

    In short without differences and notes.
    """

    def plain(text):
        return text.replace("|", "\\|")

    grids = _grids(table, plain, "**{}**", "published: ", not is_short)
    grids = [(heading, aligned(lines)) for heading, lines in grids]
    more = {"notes": ()} if is_short else {}
    return _render("md", table, grids=grids, **more)


def _latex(table):
    # `\usepackage{booktabs}` goes into the preamble.
    grids = _grids(table, _escape, r"\textbf{{{}}}", "Published: ")
    return _render("tex", table, grids=grids, escape=_escape)


def _escape(text):
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _grids(table, plain, bold, published, with_differences=True):
    """`(heading, lines of words)`: each part of the table, its differences."""
    for heading, columns, others in table.parts:
        head = ["", *(plain(column.title) for column in columns)]
        values, differences = [head], [head]
        for row in (*table.rows, *others):
            title = plain((published if row.source else "") + row.title)
            words = [title, *(plain(row.text(column)) for column in columns)]
            for place, column in enumerate(columns, 1):
                if column.key in row.cells and row.cells[column.key].is_leader:
                    words[place] = bold.format(words[place])
            values.append(words)
            if not row.source:
                words = [plain(row.difference(column)) for column in columns]
                differences.append([title, *words])
        yield heading, values
        if with_differences and len(table.rows) > 1:
            name = f"Difference to {table.target}"
            yield f"{heading}: {name}" if heading else name, differences


def _html(table, folder):
    links = {}
    for run in (run for row in table.rows for run in row.runs):
        if (report := run.folder / "report.html").is_file():
            path = pathlib.Path(os.path.relpath(report, folder))
            links[run.path] = urllib.parse.quote(path.as_posix())
    return _render("html", table, links=links, plots=plots(table))


def _json(table):
    rows = []
    for row in (*table.rows, *table.published):
        runs = [str(run.path) for run in row.runs]
        cells = {key: _values(cell) for key, cell in row.cells.items()}
        rows.append({**_known(row, _OF_ROW), "runs": runs, "cells": cells})
    content = {
        "schema": _SCHEMA,
        "title": table.title,
        "differences_to": table.target,
        "columns": [_known(column, _OF_COLUMN) for column in table.columns],
        "rows": rows,
        "notes": notes(table),
    }
    return json.dumps(content, indent=1) + "\n"


def _csv(table):
    lines, text = [], io.StringIO()
    for row in (*table.rows, *table.published):
        lines.append({**_known(row, _OF_ROW), "runs": len(row.runs)})
        for column in table.columns:
            own = _values(row.cells.get(column.key))
            del own["values"]
            lines[-1] |= {f"{column.key} {n}": v for n, v in own.items()}
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _values(cell):
    found = getattr(cell, "difference", None)
    return _known(cell, (*_OF_CELL, "values")) | _known(found, _OF_DIFFERENCE)


def _known(of, names):
    return {name: getattr(of, name, None) for name in names}


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

        def rank(row):
            cell = row.cells.get(by.key)
            return sign * cell.mean if cell else math.inf

        names = [row.title for row in sorted(table.rows, key=rank)]
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
    cells = [cell for _, of, cell in table.cells if of == column]
    still = [cell.mean for cell in cells if cell.difference is None]
    gaps = [cell.difference for cell in cells if cell.difference]
    is_known = gaps and None not in [gap.low for gap in gaps]
    line = still[0] if is_known else None
    limit = math.inf if column.place[3] else 100.0
    dots = {}
    for row in table.rows:
        words = f"{row.title}, {column.title}: {row.text(column)}"
        marks, ends, cell = [], (), row.cells.get(column.key)
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
