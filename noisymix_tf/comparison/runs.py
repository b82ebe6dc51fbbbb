"""Runs as they lie on the disk: their flags, and what was measured of them."""

import dataclasses
import functools
import json
import pathlib

from noisymix_tf.checks import is_real
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import flag_name, flag_value

FLAGS = "flags.txt"
REPORT = pathlib.Path("evaluation", "report.json")

# The form of `report.json` that is read here.
_SCHEMA = 2
# Runs may lie so many folders below a directory that is named.
_PATTERNS = (FLAGS, f"*/{FLAGS}", f"*/*/{FLAGS}")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        path: Its directory.
        flags: `{name: line}` of all flags of a training that are set.
        sections: The sections of its report, see `evaluation.report`.
        reference: Name of the reference of its report, or None.
        dataset: Name of the dataset that it was measured on.
        data: Word for its test images, see `data.identity`; None where an
            older version has not noted it.

    Example:

    >>> run = read("runs/quickstart")
    >>> run.method, run.seed, run.sections["clean"]["figures"]["accuracy"]
    ('noisymix', 0, 0.9973)
    """

    path: pathlib.Path
    flags: dict
    sections: dict
    reference: str | None
    dataset: str | None = None
    data: str | None = None

    def value(self, flag):
        """A flag's value as on a command line; None if it is not set."""
        return flag_value(self.flags.get(flag))

    @property
    def method(self):
        return self.value("method")

    @property
    def seed(self):
        return int(self.value("seed"))

    def figure(self, section, name):
        """A figure of a section, or None."""
        return self.sections.get(section, {}).get("figures", {}).get(name)


def find(path):
    """Directories of the runs in a directory.

    Args:
        path: Directory of a run, or one with runs at most two folders below.

    Returns:
        Sorted list of `pathlib.Path`.

    Raises:
        UsageError: There is none.
    """
    path = pathlib.Path(path)
    for pattern in _PATTERNS:
        found = sorted(file.parent for file in path.glob(pattern))
        if found:
            return found
    reason = "holds no run" if path.is_dir() else "is no directory"
    raise UsageError(
        f"{path} {reason}: give a directory that python -m noisymix_tf.train "
        f"has written."
    )


def read(path):
    """Reads a run.

    Raises:
        UsageError: It is none of a training, was not evaluated yet, or a file
            of it is damaged.
    """
    path = pathlib.Path(path)
    flags = _flags(path)
    report = _report(path)
    return Run(
        path,
        flags,
        report["sections"],
        report["reference"],
        report.get("dataset"),
        report.get("data"),
    )


def _flags(path):
    try:
        lines = (path / FLAGS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path / FLAGS} cannot be read "
            f"({getattr(error, 'strerror', None) or 'it is no text'})."
        ) from error
    given = {flag_name(line): line for line in lines if line.startswith("--")}
    if not {"dataset", "method", "seed"} <= given.keys():
        raise UsageError(
            f"{path} holds no run of python -m noisymix_tf.train: its {FLAGS} "
            f"names no dataset, method or seed."
        )
    if not flag_value(given["seed"]).lstrip("-").isdigit():
        raise UsageError(
            f"{path / FLAGS} is damaged ({given['seed']}): give the command "
            f"of the run again."
        )
    return {n: line for n, line in {**_defaults(), **given}.items() if line}


@functools.cache
def _defaults():
    """Lines of the flags that an older version did not have yet."""
    return Config().flags(with_free=False)


def _report(path):
    file = path / REPORT
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path} was not evaluated yet ({REPORT} is missing): give the "
            f"command of the run again, which goes on where it stopped."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be read ({error}): remove it and give the command "
            f"of the run again."
        ) from error
    if not _is_report(report):
        raise UsageError(
            f"{file} is no report of schema {_SCHEMA}: remove it and give the "
            f"command of the run again."
        )
    return report


def _is_report(report):
    return (
        isinstance(report, dict)
        and report.get("schema") == _SCHEMA
        and "reference" in report
        and isinstance(report.get("sections"), dict)
        and all(_is_section(*item) for item in report["sections"].items())
    )


def _is_section(name, section):
    return (
        isinstance(section, dict)
        and isinstance(section.get("n"), int)
        and isinstance(section.get("origin"), str)
        and isinstance(section.get("notes"), list)
        and isinstance(section.get("cells"), dict)
        and isinstance(section.get("figures"), dict)
        and all(map(is_real, section["figures"].values()))
        and all(_is_cell(name, cell) for cell in section["cells"].values())
    )


def _is_cell(section, cell):
    """Whether a cell has what ratios are made of."""
    if not isinstance(cell, dict):
        return False
    kind = section.split("_")[0]
    if kind == "p":
        return is_real(cell.get("flip_probability"))
    if kind == "c":
        return all(
            severity.isdigit()
            and isinstance(values, dict)
            and is_real(values.get("accuracy"))
            for severity, values in cell.items()
        )
    return True
