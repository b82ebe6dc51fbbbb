"""What a model is compared with: AlexNet, an earlier run, or constants.

Corruptions are not equally hard. CE divides a model's error under one, averaged
over severities, by a reference's, and mCE is the mean over the fifteen common
ones (Hendrycks and Dietterich, 2019, section 4.2). The reference of ImageNet-C
is AlexNet; any other run can be one. AlexNet's flips depend on the very frames
and were never published in a file: measure them, or give your own.
"""

import collections
import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Mapping

from noisymix_tf.checks import is_real
from noisymix_tf.corruptions import CORRUPTIONS, PERTURBATIONS, SEVERITIES
from noisymix_tf.corruptions.selection import severity
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.metrics import average

_ALEXNET = pathlib.Path(__file__).with_name("alexnet.json")
_IMAGENET_CLASSES = 1000
_ANY = "*"


@dataclasses.dataclass(frozen=True)
class Reference:
    """What corruption errors and flip rates divide by.

    A file of constants is a JSON object with some of these keys; shares are in
    [0, 1], errors are those of severities 1 to 5, or by severity, and
    `mean_errors` are of corruptions of which nothing else is known:

        {"name": "AlexNet", "clean_error": 0.43,
         "errors": {"fog": [0.67, 0.76, 0.84, 0.87, 0.95]},
         "mean_errors": {"spatter": 0.72},
         "flip_probability": {"tilt": 0.07}, "top5_distance": {"tilt": 1.2}}
    """

    name: str  # What it is called in reports.
    clean_error: float | None = None  # Top-1 error on clean images.
    # `{section: {corruption: errors}}`; the section `"*"` stands for all.
    # Errors are five, or `{severity: error}`.
    errors: dict = dataclasses.field(default_factory=dict)
    # `{section: {perturbation: value}}`.
    flips: dict = dataclasses.field(default_factory=dict)
    top5_distances: dict = dataclasses.field(default_factory=dict)
    # `{section: number}`, where known.
    numbers: dict = dataclasses.field(default_factory=dict)
    difficulties: dict = dataclasses.field(default_factory=dict)
    # What it was measured on, and word for its test images, see
    # `data.identity`; None where it is not known.
    dataset: str | None = None
    data: str | None = None
    # `{corruption: error}`, means over severities of which no more is known.
    over_severities: dict = dataclasses.field(default_factory=dict)
    # `{section: value}`, where known: how its images were made, in words, and
    # which they are, as of a `sections.Section`.
    origins: dict = dataclasses.field(default_factory=dict)
    images: dict = dataclasses.field(default_factory=dict)

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

    def check_section(self, section, made, images=None):
        """Raises a `UsageError` if images of a section were made otherwise.

        Of `images`, as of a `sections.Section`, one must be the same.
        """
        theirs, own = self.origins.get(section, made), self.images.get(section)
        if images and own and set(images).isdisjoint(own):
            theirs += f" (images {own[0]})"
            made += f" (images {images[0]})"
        if theirs != made:
            raise UsageError(
                f"The reference {self.name!r} was measured in section "
                f"{section} on images {theirs}, this is about images {made}: "
                "evaluate its model on these first, or give another reference."
            )

    def of_section(self, field, section) -> dict:
        """`"errors"`, `"flips"` or `"top5_distances"` of a section."""
        values = getattr(self, field)
        return values.get(section, values.get(_ANY, {}))

    def mean_errors(self, section, severities=SEVERITIES) -> dict[str, float]:
        """Means over severities, of the corruptions that have them all."""
        every = set(severities) == set(SEVERITIES)
        means = dict(self.over_severities) if every else {}
        for corruption, row in self.of_section("errors", section).items():
            row = _by_severity(row)
            if set(severities) <= set(row):
                means[corruption] = average(row[s] for s in severities)
        return means


@functools.cache
def alexnet() -> Reference:
    """AlexNet's top-1 errors on ImageNet-C, as published with the benchmark.

    Source: github.com/hendrycks/robustness; the error on the clean validation
    images, which relative corruption errors take off: github.com/bethgelab/
    robustness. Of the corruptions held out for validation only means are known.
    """
    return _read(_ALEXNET)


