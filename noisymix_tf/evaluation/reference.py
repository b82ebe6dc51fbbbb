"""What a model is compared with: AlexNet, an earlier run, or constants.

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

_IMAGENET_CLASSES = 1000
_ANY = "*"


@dataclasses.dataclass(frozen=True)
class Reference:
    """What corruption errors and flip rates divide by.

    A file of constants is a JSON object with some of these keys; shares are in
    [0, 1], and errors are those of severities 1 to 5, or by severity:

        {"name": "AlexNet", "clean_error": 0.43,
         "errors": {"fog": [0.67, 0.76, 0.84, 0.87, 0.95]},
         "flip_probability": {"tilt": 0.07}, "top5_distance": {"tilt": 1.2}}

    Attributes:
        name: What it is called in reports.
        clean_error: Top-1 error on clean images, where known.
        errors: `{section: {corruption: errors}}`; the section `"*"` stands for
            all. Errors are five, or `{severity: error}`.
        flips, top5_distances: `{section: {perturbation: value}}`.
        numbers, difficulties: `{section: number}`, where known.
        dataset, data: Name of the dataset it was measured on, and word for its
            test images, see `data.identity`; None where it is not known.
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
    def of(cls, reference, classes=None):
        """A reference out of a path, `"alexnet"`, a `Reference` or None.

        Of data of 1,000 classes AlexNet is the default. `UsageError` if there
        is no such file, or it is something else.
        """
        if reference is None and classes == _IMAGENET_CLASSES:
            return alexnet()
        if reference is None or isinstance(reference, cls):
            return reference
        if reference != "alexnet":
            return _read(pathlib.Path(reference))
        if classes not in (None, _IMAGENET_CLASSES):
            raise UsageError(
                "reference='alexnet' is about the 1,000 classes of ImageNet-C, "
                f"this dataset has {classes}: give the report.json of another "
                "run on it."
            )
        return alexnet()

    def check(self, dataset, data):
        """Raises a `UsageError` if it was measured on other images."""
        known = None not in (data, self.data)
        same = known and identity.which(data) == identity.which(self.data)
        if same or self.dataset is None:
            return
        theirs, ours = (
            f"{name} (images {word[:8] if word else 'not noted'})"
            for name, word in ((self.dataset, self.data), (dataset, data))
        )
        raise UsageError(
            f"The reference {self.name!r} was measured on {theirs}, this is "
            f"about {ours}: as far as is known, other test images or classes. "
            "Evaluate its model on these first, or give another reference."
        )

    def of_section(self, field, section):
        """`"errors"`, `"flips"` or `"top5_distances"` of a section, a dict."""
        values = getattr(self, field)
        return values.get(section, values.get(_ANY, {}))


def alexnet():
    """AlexNet's errors on ImageNet-C, as published with the benchmark."""
    clean_error = corruption_error.ALEXNET_CLEAN_ERROR
    name = "AlexNet (published constants)"
    return Reference(name, clean_error, {_ANY: "alexnet"})


def _read(path):
    try:
        content = json.loads(path.read_text())
        make = _of_report if "sections" in content else _of_constants
        return make(str(path), content)
    except UsageError as error:
        raise UsageError(f"The reference {str(path)!r}: {error}") from error
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The reference {str(path)!r} is neither a report.json nor a file "
            f"of constants ({error!r}): give one of them, or alexnet."
        ) from error


def _of_report(name, content):
    sections = content["sections"]
    c, p = (
        {s: sections[s]["cells"] for s in sections if s.split("_")[0] == suite}
        for suite in "cp"
    )
    flips, distances, difficulties = (
        {s: {n: v[field] for n, v in own.items()} for s, own in p.items()}
        for field in ("flip_probability", "top5_distance", "difficulty")
    )
    clean = sections.get("clean")
    return Reference(
        name=name,
        clean_error=clean and clean["figures"]["error"],
        errors={
            section: {
                n: {int(k): 1.0 - v["accuracy"] for k, v in row.items()}
                for n, row in own.items()
            }
            for section, own in c.items()
        },
        flips=flips,
        top5_distances=distances,
        numbers={section: of["n"] for section, of in sections.items()},
        difficulties={s: max(own.values()) for s, own in difficulties.items()},
        dataset=content["dataset"],
        data=content.get("data"),
    )


def _of_constants(name, content):
    values = {"name": name, "clean_error": None, "errors": {}}
    values |= {"flip_probability": {}, "top5_distance": {}}
    for key in content:
        if key not in values:
            raise UsageError(f"the key {key!r} is none of {', '.join(values)}.")
    values |= content
    if values["clean_error"] is not None:
        _check("clean_error", values["clean_error"])
    for field, most in (("flip_probability", 1.0), ("top5_distance", math.inf)):
        for perturbation, value in values[field].items():
            PERTURBATIONS.get(perturbation)
            _check(f"{field} of {perturbation}", value, most)
    errors = {}
    for corruption, row in values["errors"].items():
        CORRUPTIONS.get(corruption)
        if not isinstance(row, dict):
            row = dict(zip(SEVERITIES, row, strict=True))
        for error in row.values():
            _check(f"the error of {corruption}", error)
        errors[corruption] = {int(s): error for s, error in row.items()}
    return Reference(
        str(values["name"]),
        values["clean_error"],
        errors={_ANY: errors} if errors else {},
        flips={_ANY: values["flip_probability"]},
        top5_distances={_ANY: values["top5_distance"]},
    )


def _check(what, value, most=1.0):
    if not is_real(value) or not 0.0 <= value <= most:
        span = "from 0 to 1" if most == 1.0 else "of at least 0"
        raise UsageError(
            f"{what} must be a number {span}, got {value!r}: mend it."
        )
