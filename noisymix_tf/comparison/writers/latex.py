"""A comparison as LaTeX tables, in the style of the package booktabs."""

import re

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(table):
    r"""The table as LaTeX; `\usepackage{booktabs}` goes into the preamble.

    Args:
        table: `table.Table`.

    Returns:
        str, a `table` environment for each part.
    """
    parts = [_part(table, heading, cols) for heading, cols in table.parts]
    notes = "".join(f"% {note}\n" for note in table.notes)
    return notes + "\n".join(parts)


def escape(text):
    """Text with the signs that LaTeX takes for its own escaped."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _part(table, heading, columns):
    published = table.shown(table.published, columns)
    lines = [_line(table, row, columns) for row in table.rows]
    if published:
        width = len(columns) + 1
        lines += [
            r"\midrule",
            rf"\multicolumn{{{width}}}{{l}}{{Published}} \\",
            *(_line(table, row, columns) for row in published),
        ]
    caption = f"{heading}: {table.title}" if heading else table.title
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption)}. {escape(table.notes[0])}}}",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\toprule",
            _row(["", *(escape(column.title) for column in columns)]),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _line(table, row, columns):
    words = [escape(row.title)]
    for column in columns:
        text = escape(row.text(column))
        is_best = table.is_best(row, column)
        words.append(rf"\textbf{{{text}}}" if is_best else text)
    return _row(words)


def _row(words):
    # A bracket behind a line's end would be taken for its argument.
    first = re.sub(r"^\[", "{[}", words[0])
    return f"{' & '.join([first, *words[1:]])} \\\\"
