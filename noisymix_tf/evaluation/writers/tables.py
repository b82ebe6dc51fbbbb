"""Figures and tables of a report as HTML."""

from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.markup import element
from noisymix_tf.evaluation.sections.core import show


def figures(section):
    """The figures of a section as a table; None if there are none."""
    if not section.figures:
        return None
    rows = [
        element(
            "tr",
            element("th", figure.label, scope="row"),
            element("td", figure.text),
        )
        for figure in section.figures
    ]
    return element(
        "table",
        element("caption", "Figures"),
        element("tbody", rows),
        class_="figures",
    )


def values(section):
    """The table of a section, its first columns a heat map; None if none.

    The colours run from 0 to 100 % in every report, so that two of them can be
    laid side by side.
    """
    table = section.table
    if table is None:
        return None
    caption = f"{table.quantity.capitalize()} by {table.corner}"
    heads = [
        element("th", name, scope="col")
        for name in (table.corner, *table.columns)
    ]
    body = element(
        "table",
        element(
            "caption",
            element("span", f"{caption}{_units(table)}"),
            _legend() if table.heat else None,
        ),
        element("thead", element("tr", heads)),
        [_group(table, heading, names) for heading, names in _groups(table)],
        class_="values heat" if table.heat else "values",
    )
    return element(
        "div",
        body,
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _groups(table):
    return [(h, names) for h, names in table.groups.items() if names]


def _units(table):
    kinds = {table.kind(k) for k in range(len(table.columns))}
    return ", shares in %" if "percent" in kinds else ""


def _group(table, heading, names):
    """Rows that belong together, with a heading if there are several groups."""
    head = None
    if heading and len(table.groups) > 1 and [heading] != list(names):
        head = element(
            "tr",
            element(
                "th",
                heading,
                colspan=len(table.columns) + 1,
                scope="rowgroup",
            ),
        )
    return element("tbody", head, [_row(table, name) for name in names])


def _row(table, name):
    return element(
        "tr",
        element("th", name.replace("_", " "), scope="row"),
        [
            _cell(value, table.kind(place), place < table.heat)
            for place, value in enumerate(table.rows[name])
        ],
    )


def _cell(value, kind, coloured):
    style = heat.style(value) if coloured and value is not None else None
    return element("td", show(value, kind, unit=False), style=style)


def _legend():
    """What the colours mean."""
    return element(
        "span",
        "0 ",
        element("i", style=heat.gradient()),
        " 100 %",
        class_="gradient",
    )
