"""What is compared, as it lies on the disk.

A run of a training has a `flags.txt`, and a report in its folder `evaluation`.
Any other folder with a `report.json` is the evaluation of some model.
"""

import collections
import dataclasses
import json
import pathlib

from noisymix_tf import model_card, provenance
from noisymix_tf.checks import is_real
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import (
    RunFolder,
    flag_lines,
    flag_name,
    flag_value,
)

FLAGS = "flags.txt"
REPORT = "report.json"
EVALUATION = "evaluation"
BASELINE = "baseline"  # The method.

# The form of `report.json` that is read here, and what its sections have.
_SCHEMA = 3
_FIELDS = {"title": str, "label": str, "suite": str, "origin": str}
_FIELDS |= {"cells": dict, "caveats": list}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run in a directory, or an evaluation, which has no flags."""

    path: pathlib.Path
    folder: pathlib.Path  # That of its report.
    flags: dict  # `{name: line}` of all that are set.
    report: dict  # See `evaluation.report`.

    def value(self, flag) -> str | None:
        """A flag's value as on a command line; None if it is not set."""
        return flag_value(self.flags.get(flag))

    method = property(lambda self: self.value("method") or "")
    sections = property(lambda self: shown(self.report))


def shown(report) -> dict:
    """The sections of a report that columns can be about, by name."""
    needed, sections = ("suite", "label", "figures"), report["sections"].items()
    return {n: s for n, s in sections if all(s[key] for key in needed)}


def split(key) -> tuple[str, str]:
    """Name and setting of a figure: of `"accuracy[eps=4/255]"` these two."""
    name, _, setting = key.partition("[")
    return name, setting.removesuffix("]")


def find(path) -> list[pathlib.Path]:
    """Sorted directories of runs and evaluations, at most two folders below.

    What lies in one of them is a part of it.
    """
    path, found = pathlib.Path(path), set()
    for depth in ("", "*/", "*/*/"):
        for file in (*path.glob(depth + FLAGS), *path.glob(depth + REPORT)):
            if depth and _is_of_a_study(file):
                continue
            folder = file.parent
            run = folder.absolute().parent
            is_part = folder.name == EVALUATION and (run / FLAGS).is_file()
            folder = folder.parent if is_part else folder
            if found.isdisjoint(folder.parents):
                found.add(folder)
    if found:
        return sorted(found)
    reason = "holds no run" if path.is_dir() else "is no directory"
    raise UsageError(
        f"{path} {reason}: give what python -m noisymix_tf.train or evaluate "
        f"has written."
    )


def _is_of_a_study(file):
    """Whether it has the flags of toy or theory, which know no dataset."""
    text = file.read_bytes()
    return text.startswith(b"--output_dir=") and b"\n--dataset=" not in text


def read(path) -> Run:
    """The `Run` in a directory; `UsageError` if it is none, or damaged."""
    path = pathlib.Path(path)
    if not (path / FLAGS).is_file():
        return Run(path, path, {}, _report(path))
    lines = flag_lines(path / FLAGS)
    given = {flag_name(line): line for line in lines if line[:2] == "--"}
    seed = flag_value(given.get("seed")) or ""
    if not {"dataset", "method"} <= given.keys() or not seed.isdigit():
        raise UsageError(
            f"{path} holds no run, or a damaged one: its {FLAGS} names no "
            f"dataset, method or seed. Give the command of the run again."
        )
    # An older version did not have all flags yet.
    lines = {**Config().flags(with_free=False), **given}
    flags = {name: line for name, line in lines.items() if line}
    return Run(path, path / EVALUATION, flags, _report(path / EVALUATION))


def made(runs) -> str:
    """By which code and on which machines, by their cards, in words."""
    found = collections.Counter(map(_made, runs))
    if len(found) > 1:
        parts = (f"{number} by {words}" for words, number in found.items())
        return f"not all trained alike: {'; '.join(parts)}"
    return f"trained by {', '.join(found)}"


def _made(run):
    try:
        card = model_card.read(RunFolder(run.path).model)
    except UsageError:
        return "code that no card names"
    if "trained_by" in card:
        return ", then ".join(card["trained_by"])
    machine = card.get("machine", "an unknown machine")
    return f"{provenance.code(card['versions'])} on {machine}"


def _report(folder):
    file = folder / REPORT
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        if not _is_report(report):
            raise ValueError(f"it is no report of schema {_SCHEMA}")
        return report
    except FileNotFoundError:
        raise UsageError(
            f"{file} is missing: nothing was evaluated yet. Give its command "
            f"again, which goes on where it stopped."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be read ({error}): remove it and give the command "
            f"that wrote it again."
        ) from error


def _is_report(report):
    try:
        sections = report["sections"].values()
        kinds = [s["kinds"][key] for s in sections for key in s["figures"]]
        numbers = [n for s in sections for n in s["figures"].values()]
        numbers += [n for s in sections for n in s["standard_errors"].values()]
        parts = [(s[k], kind) for s in sections for k, kind in _FIELDS.items()]
        parts += [(report["about"], dict), *((kind, str) for kind in kinds)]
        parts += [(v, dict) for s in sections for v in s["cells"].values()]
        words = report["dataset"], report["about"].get("model", "")
        parts += [(word, str) for word in (*words, report["data"] or "")]
        return (
            report["schema"] == _SCHEMA
            and report.keys() >= {"dataset", "data", "model", "reference"}
            and all(isinstance(*part) for part in parts)
            and all(map(is_real, numbers))
        )
    except (AttributeError, KeyError, TypeError):
        return False
