"""What a model is compared with: AlexNet, an earlier run, or constants.

Corruption errors and flip rates divide by the errors and flips of a reference.
Only AlexNet's errors on ImageNet-C are built in. Its flips depend on the very
frames and were never published in a file: measure them, or give your own.
"""

import dataclasses
import json
import math
import pathlib

from noisymix_tf.checks import is_real
from noisymix_tf.corruptions import CORRUPTIONS, PERTURBATIONS, SEVERITIES
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import corruption_error

# Data of so many classes are taken for ImageNet's.
_IMAGENET_CLASSES = 1000
_ANY = "*"


@dataclasses.dataclass(frozen=True)
class Reference:
    """Errors and flips to divide by.

    A file of constants is a JSON object with some of these keys; shares are in
    [0, 1], and errors are those of severities 1 to 5, or by severity:

        {"name": "AlexNet", "clean_error": 0.43,
         "errors": {"fog": [0.67, 0.76, 0.84, 0.87, 0.95]},
         "flip_probability": {"tilt": 0.07}, "top5_distance": {"tilt": 1.2}}

    Attributes:
        name: What it is called in reports.
        clean_error: Top-1 error on clean images; None where not known.
        errors: `{section: {corruption: errors}}`; the section `"*"` stands for
            all. Errors are five, or `{severity: error}`.
        flips: `{section: {perturbation: flip probability}}`.
        top5_distances: The same of top-5 distances.
        numbers: `{section: n}`, where known.
        difficulties: `{section: difficulty of its perturbations}`, likewise.
        dataset: Name of the dataset that it was measured on; None of
            constants, which may be about any.
        data: Word for its test images, see `data.identity`; None where it is
            not known.

    Example:

    >>> Reference.of("runs/baseline/evaluation/report.json").name
    'runs/baseline/evaluation/report.json'
    """

    name: str
    clean_error: float | None = None
    errors: dict = dataclasses.field(default_factory=dict)
    flips: dict = dataclasses.field(default_factory=dict)
    top5_distances: dict = dataclasses.field(default_factory=dict)
    numbers: dict = dataclasses.field(default_factory=dict)
    difficulties: dict = dataclasses.field(default_factory=dict)
    dataset: str | None = None
    data: str | None = None

    @classmethod
    def of(cls, reference, dataset=None):
        """A reference out of what `evaluate` takes.

        Args:
            reference: A path, `"alexnet"`, a `Reference`, or None.
            dataset: Has `num_classes`; with None, 1,000 mean AlexNet.

        Returns:
            `Reference`, or None for none.

        Raises:
            UsageError: If there is no such file, or it is something else.
        """
        classes = getattr(dataset, "num_classes", None)
        if reference is None:
            return alexnet() if classes == _IMAGENET_CLASSES else None
        if isinstance(reference, cls):
            return reference
        if reference == "alexnet":
            if classes not in (None, _IMAGENET_CLASSES):
                raise UsageError(
                    "reference='alexnet' is about the 1,000 classes of "
                    f"ImageNet-C, this dataset has {classes}: give the "
                    "report.json of another run on it."
                )
            return alexnet()
        return _read(pathlib.Path(reference))

    def check(self, dataset, data):
        """Raises a `UsageError` if it was measured on other images.

        Args:
            dataset: Name of the dataset of what is to be divided.
            data: Word for its test images; None where it is not known.
        """
        if self.dataset is None:
            return
        if data is None:
            same = dataset == self.dataset
        else:
            same = identity.which(data) == identity.which(self.data or "")
        if same:
            return
        remedy = "give the report.json of another model on the same images."
        if self.data is None and dataset == self.dataset:
            raise UsageError(
                f"The reference {self.name!r} on {self.dataset} does not say "
                f"which images it was measured on, as older versions wrote "
                f"it, and may be about others than {dataset} has here: "
                f"evaluate its model again, or {remedy}"
            )
        theirs, ours = (
            f"{name} (images {word[:8] if word else 'not noted'})"
            for name, word in ((self.dataset, self.data), (dataset, data))
        )
        raise UsageError(
            f"The reference {self.name!r} was measured on {theirs}, which are "
            f"other test images or classes than those of {ours}: {remedy}"
        )

    def of_section(self, field, section):
        """Values of a section, `{name: value}`, or an empty dict.

        Args:
            field: `"errors"`, `"flips"` or `"top5_distances"`.
            section: `"c"`, `"c_extra"`, `"c_released"`, `"p"`...
        """
        values = getattr(self, field)
        return values.get(section, values.get(_ANY, {}))


