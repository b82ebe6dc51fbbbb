"""What is made of the stability of several perturbations: rates and means.

Perturbations are not equally hard. A flip rate divides a model's flip
probability by a reference model's, and mFR is the mean rate (Hendrycks and
Dietterich, 2019, section 4.3); with top-5 distances it is mT5D. The benchmark's
reference is AlexNet, but its values depend on the very frames: measure them, or
those of another model, on the same sequences.
"""

import math
import numbers

from noisymix_tf.corruptions import PERTURBATIONS
from noisymix_tf.errors import UsageError


def flip_rates(probabilities, reference):
    """Flip probabilities in per cent of those of a reference model.

    Args:
        probabilities: `{perturbation: flip probability}`.
        reference: The same of the reference, which the caller has measured.

    Returns:
        `{perturbation: rate}`; 100 means as unsteady as the reference.

    Raises:
        UsageError: If the reference lacks a perturbation or has nothing but a
            positive number for it.

    Example:

    >>> flip_rates({"tilt": 0.03}, {"tilt": 0.06})
    {'tilt': 50.0}

    Source: Hendrycks and Dietterich (2019), section 4.3.
    """
    return _rates(probabilities, reference, "flip probability")


def top5_rates(distances, reference):
    """Top-5 distances in per cent of those of a reference model.

    Args:
        distances: `{perturbation: top-5 distance}`.
        reference: The same of the reference, which the caller has measured.

    Returns, Raises:
        As `flip_rates`.
    """
    return _rates(distances, reference, "top-5 distance")


def mean_over_perturbations(values, names, *, without_noise=False):
    """The mean of a value over perturbations, none of which may be missing.

    Of flip probabilities this is mFP, of flip rates mFR, of top-5 rates mT5D.

    Args:
        values: `{perturbation: value}`; those that are not named are left out.
        names: What the mean is over, such as
            `corruptions.perturbation_names("cifar")`.
        without_noise: Whether to leave out what is of the noise family.

    Returns:
        Float.

    Raises:
        UsageError: If a value is missing (the message names it), a name is not
            known, or there is nothing to average.

    Example:

    >>> values = {"shot_noise": 0.3, "tilt": 0.1, "scale": 0.2}
    >>> mean_over_perturbations(values, ("tilt", "scale"))
    0.15000000000000002
    """
    chosen = [
        name
        for name in dict.fromkeys(names)
        if PERTURBATIONS.get(name).family != "noise" or not without_noise
    ]
    if not chosen:
        raise UsageError(
            f"A mean over no perturbation, got names {tuple(names)!r}"
            f"{' without noise' if without_noise else ''}: name at least one."
        )
    missing = [name for name in chosen if values.get(name) is None]
    if missing:
        raise UsageError(
            f"The mean over {len(chosen)} perturbations lacks "
            f"{', '.join(missing)}: measure what is missing, or name fewer."
        )
    return math.fsum(values[name] for name in chosen) / len(chosen)


def _rates(values, reference, what):
    rates = {}
    for name, value in values.items():
        if name not in reference:
            raise UsageError(
                f"The reference has no {what} of {name}: measure it with the "
                "reference model too."
            )
        if not isinstance(value, numbers.Real):
            raise UsageError(
                f"The {what} of {name} must be a number, got {value!r}: "
                "measure it first."
            )
        base = reference[name]
        if not isinstance(base, numbers.Real) or not 0 < base < math.inf:
            raise UsageError(
                f"The reference's {what} of {name} must be a positive number "
                f"to divide by, got {base!r}: measure it on more sequences."
            )
        rates[name] = 100.0 * (float(value) / float(base))
    return rates
