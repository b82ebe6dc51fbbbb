"""A report as Markdown."""

from noisymix_tf.evaluation.sections.core import show


def markdown(report, picture=None):
    """The report as Markdown.

    Args:
        report: `Report`.
        picture: File name of a heat map, or None.
    """
    outputs = f" Its outputs are {report.outputs}." if report.outputs else ""
    lines = [f"# {report.dataset}", "", f"Model `{report.model}`.{outputs}"]
    for section in report.sections:
        lines += ["", f"## {section.title}", "", f"{section.origin}."]
        if section.figures:
            lines += ["", "| figure | value |", "| :-- | --: |"]
            lines += [f"| {f.label} | {f.text} |" for f in section.figures]
        if section.table:
            lines += ["", *_table(section.table)]
        for note in section.notes:
            lines += ["", f"Note: {note}"]
    if picture:
        lines += ["", f"![Accuracy per corruption and severity]({picture})"]
    return "\n".join(lines) + "\n"


def _table(table):
    lines = [f"{_caption(table)}:", ""]
    lines.append(f"| {table.corner} | {' | '.join(table.columns)} |")
    lines.append(f"| :-- |{' --: |' * len(table.columns)}")
    for names in table.groups.values():
        for name in names:
            values = " | ".join(
                show(v, table.kind(i), unit=False)
                for i, v in enumerate(table.rows[name])
            )
            lines.append(f"| {name} | {values} |")
    return lines


def _caption(table):
    return f"{table.quantity.capitalize()}, shares in %"
