"""A comparison as comma-separated values, a line for each row."""

import csv as _csv
import io


def csv(table):
    """The table as CSV: means, and their deviations behind them.

    Args:
        table: `table.Table`.

    Returns:
        str; `method`, `title`, `published` (the source, else empty), `runs`
        (their number), and for every column its mean and `..._sd`, in per cent
        and without rounding. What is not known is empty.
    """
    text = io.StringIO()
    writer = _csv.writer(text, lineterminator="\n")
    head = ["method", "title", "published", "runs"]
    for column in table.columns:
        head += [column.key, f"{column.key}_sd"]
    writer.writerow(head)
    for row in (*table.rows, *table.published):
        number = "" if row.source else len(row.runs)
        line = [row.method, row.title, row.source, number]
        for column in table.columns:
            cell = row.cells.get(column.key)
            line += [cell.mean, cell.deviation] if cell else ["", ""]
        writer.writerow(line)
    return text.getvalue()
