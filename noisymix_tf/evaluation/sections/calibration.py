"""The section on calibration: what the clean and corrupted cells say of it."""

from noisymix_tf.corruptions import CORRUPTIONS
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.sections.core import (
    Figure,
    Reliability,
    Section,
    Table,
    average,
    distinct,
    in_files,
    name_of,
    source_of,
    tallies,
)

_COLUMNS = (
    ("ECE", "ece", "percent"),
    ("RMS", "rms_calibration_error", "percent"),
    ("NLL", "nll", "number"),
    ("Brier", "brier", "number"),
    ("confidence", "confidence", "percent"),
    ("accuracy", "accuracy", "percent"),
)


def calibration(records):
    """A section of all cells of suites clean and c; a list, perhaps empty.

    Every value of a corruption is the mean over its severities of the values
    of its cells, as published ones are.
    """
    cells = tallies(
        {c: m for c, m in records.items() if c.suite in ("clean", "c")}
    )
    if not cells:
        return []
    rows, groups, charts = {}, {}, []
    clean = [tally for cell, tally in cells.items() if cell.suite == "clean"]
    if clean:
        rows["clean"] = _row(clean)
        groups["clean"] = ["clean"]
        charts.append(_diagram("Clean images", clean))
    figures = [
        Figure(f"clean_{key}", f"{label}, clean", value, kind)
        for (label, key, kind), value in zip(
            _COLUMNS[:4], rows.get("clean", ())
        )
    ]
    for key, title, mark, own in _parts(cells):
        for corruption in distinct(cell.corruption for cell in own):
            name = f"{corruption}{mark}"
            rows[name] = _row(
                [t for c, t in own.items() if c.corruption == corruption]
            )
            groups.setdefault(title, []).append(name)
        mean = _row(list(own.values()))
        figures += [
            Figure(
                f"{key}_mean_{metric}",
                f"mean {label}, {title} ({len(own)} cells)",
                value,
                kind,
            )
            for (label, metric, kind), value in zip(_COLUMNS[:4], mean)
        ]
        charts.append(_diagram(title.capitalize(), list(own.values())))
    numbers = distinct(cell.n for cell in cells)
    return [
        Section(
            name="calibration",
            title="Calibration",
            n=numbers[0],
            source="",
            origin=(
                f"{' or '.join(f'{n:,}' for n in numbers)} images per cell, "
                "the cells of the sections above"
            ),
            figures=tuple(figures),
            table=Table(
                corner="images",
                columns=tuple(label for label, _, _ in _COLUMNS),
                rows=rows,
                groups=groups,
                quantity="calibration",
                kinds=tuple(kind for _, _, kind in _COLUMNS),
            ),
            charts=tuple(charts),
            notes=(
                "ECE and RMS calibration error have 15 bins of equal width, "
                "their right edges included; those of a corruption are means "
                "over its severities, each with bins of its own.",
            ),
        )
    ]


def _parts(cells):
    """What is averaged, by source and set: `(key, words, mark, cells)`."""
    parts = {}
    for cell, tally in cells.items():
        if cell.suite == "c":
            kind = CORRUPTIONS.get(cell.corruption).set
            parts.setdefault((cell.source, kind), {})[cell] = tally
    for (source, kind), own in parts.items():
        first = next(iter(own))
        files = in_files(first)
        key = name_of(first)
        mark = "" if source == "generated" else f" ({files.strip() or source})"
        yield (
            key if kind == "common" else f"{key}_{kind}",
            f"{source_of(first)} {kind} corruptions{files}",
            mark,
            own,
        )


def _row(tallies):
    return tuple(
        average(getattr(tally, key) for tally in tallies)
        for _, key, _ in _COLUMNS
    )


def _diagram(title, tallies):
    """All cells in one diagram; its error is the mean of theirs."""
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return Reliability(
        title, total.bins.tolist(), average(tally.ece for tally in tallies)
    )