def ratios(values, reference, clean=0.0, reference_clean=0.0) -> dict:
    """Values in per cent of a reference's: CE of errors, FR of flips.

    Args:
        values: `{name: value}`, numbers or metrics.
        reference: `{name: number}` likewise.
        clean, reference_clean: Errors on clean images to take off first: then
            these are relative CE, what a corruption adds.

    Returns:
        `{name: ratio}`, of those that the reference has something to divide by.

    >>> ratios({"fog": 0.3, "snow": 0.5}, {"fog": 0.6, "snow": 0.0})
    {'fog': 50.0}
    """
    return {
        name: 100.0 * ((value - clean) / (reference[name] - reference_clean))
        for name, value in values.items()
        if reference.get(name, 0.0) > reference_clean
    }


def made_in(origin) -> str:
    """How images were made, of a section's origin; the difficulty is no part.

    >>> made_in("9 images per cell, from released files, difficulty 2")
    'from released files'
    """
    return origin.partition(", ")[2].partition(", difficulty")[0]


def _by_severity(row):
    """`{severity: error}` of that, or of five errors."""
    if isinstance(row, Mapping):
        return {severity(float(s)): error for s, error in row.items()}
    return dict(zip(SEVERITIES, row, strict=True))


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
            f"of constants ({type(error).__name__}: {error}): give one of "
            "them, or alexnet."
        ) from error


def _of_report(name, content):
    sections, of = content["sections"], collections.defaultdict(dict)
    for section, own in sections.items():
        suite, cells = section.split("_")[0], own["cells"]
        if suite == "c":
            errors = of["errors"][section] = {}
            for corruption, row in cells.items():
                errors[corruption] = {
                    severity(float(s)): 1.0 - v["accuracy"]
                    for s, v in row.items()
                }
        if suite == "p":
            of["flips"][section], of["top5_distances"][section] = (
                {n: v[metric] for n, v in cells.items()}
                for metric in ("flip_probability", "top5_distance")
            )
            levels = [v["difficulty"] for v in cells.values()]
            of["difficulties"][section] = max(levels)
        if suite in ("c", "p") and "origin" in own:
            of["origins"][section] = made_in(own["origin"])
            of["images"][section] = own.get("images")
        of["numbers"][section] = own["n"]
    of |= {"dataset": content["dataset"], "data": content.get("data")}
    clean = sections.get("clean")
    return Reference(name, clean and clean["figures"]["error"], **of)


def _of_constants(name, content):
    of = {"name": name, "clean_error": None, "errors": {}, "mean_errors": {}}
    of |= {"flip_probability": {}, "top5_distance": {}}
    for key in content:
        if key not in of:
            raise UsageError(f"the key {key!r} is none of {', '.join(of)}.")
    of |= content
    if of["clean_error"] is not None:
        _check("clean_error", of["clean_error"])
    for corruption in (*of["errors"], *of["mean_errors"]):
        CORRUPTIONS.get(corruption)
    rows = {c: _by_severity(row) for c, row in of["errors"].items()}
    errors = [(c, error) for c, row in rows.items() for error in row.values()]
    for corruption, error in (*errors, *of["mean_errors"].items()):
        _check(f"the error of {corruption}", error)
    for field, most in (("flip_probability", 1.0), ("top5_distance", math.inf)):
        for perturbation, value in of[field].items():
            PERTURBATIONS.get(perturbation)
            _check(f"{field} of {perturbation}", value, most)
    return Reference(
        str(of["name"]),
        of["clean_error"],
        errors={_ANY: rows} if rows else {},
        flips={_ANY: of["flip_probability"]},
        top5_distances={_ANY: of["top5_distance"]},
        over_severities=of["mean_errors"],
    )


def _check(what, value, most=1.0):
    if not is_real(value) or not 0.0 <= value <= most:
        span = "from 0 to 1" if most == 1.0 else "of at least 0"
        raise UsageError(
            f"{what} must be a number {span}, got {value!r}: mend it."
        )
