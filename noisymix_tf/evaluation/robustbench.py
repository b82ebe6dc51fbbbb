"""An entry of RobustBench's corruption leaderboard, out of an evaluation.

The leaderboard (Croce et al., 2021, "RobustBench") keeps a JSON file of texts
per model, and a table of the accuracy of every corruption and severity with two
rows of headings, whose order differs between its datasets. What an evaluation
cannot know (authors, link, venue) is left empty, for the submitter to fill in.
"""

import csv
import io
import itertools
import json
import pathlib

from noisymix_tf.corruptions import SEVERITIES, selection
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.reference import alexnet
from noisymix_tf.files import write_atomically

# The order of its own table for CIFAR-10 and ImageNet.
_ORDER = (
    "shot_noise motion_blur snow pixelate gaussian_noise defocus_blur "
    "brightness fog zoom_blur frost glass_blur impulse_noise contrast "
    "jpeg_compression elastic_transform"
).split()
_COLUMNS = tuple(itertools.product(_ORDER, map(str, SEVERITIES)))
_HEAD = "".join(f"{','.join(line)}\n" for line in zip(("", ""), *_COLUMNS))

# Fields that come from an evaluation; the others are the submitter's.
_MEASURED = (
    "dataset eps clean_acc reported corruptions_acc corruptions_mce footnote"
).split()


def check(path, suites, corruptions, severities):
    """Raises the `UsageError` of `write` before anything is measured."""
    _kept(*_paths(path))
    chosen = set(_ORDER) & set(selection.corruption_names(corruptions))
    if len(chosen) < len(_ORDER) or set(severities) != set(SEVERITIES):
        raise UsageError(
            "An entry of RobustBench is about 15 corruptions at 5 severities, "
            f"got {len(chosen)} of them at {len(severities)}: leave out "
            "corruptions and severities."
        )
    if "calibration" not in suites and not {"clean", "c"} <= set(suites):
        raise UsageError(
            "An entry of RobustBench needs suites clean and c, got "
            f"{', '.join(map(str, suites))}."
        )


def entry(report) -> dict:
    """The JSON entry of a `Report`, with RobustBench's fields.

    Numbers are per cent as strings of two digits at most, as it keeps them. The
    mCE is there where it is by AlexNet's constants, as the leaderboard's is.
    """
    section, figures = _section(report), report.figures
    accuracy = str(round(100.0 * figures[f"{section.name}/mean_accuracy"], 2))
    made = "corruptions generated anew: not the files of the leaderboard."
    made = "released files." if section.source == "released" else made
    mce = section.figure("mce") if report.reference == alexnet() else None
    return {
        **dict.fromkeys(("link", "name", "authors"), ""),
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": report.dataset,
        **dict.fromkeys(("venue", "architecture"), ""),
        "eps": None,
        "clean_acc": str(round(100.0 * figures["clean/accuracy"], 2)),
        "reported": accuracy,
        "corruptions_acc": accuracy,
        **({"corruptions_mce": str(round(mce.value, 2))} if mce else {}),
        "footnote": f"{section.n:,} images per cell, {made}",
    }


def row(report, name) -> str:
    """The row of its table: three lines of CSV, accuracies in [0, 1]."""
    cells = _section(report).cells
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name, *(cells[c][s]["accuracy"] for c, s in _COLUMNS)])
    return _HEAD + text.getvalue()


def write(report, path) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes `NAME.json` and `NAME.csv` of a `Report`; returns the two paths.

    `path` is `NAME` or `NAME.json`, with its folder. Of a `NAME.json` that is
    there already, what a submitter fills in is kept. `UsageError` if a cell is
    missing, the folder is not there, or one of them is something else.
    """
    file, table = _paths(path)
    content = json.dumps({**entry(report), **_kept(file, table)}, indent=2)
    texts = content + "\n", row(report, file.name.removesuffix(".json"))
    write_atomically(file, texts[0])
    write_atomically(table, texts[1])
    return file, table


def _section(report):
    """The section of all common corruptions, files before generated."""
    sections = {section.name: section for section in report.sections}
    names = [n for n in ("c_released", "c_written", "c") if n in sections]
    cells = sections[names[0]].cells if names else {}
    missing = [f"{c} {s}" for c, s in _COLUMNS if s not in cells.get(c, {})]
    missing += [] if "clean" in sections else ["clean"]
    if missing:
        told = ", ".join(missing[:3]) + "..." * (len(missing) > 3)
        raise UsageError(
            "An entry of RobustBench needs clean images and 15 corruptions at "
            f"5 severities; missing: {told}: measure them too."
        )
    return sections[names[0]]


def _paths(path):
    path = pathlib.Path(str(path).removesuffix(".json"))
    if path.name in ("", "..") or not path.parent.is_dir():
        raise UsageError(
            f"The RobustBench entry {str(path)!r} must be NAME, or FOLDER/NAME "
            "in a folder that is there: make it first."
        )
    return pathlib.Path(f"{path}.json"), pathlib.Path(f"{path}.csv")


def _kept(path, table):
    """Of an entry that is there already, what no evaluation knows."""
    try:
        there = dict(json.loads(path.read_text())) if path.exists() else {}
        if table.exists():
            path = table
            if not there or not table.read_text().startswith(_HEAD):
                raise ValueError("no table of such an entry")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{str(path)!r} is there already and is no entry of RobustBench: "
            "remove it, or choose another name."
        ) from error
    return {name: v for name, v in there.items() if name not in _MEASURED}