def alexnet():
    """AlexNet's errors on ImageNet-C, as published with the benchmark."""
    return Reference(
        name="AlexNet (published constants)",
        clean_error=corruption_error.ALEXNET_CLEAN_ERROR,
        errors={_ANY: "alexnet"},
    )


def _read(path):
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            f"The reference {str(path)!r} cannot be read ({error.strerror}): "
            "give a report.json, a file of constants, or alexnet."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"The reference {str(path)!r} is not JSON ({error}): give a "
            "report.json or a file of constants."
        ) from error
    try:
        if "sections" in content:
            return _of_report(path, content)
        return _of_constants(path, content)
    except UsageError as error:
        raise UsageError(f"The reference {str(path)!r}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The reference {str(path)!r} has the form neither of a "
            f"report.json nor of a file of constants ({error!r}): write it "
            "anew."
        ) from error


def _of_report(path, content):
    sections = content["sections"]
    errors, flips, distances, difficulties = {}, {}, {}, {}
    for name, section in sections.items():
        cells = section["cells"]
        if name.split("_")[0] == "c":
            errors[name] = corruption_error.errors_of_cells(cells)
        elif name.split("_")[0] == "p":
            flips[name] = {p: c["flip_probability"] for p, c in cells.items()}
            distances[name] = {p: c["top5_distance"] for p, c in cells.items()}
            for values in cells.values():
                difficulties[name] = values.get("difficulty")
    clean = sections.get("clean")
    return Reference(
        name=str(path),
        clean_error=clean and clean["figures"]["error"],
        errors=errors,
        flips=flips,
        top5_distances=distances,
        numbers={name: section["n"] for name, section in sections.items()},
        difficulties=difficulties,
        dataset=content["dataset"],
        data=content.get("data"),
    )


def _of_constants(path, content):
    known = {
        "name": str(path),
        "clean_error": None,
        "errors": {},
        "flip_probability": {},
        "top5_distance": {},
    }
    values = {**known, **content}
    unknown = set(values) - set(known)
    if unknown:
        raise UsageError(
            f"the key {sorted(unknown)[0]!r} is not known, known are "
            f"{', '.join(known)}: remove it."
        )
    clean = values["clean_error"]
    return Reference(
        name=str(values["name"]),
        clean_error=clean
        if clean is None
        else _number("clean_error", clean, 1.0),
        errors={_ANY: _errors(values["errors"])} if values["errors"] else {},
        flips={_ANY: _by_perturbation(values, "flip_probability", 1.0)},
        top5_distances={
            _ANY: _by_perturbation(values, "top5_distance", math.inf)
        },
    )


def _errors(rows):
    """`{corruption: {severity: error}}`; the words of JSON become ints."""
    errors = {}
    for name, row in rows.items():
        CORRUPTIONS.get(name)
        if not isinstance(row, dict):
            row = dict(zip(SEVERITIES, row, strict=True))
        errors[name] = {
            int(severity): _number(f"the error of {name}", error, 1.0)
            for severity, error in row.items()
        }
    return errors


def _by_perturbation(values, field, most):
    for name, value in values[field].items():
        PERTURBATIONS.get(name)
        _number(f"{field} of {name}", value, most)
    return values[field]


def _number(what, value, most):
    if not is_real(value) or not 0.0 <= value <= most:
        span = "from 0 to 1" if most == 1.0 else "of at least 0"
        raise UsageError(
            f"{what} must be a number {span}, got {value!r}: mend it."
        )
    return float(value)
