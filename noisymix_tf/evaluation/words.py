"""A report in words: for a terminal, as Markdown, and in one sentence."""

from noisymix_tf.corruptions import FAMILIES
from noisymix_tf.evaluation.sections import Figure, show

# What ± means, once for all figures.
ERRORS = (
    "± is the standard error over images, of this model and reference as they "
    "are."
)

# Lines of a summary.
_FEW = 8


def verdict(report):
    """What a report says, in one sentence; `""` where it says too little.

    A family is the worst only if it lies below the others by more than two
    standard errors of the difference.
    """
    found = {section.name: section for section in report.sections}
    clean = "clean" in found and found["clean"].figure("accuracy")
    means = [s for s in report.sections if s.figure("mean_accuracy")]
    if not clean or not means:
        return ""
    lost = _less(clean, means[0].figure("mean_accuracy"))
    points = show(abs(lost.value), "percent", unit=False, error=lost.error)
    families = {
        family: figure
        for family in FAMILIES
        if (figure := means[0].figure(f"mean_accuracy_{family}"))
    }
    low = min(families.values(), key=lambda f: f.value, default=None)
    gaps = {family: _less(own, low) for family, own in families.items()}
    worst = [f for f, gap in gaps.items() if gap.value <= 2 * (gap.error or 0)]
    more = ""
    if len(worst) < len(families):
        verb = "is" if len(worst) == 1 else "are"
        more = f"; {' and '.join(worst)} {verb} worst"
    verb = "Loses" if lost.value >= 0.0 else "Gains"
    return f"{verb} {points} points under corruption{more}."


def text(report):
    """The report as plain lines."""
    lines = [_head(report), f"  {ERRORS}"]
    for section in report.sections:
        lines += ["", section.title, f"  {section.origin}"]
        lines += _columns(_figures(section))
        if section.table:
            lines += ["", *_columns(_grid(section))]
        lines += [f"  Note: {note}" for note in section.notes]
    return "\n".join(lines) + "\n"


def summary(report):
    """The figures that matter most, a line each."""
    rows = [
        (f"{title}, {number(section)}", value(section, figure))
        for section, title, figure in report.headlines[:_FEW]
    ]
    lines = [_head(report), f"  {verdict(report)}".rstrip(), *_columns(rows)]
    return "\n".join(line for line in lines if line)


def markdown(report):
    """The report as Markdown."""
    outputs = f" Its outputs are {report.outputs}." if report.outputs else ""
    lines = [f"# {report.dataset}", "", f"Model `{report.model}`.{outputs}"]
    lines += ["", *(f"- {name}: {w}" for name, w in report.about.items())]
    lines += ["", f"{verdict(report)} {ERRORS}".strip()]
    for section in report.sections:
        lines += ["", f"## {section.title}", "", f"{section.origin}.", ""]
        lines += _piped([("figure", "value"), *_figures(section)])
        if section.table:
            quantity = section.table.quantity.capitalize()
            lines += ["", f"{quantity}, shares in %:", ""]
            lines += _piped(_grid(section))
        for note in section.notes:
            lines += ["", f"Note: {note}"]
    return "\n".join(lines) + "\n"


def value(section, figure):
    """A figure of a section in words, its digits as far as they are known."""
    step = 1 / section.n if section.n else None
    return show(figure.value, figure.kind, error=figure.error, step=step)


def number(section):
    """How many images a section is about: `"200 images per cell"`."""
    return section.origin.partition(", ")[0]


def _less(figure, other):
    """The difference of two figures, with its error."""
    return Figure("", "", figure.metric - other.metric)


def _head(report):
    outputs = f", gives {report.outputs}" if report.outputs else ""
    name = report.about.get("model")
    model = f"{name} ({report.model})" if name else report.model
    return f"{report.dataset}, model {model}{outputs}"


def _figures(section):
    return [(f.label, value(section, f)) for f in section.figures]


def _grid(section):
    """The rows of a section's table, the first its headings."""
    table, step = section.table, 1 / section.n
    rows = [(table.corner, *table.columns)]
    for name, row in table.rows.items():
        values = zip(row, table.kinds)
        shown = (show(v, kind, False, step=step) for v, kind in values)
        rows.append((name, *shown))
    return rows


def _columns(rows):
    """Lines of a name and words to its right, one below the other."""
    if not rows:
        return
    first, *widths = (max(map(len, column)) for column in zip(*rows))
    for name, *words in rows:
        shown = "".join(f"{w:>{n + 2}}" for w, n in zip(words, widths))
        yield f"  {name:<{first}}{shown}"


def _piped(rows):
    """Lines of a table of Markdown, its first row the heading."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return [head, f"| :-- |{' --: |' * (len(rows[0]) - 1)}", *others]
