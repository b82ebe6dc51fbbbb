"""An entry of RobustBench's corruption leaderboard, out of an evaluation.

The leaderboard (Croce et al., 2021, "RobustBench") keeps a JSON file of texts
per model, and a table of the accuracy of every corruption and severity with two
rows of headings. Columns are to be found by their names: their order differs
between the tables of its datasets. What an evaluation cannot know (authors,
link, venue) is left empty, for the submitter to fill in.
"""

import csv
import io
import json
import pathlib

from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import selection
from noisymix_tf.evaluation.files import write_atomically
from noisymix_tf.evaluation.reference import alexnet

# The order of its own table for CIFAR-10 and ImageNet.
ORDER = (
    "shot_noise",
    "motion_blur",
    "snow",
    "pixelate",
    "gaussian_noise",
    "defocus_blur",
    "brightness",
    "fog",
    "zoom_blur",
    "frost",
    "glass_blur",
    "impulse_noise",
    "contrast",
    "jpeg_compression",
    "elastic_transform",
)

# Fields that come from an evaluation; the others are the submitter's.
_MEASURED = (
    "dataset",
    "eps",
    "clean_acc",
    "reported",
    "corruptions_acc",
    "corruptions_mce",
    "footnote",
)


def check(path, suites, corruptions, severities):
    """Raises the `UsageError` that `write` would, before anything is measured.

    Args:
        path: As in `write`.
        suites, corruptions, severities: As in `evaluate`.
    """
    _kept(_stem(path))
    chosen = selection.corruption_names(corruptions)
    missing = [name for name in ORDER if name not in chosen]
    if missing or set(severities) != set(SEVERITIES):
        raise UsageError(
            "An entry of RobustBench is about 15 corruptions at 5 severities, "
            f"got {len(ORDER) - len(missing)} of them at {len(severities)}: "
            "leave out corruptions and severities."
        )
    if not {"clean", "calibration"} & set(suites) or not (
        {"c", "calibration"} & set(suites)
    ):
        raise UsageError(
            "An entry of RobustBench needs suites clean and c, got "
            f"{', '.join(map(str, suites))}."
        )


def entry(report):
    """The JSON entry of a report.

    Args:
        report: `Report` with clean images and all common corruptions.

    Returns:
        Dict of RobustBench's fields; numbers are per cent as strings of two
        digits at most, as it keeps them. The mCE is there where it is by
        AlexNet's constants.

    Raises:
        UsageError: If a cell is missing.

    Example:

    >>> entry(results.report)["corruptions_acc"]
    '92.78'
    """
    figures = report.figures
    section = _section(report)
    accuracy = _percent(figures[f"{section.name}/mean_accuracy"])
    mce = figures.get(f"{section.name}/mce")
    if report.reference != alexnet():
        mce = None  # The leaderboard divides by AlexNet's errors.
    return {
        "link": "",
        "name": "",
        "authors": "",
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": report.dataset,
        "venue": "",
        "architecture": "",
        "eps": None,
        "clean_acc": _percent(figures["clean/accuracy"]),
        "reported": accuracy,
        "corruptions_acc": accuracy,
        **({} if mce is None else {"corruptions_mce": _text(mce)}),
        "footnote": f"{section.n:,} images per cell, {section.source} files."
        if section.source == "released"
        else f"{section.n:,} images per cell, corruptions generated anew: not "
        "the files that the leaderboard is about.",
    }


def row(report, name):
    """The row of its table: three lines of CSV, accuracies in [0, 1].

    Args:
        report: As in `entry`.
        name: Name of the model.

    Returns:
        String.
    """
    cells = _section(report).cells
    columns = [(c, str(s)) for c in ORDER for s in SEVERITIES]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *(corruption for corruption, _ in columns)])
    writer.writerow(["", *(severity for _, severity in columns)])
    writer.writerow([name, *(cells[c][s]["accuracy"] for c, s in columns)])
    return text.getvalue()


def write(report, path):
    """Writes `NAME.json` and `NAME.csv`.

    Of a `NAME.json` that is there already, what a submitter fills in is kept.

    Args:
        report: As in `entry`.
        path: `NAME` or `NAME.json`, with its folder.

    Returns:
        The two paths.

    Raises:
        UsageError: As `entry`, and if the folder is not there or `NAME.json`
            is something else.
    """
    stem = _stem(path)
    content = {**entry(report), **_kept(stem)}
    files = {
        _with_ending(stem, "json"): json.dumps(content, indent=2) + "\n",
        _with_ending(stem, "csv"): row(report, stem.name),
    }
    for file, content in files.items():
        write_atomically(file, content)
    return tuple(files)


def _section(report):
    """The section of all common corruptions, files before generated."""
    sections = {section.name: section for section in report.sections}
    names = ("c_released", "c_written", "c")
    found = next((sections[n] for n in names if n in sections), None)
    have = found.cells if found else {}
    missing = [
        f"{c} {s}"
        for c in ORDER
        for s in SEVERITIES
        if str(s) not in have.get(c, {})
    ]
    if missing or "clean" not in sections:
        raise UsageError(
            "An entry of RobustBench needs clean images and 15 corruptions at "
            f"5 severities; missing: {', '.join((missing or ['clean'])[:3])}"
            f"{'...' if len(missing) > 3 else ''}: measure them too."
        )
    return found


def _stem(path):
    path = pathlib.Path(path)
    if path.suffix == ".json":
        path = path.with_suffix("")
    if path.name in ("", ".."):
        raise UsageError(
            f"The RobustBench entry {str(path)!r} has no name: give NAME, or "
            "FOLDER/NAME."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"The folder {str(path.parent)!r} of the RobustBench entry does "
            "not exist: make it first."
        )
    return path


def _kept(stem):
    """Of an entry that is there already, what no evaluation knows."""
    path = _with_ending(stem, "json")
    if not path.exists():
        return {}
    try:
        there = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{str(path)!r} is there already and is no entry of RobustBench: "
            "remove it, or choose another name."
        ) from error
    return {name: v for name, v in there.items() if name not in _MEASURED}


def _with_ending(stem, ending):
    return stem.with_name(f"{stem.name}.{ending}")


def _percent(share):
    return _text(100.0 * share)


def _text(number):
    return str(round(number, 2))
