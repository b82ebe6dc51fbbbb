"""Corruption errors: a model's errors in per cent of a reference's.

Corruptions are not equally hard. CE divides a model's error under one, averaged
over severities, by a reference's, and mCE is the mean over the fifteen common
ones (Hendrycks and Dietterich, 2019, section 4.2). The reference of ImageNet-C
is AlexNet; any other run can be one.
"""

from collections.abc import Mapping

from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.evaluation.sections import average

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


def mean_errors(errors, severities=SEVERITIES):
    """`{corruption: mean error}` over severities, of those that have them all.

    Args:
        errors: `{corruption: errors}`, top-1 errors in [0, 1]: five, in the
            order of severities, or `{severity: error}`; or `"alexnet"`, those
            of ImageNet-C.
        severities: Which are averaged.
    """
    means = {}
    if errors == "alexnet":
        errors = ALEXNET_ERRORS
        if set(severities) == set(SEVERITIES):
            means |= ALEXNET_EXTRA_MEAN_ERRORS
    for corruption, row in errors.items():
        if not isinstance(row, Mapping):
            row = dict(zip(SEVERITIES, row, strict=True))
        if set(severities) <= set(row):
            means[corruption] = average(row[s] for s in severities)
    return means


def ratios(values, reference, clean=0.0, reference_clean=0.0):
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
