"""A comparison as one page of HTML, its bars inside."""

import math

from noisymix_tf.evaluation.charts import bars
from noisymix_tf.evaluation.markup import element
from noisymix_tf.evaluation.sections.core import Bars
from noisymix_tf.evaluation.writers.page import page

# What this page has beside that of a report.
_STYLE = """
.comparison td { padding: 5px 0 5px 18px; }
.comparison thead th { padding-left: 18px; min-width: 76px; }
.comparison thead th:first-child { padding-left: 0; }
.comparison .best { font-weight: 700; color: var(--right); }
.comparison .published th, .comparison .published td { color: var(--soft); }
.plots {
  display: grid; gap: 32px 48px; align-items: start; margin-top: 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
}
"""


def html(table):
    """The table as a page that needs no other file, no network, no script.

    Args:
        table: `table.Table`.

    Returns:
        The page, a str.
    """
    title = f"Comparison: {table.title}"
    return page(
        title,
        element("header", element("h1", title)),
        [_part(table, *part) for part in table.parts],
        element(
            "section",
            element("h2", "Notes"),
            element(
                "div",
                element("ul", [element("li", note) for note in table.notes]),
                class_="notes",
            ),
            id="notes",
        ),
        style=_STYLE,
    )


def _part(table, heading, columns):
    name = heading or "Accuracy and stability"
    charts = [_bars(table, column) for column in columns]
    return element(
        "section",
        element("header", element("h2", name)),
        _values(table, columns, name),
        element("div", [bars.draw(c) for c in charts if c], class_="plots"),
        id="further" if heading else "table",
    )


def _values(table, columns, name):
    heads = [
        element("th", text, scope="col")
        for text in ("", *(column.title for column in columns))
    ]
    body = element(
        "table",
        element("thead", element("tr", heads)),
        element("tbody", [_row(table, row, columns) for row in table.rows]),
        [_source(table, *group, columns) for group in _sources(table, columns)],
        class_="values comparison",
    )
    return element(
        "div",
        body,
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=name,
    )


def _sources(table, columns):
    """`(source, rows)` of the published rows that have something to show."""
    sources = {}
    for row in table.shown(table.published, columns):
        sources.setdefault(row.source, []).append(row)
    return sources.items()


def _source(table, source, rows, columns):
    heading = element(
        "th",
        f"Published: {source}",
        colspan=len(columns) + 1,
        scope="rowgroup",
    )
    return element(
        "tbody",
        element("tr", heading),
        [_row(table, row, columns) for row in rows],
    )


def _row(table, row, columns):
    return element(
        "tr",
        element("th", row.title, scope="row"),
        [
            element(
                "td",
                row.text(column),
                class_="best" if table.is_best(row, column) else None,
            )
            for column in columns
        ],
        class_="published" if row.source else None,
    )


def _bars(table, column):
    """The bars of a column, those of the published numbers beside them."""
    own = {row.title: row for row in table.rows if column.key in row.cells}
    if not own:
        return None
    cells = {title: row.cells[column.key] for title, row in own.items()}
    source, theirs = _published(table, column)
    return Bars(
        column.title,
        column.quantity,
        {title: cell.mean for title, cell in cells.items()},
        kind="ratio",
        errors={
            title: cell.deviation
            for title, cell in cells.items()
            if cell.deviation is not None
        },
        reference={
            title: theirs[row.method]
            for title, row in own.items()
            if row.method in theirs
        },
        reference_name=source,
        name="these runs",
        spread="standard deviation",
        limit=math.inf if column.divisor else 100.0,
    )


def _published(table, column):
    """The first source of a column: its name, and its values by method."""
    rows = [row for row in table.published if column.key in row.cells]
    if not rows:
        return "", {}
    source = rows[0].source
    values = {}
    for row in rows:
        if row.source == source:
            values.setdefault(row.method, row.cells[column.key].mean)
    return f"published ({source})", values
