"""Calibration: what the clean and the corrupted cells say of it.

No image is measured twice, also where its logits are divided by a temperature;
every value of a corruption is the mean over its severities of the values of its
cells, as published ones are.
"""

import dataclasses
import itertools

from noisymix_tf.corruptions import CORRUPTIONS
from noisymix_tf.evaluation import metrics, sections
from noisymix_tf.evaluation.sections import Figure, Reliability, Section
from noisymix_tf.evaluation.suites import core
from noisymix_tf.evaluation.suites.core import SUITES, Column, Suite, Task
from noisymix_tf.evaluation.suites.corruptions import (
    OF_CELLS,
    Clean,
    CommonCorruptions,
)
from noisymix_tf.evaluation.temperature import tempered
from noisymix_tf.probabilities import LOGITS

# Heading, metric, kind; the last two have no figure here.
_COLUMNS = (
    ("ECE", "ece", "percent"),
    ("RMS", "rms_calibration_error", "percent"),
    ("adaptive", "adaptive_calibration_error", "percent"),
    ("NLL", "nll", "number"),
    ("Brier", "brier", "number"),
    ("AURRA", "aurra", "percent"),
    ("confidence", "confidence", "percent"),
    ("accuracy", "accuracy", "percent"),
)
_NOTES = (
    "ECE and RMS calibration error have 15 bins of equal width, their right "
    "edges included; those of a corruption are means over its severities, each "
    "with bins of its own.",
    "adaptive is the RMS calibration error of ImageNet-R's authors, in bins of "
    "100 images by confidence, of which their code leaves out the last one; "
    "here all count. AURRA is the area under accuracy by response rate.",
)


@SUITES.register("calibration")
class Calibration(Suite):
    """The cells of suites clean and c; own ones have a temperature."""

    options = (*OF_CELLS, "temperature")
    columns = tuple(
        Column(
            f"{key}{tempered}_ece",
            f"{words},{tempered.replace('_', ' ')} ECE",
            higher_is_better=False,
            is_main=False,
            measure="expected calibration error",
        )
        for key, words in (
            ("clean", "Clean"),
            ("c_mean", "C"),
            ("c_released_mean", "C (released files)"),
            ("c_written_mean", "C (written files)"),
        )
        for tempered in ("", "_tempered")
    )
    of = ("clean", "c", "calibration")

    def tasks(self, job) -> list[Task]:
        plain = Clean().tasks(job) + CommonCorruptions().tasks(job)
        if job.settings.temperature is None:
            return plain
        own = {"suite": "calibration"}
        own["setting"] = f"temperature={job.settings.temperature:.4g}"
        cells = [dataclasses.replace(task.cell, **own) for task in plain]
        return plain + [
            dataclasses.replace(task, cell=cell, outputs_of=task.cell)
            for task, cell in zip(plain, cells)
        ]

    def rows(self, cell, outputs, labels):
        temperature = float(cell.setting.partition("=")[2])
        logs = tempered(outputs, temperature, cell.outputs == LOGITS)
        return self.scores.of(logs, labels)

    def sections(self, scores, context) -> list[Section]:
        parts = {}
        for cell, own in scores.items():
            part, row = _place(cell)
            parts.setdefault(part, {}).setdefault(row, []).append(own)
        figures, charts, headlines, rows = [], [], {}, {}
        for (key, title), names in parts.items():
            rows |= names
            cells = [*itertools.chain(*names.values())]
            corrupted = "clean" not in key
            words = title + f", mean of {len(cells)} cells" * corrupted
            figures += [
                Figure(f"{key}_{m}", f"{label}, {words}", _mean(cells, m), kind)
                for label, m, kind in _COLUMNS[:-2]
            ]
            bins = sum(own.bins() for own in cells).tolist()
            error = _mean(cells, "ece")
            charts.append(Reliability(title.capitalize(), bins, error))
            words = "corrupted" if corrupted else "clean"
            words = f"Expected calibration error (ECE), {words}"
            words += title[title.find(",") :] if "tempered" in key else ""
            headlines.setdefault(words, f"{key}_ece")
        columns = [
            (label, kind, {name: _mean(own, m) for name, own in rows.items()})
            for label, m, kind in _COLUMNS
        ]
        groups = {title: [*names] for (_, title), names in parts.items()}
        numbers = sections.distinct(cell.n for cell in scores)
        words = " or ".join(f"{n:,}" for n in numbers)
        kinds = ("corrupted" if cell.corruption else "clean" for cell in scores)
        kinds = " and ".join(sections.distinct(kinds))
        about = {"n": numbers[0], "label": "ECE", "source": ""}
        section = Section(
            "calibration",
            "Calibration",
            suite="calibration",
            **about,
            origin=f"{words} images per cell, {kinds}",
            figures=tuple(figures),
            table=sections.Table.of("images", columns, groups, "calibration"),
            charts=tuple(charts),
            notes=_NOTES,
            headlines=headlines,
        )
        return [section]


def _place(cell):
    """What a cell is averaged with, `(key, words)`, and its row."""
    if cell.suite == "calibration":
        plain = "c" if cell.corruption else "clean"
        (key, words), row = _place(dataclasses.replace(cell, suite=plain))
        words = f"{words}, {cell.setting.replace('=', ' ')}"
        return (f"{key}_tempered", words), f"{row}, {cell.setting}"
    if cell.suite == "clean":
        return ("clean", "clean images"), "clean"
    main = CORRUPTIONS.get(cell.corruption).set == "common"
    kind = "common" if main else "extra"
    about = core.about(cell, f"{kind} corruptions", main=main)
    part = f"{about['name']}_mean", f"{about['source']} {about['title']}"
    files = " (in files)" if cell.generator else " (released)"
    return part, cell.corruption + files * (cell.source == "released")


def _mean(scores, metric):
    return metrics.average(getattr(own, metric) for own in scores)
