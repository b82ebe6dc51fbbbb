"""A comparison as JSON, with the values of every run."""

import json as _json

SCHEMA = 1


def json(table):
    """The table as JSON.

    Args:
        table: `table.Table`.

    Returns:
        str. Values are in per cent: of every cell the mean, the standard
        deviation of a run, the standard error of the mean, and `values`, one
        for each of the row's `runs` that has the measure.
    """
    content = {
        "schema": SCHEMA,
        "title": table.title,
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "quantity": column.quantity,
                "higher_is_better": column.higher_is_better,
                "divided_by": column.divisor or None,
            }
            for column in table.columns
        ],
        "rows": [_row(row) for row in (*table.rows, *table.published)],
        "notes": list(table.notes),
    }
    return _json.dumps(content, indent=1) + "\n"


def _row(row):
    return {
        "title": row.title,
        "method": row.method,
        "published": row.source or None,
        "runs": list(row.runs),
        "cells": {
            key: {
                "mean": cell.mean,
                "standard_deviation": cell.deviation,
                "standard_error": cell.error,
                "values": list(cell.values),
            }
            for key, cell in row.cells.items()
        },
    }
