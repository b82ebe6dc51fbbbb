"""Corruption errors: a model's errors in per cent of a reference's.

Corruptions are not equally hard. CE divides a model's error under a corruption
by a reference's, summed over severities first, and mCE is the mean over the
fifteen common ones (Hendrycks and Dietterich, 2019, section 4.2). The reference
of ImageNet-C is AlexNet; any other run can be one.
"""

import math
import numbers
from collections.abc import Mapping

from noisymix_tf import corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.errors import UsageError

# Top-1 errors of AlexNet on ImageNet-C at severities 1 to 5, as published with
# the benchmark (github.com/hendrycks/robustness).
ALEXNET_ERRORS = {
    "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
    "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
    "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
    "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
    "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
    "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
    "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
    "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
    "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
    "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
    "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
    "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
    "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
}

# Their means over severities, from the same source and as AugMix's code
# (github.com/google-research/augmix, imagenet.py) has them too.
ALEXNET_MEAN_ERRORS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}

# Of the corruptions held out for validation only means are published.
ALEXNET_EXTRA_MEAN_ERRORS = {
    "speckle_noise": 0.845388,
    "gaussian_blur": 0.787108,
    "spatter": 0.717512,
    "saturate": 0.658248,
}

# Top-1 error on the clean validation images, as relative corruption errors take
# it (github.com/bethgelab/robustness).
ALEXNET_CLEAN_ERROR = 0.4348


def corruption_errors(errors, reference="alexnet", *, severities=SEVERITIES):
    """CE of every corruption: 100 means as many errors as the reference.

    Args:
        errors: `{corruption: errors}`, top-1 errors in [0, 1]: five, in the
            order of severities, or `{severity: error}`.
        reference: `"alexnet"`, which is about ImageNet-C, or errors of the same
            form.
        severities: Which severities are summed over; all of them must be there,
            on both sides. Published numbers are about all five.

    Returns:
        `{corruption: CE}` in per cent, in the order of `errors`.

    Raises:
        UsageError: If an error is missing (the message names corruption and
            severity) or not in [0, 1], or if the reference makes no error.

    Example:

    >>> ours = {"fog": (0.1, 0.2, 0.3, 0.4, 0.5)}
    >>> corruption_errors(ours, {"fog": (0.3, 0.4, 0.6, 0.8, 0.9)})
    {'fog': 50.0}

    Source: Hendrycks and Dietterich (2019), section 4.2.
    """
    return _ratios(errors, 0.0, reference, 0.0, severities)


def mean_corruption_error(
    errors, reference="alexnet", *, severities=SEVERITIES
):
    """mCE: the mean CE of the fifteen common corruptions.

    Args:
        errors, reference, severities: As in `corruption_errors`. All common
            corruptions must be there; any others are left out.

    Returns:
        Float, in per cent.

    Raises:
        UsageError: As `corruption_errors`.

    Example:

    >>> mean_corruption_error(ALEXNET_ERRORS)
    100.0
    """
    errors = _common(errors)
    return _mean(corruption_errors(errors, reference, severities=severities))


def relative_corruption_errors(
    errors,
    clean_error,
    reference="alexnet",
    reference_clean_error=None,
    *,
    severities=SEVERITIES,
):
    """Relative CE: what a corruption adds to the clean error.

    Args:
        errors, reference, severities: As in `corruption_errors`.
        clean_error: Top-1 error of the model on clean images, in [0, 1].
        reference_clean_error: That of the reference; known of AlexNet.

    Returns:
        `{corruption: relative CE}` in per cent. Below 0 where the model does
        better than on clean images.

    Raises:
        UsageError: As `corruption_errors`, and if a clean error is missing or
            the reference does not suffer from a corruption.

    Example:

    >>> relative_corruption_errors({"fog": [0.3] * 5}, 0.2,
    ...                            {"fog": [0.5] * 5}, 0.25)
    {'fog': 40.0}

    Source: Hendrycks and Dietterich (2019), section 4.2.
    """
    if isinstance(reference, str) and reference_clean_error is None:
        _reference(reference)
        reference_clean_error = ALEXNET_CLEAN_ERROR
    base = _share(reference_clean_error, "The reference's clean error")
    clean = _share(clean_error, "The clean error")
    return _ratios(errors, clean, reference, base, severities)


def relative_mean_corruption_error(
    errors,
    clean_error,
    reference="alexnet",
    reference_clean_error=None,
    *,
    severities=SEVERITIES,
):
    """Relative mCE: the mean relative CE of the fifteen common corruptions.

    Args:
        errors, clean_error, reference, reference_clean_error, severities: As in
            `relative_corruption_errors`. All common corruptions must be there;
            any others are left out.

    Returns:
        Float, in per cent.

    Raises:
        UsageError: As `relative_corruption_errors`.

    Example:

    >>> relative_mean_corruption_error(ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR)
    100.0
    """
    return _mean(
        relative_corruption_errors(
            _common(errors),
            clean_error,
            reference,
            reference_clean_error,
            severities=severities,
        )
    )


