"""A comparison as Markdown, its columns aligned for a terminal, too."""


def markdown(table):
    """The table as Markdown.

    Args:
        table: `table.Table`.

    Returns:
        str.
    """
    lines = [f"# {table.title}", ""]
    for heading, columns in table.parts:
        if heading:
            lines += [f"## {heading}", ""]
        lines += [*_part(table, columns), ""]
    lines += [f"- {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _part(table, columns):
    head = ["", *(column.title for column in columns)]
    body = [_line(table, row, columns) for row in table.rows]
    body += [
        _line(table, row, columns)
        for row in table.shown(table.published, columns)
    ]
    widths = [max(map(len, own)) for own in zip(head, *body)]
    rule = [f":{'-' * max(widths[0] - 1, 2)}"]
    rule += [f"{'-' * max(width - 1, 2)}:" for width in widths[1:]]
    return [
        _joined(head, widths),
        f"| {' | '.join(rule)} |",
        *(_joined(words, widths) for words in body),
    ]


def _line(table, row, columns):
    title = f"published: {row.title}" if row.source else row.title
    # A bar would end the cell.
    title = title.replace("|", "\\|")
    return [title, *(_cell(table, row, column) for column in columns)]


def _cell(table, row, column):
    text = row.text(column)
    return f"**{text}**" if table.is_best(row, column) else text


def _joined(words, widths):
    first, *rest = words
    padded = [first.ljust(max(widths[0], 3))]
    padded += [w.rjust(max(width, 3)) for w, width in zip(rest, widths[1:])]
    return f"| {' | '.join(padded)} |"
