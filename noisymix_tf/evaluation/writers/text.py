"""A report for a terminal."""

from noisymix_tf.evaluation.sections.core import show
from noisymix_tf.evaluation.writers.headlines import headlines

# Lines of a summary.
_FEW = 8


def text(report):
    """The report as plain lines."""
    lines = [f"{report.dataset}, model {report.model}{_outputs(report)}"]
    for section in report.sections:
        lines += ["", section.title, f"  {section.origin}"]
        width = max((len(f.label) for f in section.figures), default=0)
        lines += [
            f"  {figure.label:<{width}}  {figure.text:>9}"
            for figure in section.figures
        ]
        if section.table:
            lines += ["", *_table(section.table)]
        lines += [f"  Note: {note}" for note in section.notes]
    return "\n".join(lines) + "\n"


def summary(report):
    """The figures that matter most, a line each."""
    found = headlines(report)[:_FEW]
    width = max((len(figure.title) for figure in found), default=0)
    return "\n".join(
        [
            f"{report.dataset}, model {report.model}{_outputs(report)}",
            *(
                f"  {figure.title:<{width}}  {figure.text:>9}  {figure.detail}"
                for figure in found
            ),
        ]
    )


def _outputs(report):
    return f", gives {report.outputs}" if report.outputs else ""


def _table(table):
    width = max(len(name) for name in (table.corner, *table.rows))
    widths = [max(8, len(column) + 2) for column in table.columns]
    heads = "".join(f"{c:>{w}}" for c, w in zip(table.columns, widths))
    lines = [f"  {table.corner:<{width}}{heads}"]
    for names in table.groups.values():
        for name in names:
            values = "".join(
                f"{show(v, table.kind(i), unit=False):>{w}}"
                for i, (v, w) in enumerate(zip(table.rows[name], widths))
            )
            lines.append(f"  {name:<{width}}{values}")
    return lines