def errors_of_cells(cells):
    """Errors out of the cells of a section of a report.

    Args:
        cells: `{corruption: {severity: {"accuracy": share, ...}}}`, as
            `report.json` has it; severities may be strings.

    Returns:
        `{corruption: {severity: error}}`, what the functions here take.

    Raises:
        UsageError: If the cells are not of this form.

    Example:

    >>> errors_of_cells({"fog": {"3": {"accuracy": 0.75}}})
    {'fog': {3: 0.25}}
    """
    try:
        return {
            corruption: {
                int(severity): 1.0 - cell["accuracy"]
                for severity, cell in row.items()
            }
            for corruption, row in cells.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "Cells of a report are {corruption: {severity: {'accuracy': "
            f"share}}}}, got something else ({error!r}): give the cells of a "
            "section of report.json."
        ) from error


def _ratios(errors, clean, reference, reference_clean, severities):
    """100 x excess over clean of one by that of the other, by corruption."""
    severities = _severities(severities)
    base = _reference(reference)
    ratios = {}
    for corruption in errors:
        ours = _sum(errors, corruption, severities, "The errors lack")
        theirs = _reference_sum(base, corruption, severities)
        theirs -= len(severities) * reference_clean
        if theirs <= 0.0:
            raise UsageError(
                f"The reference makes no more errors under {corruption} than "
                "without it, so there is nothing to divide by: choose another "
                "reference."
            )
        ours -= len(severities) * clean
        ratios[corruption] = 100.0 * (ours / theirs)
    return ratios


def _severities(severities):
    chosen = tuple(dict.fromkeys(severities))
    if not chosen or not set(chosen) <= set(SEVERITIES):
        raise UsageError(
            f"severities must be some of 1 to 5, got {tuple(severities)!r}."
        )
    return chosen


def _reference(reference):
    """Errors to divide by; None stands for AlexNet's."""
    if isinstance(reference, Mapping):
        return reference
    if not isinstance(reference, str) or reference != "alexnet":
        raise UsageError(
            "A reference is 'alexnet' or errors by corruption, got "
            f"{reference!r}: choose one of these."
        )
    return None


def _reference_sum(base, corruption, severities):
    if base is not None:
        return _sum(base, corruption, severities, "The reference lacks")
    if corruption in ALEXNET_ERRORS:
        return _sum(ALEXNET_ERRORS, corruption, severities, "AlexNet lacks")
    if corruption not in ALEXNET_EXTRA_MEAN_ERRORS:
        raise UsageError(
            f"No errors of AlexNet are published for {corruption!r}: leave it "
            "out, or give errors of another reference."
        )
    if set(severities) != set(SEVERITIES):
        raise UsageError(
            f"Of AlexNet under {corruption} only the mean over severities 1 to "
            f"5 is published, got severities {severities!r}: take all five."
        )
    return len(SEVERITIES) * ALEXNET_EXTRA_MEAN_ERRORS[corruption]


def _sum(errors, corruption, severities, lack):
    """Sum of a corruption's errors over severities."""
    if corruption not in errors:
        raise UsageError(f"{lack} {corruption}: measure it first.")
    row = errors[corruption]
    if not isinstance(row, Mapping):
        row = list(row)
        if len(row) != len(SEVERITIES):
            raise UsageError(
                f"{corruption} has {len(row)} errors, expected one for each of "
                "severities 1 to 5: say which is which, {severity: error}."
            )
        row = dict(zip(SEVERITIES, row))
    missing = [severity for severity in severities if severity not in row]
    if missing:
        listed = ", ".join(map(str, missing))
        raise UsageError(
            f"{lack} {corruption} at severity {listed}: measure it first."
        )
    return math.fsum(
        _share(row[severity], f"The error under {corruption} {severity}")
        for severity in severities
    )


def _share(value, what):
    if not isinstance(value, numbers.Real) or not 0.0 <= value <= 1.0:
        raise UsageError(
            f"{what} must be a number from 0 to 1, got {value!r}: give shares, "
            "not per cent."
        )
    return float(value)


def _common(errors):
    """The fifteen that means are over; `UsageError` names what is missing."""
    names = corruptions.names("common")
    missing = [name for name in names if name not in errors]
    if missing:
        raise UsageError(
            f"mCE is a mean over {len(names)} corruptions, the errors lack "
            f"{', '.join(missing)}: measure what is missing."
        )
    return {name: errors[name] for name in names}


def _mean(values):
    return math.fsum(values.values()) / len(values)
