"""Random search of the numbers of the schemes, on equal terms.

Every scheme gets the same number of settings, drawn from the same ranges, each
trained on the same few sets of points and judged by the same validation points.
None of these points is used in a comparison.

Reference: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization,
JMLR 13 (2012).
"""

import dataclasses

import numpy as np

from noisymix_tf.toys.schemes import SCHEMES

# Values are uniform on a logarithmic scale.
RANGES = {
    "learning_rate": (0.0005, 0.05),
    "alpha": (0.1, 2.0),
    "additive_noise": (0.1, 2.0),
    "multiplicative_noise": (0.1, 2.0),
    "jsd_weight": (0.1, 12.0),
    "view_noise": (0.03, 0.3),
}
_DIGITS = 2


@dataclasses.dataclass(frozen=True)
class Trial:
    """A setting, and how good it is.

    Attributes:
        values: Dict from attribute of the scheme to number.
        accuracies: On the validation points, one for each set.
    """

    values: dict
    accuracies: tuple

    @property
    def mean(self):
        return float(np.mean(self.accuracies))


def setting(name, index):
    """Setting number `index` of a scheme.

    The learning rates, levels and so on of a number are those of all schemes.

    Args:
        name: Of the scheme.
        index: From 0 on.

    Returns:
        Dict from attribute to number, rounded to two digits.
    """
    rng = np.random.default_rng(index)
    drawn = {
        key: float(f"{np.exp(rng.uniform(*np.log(bounds))):.{_DIGITS}g}")
        for key, bounds in RANGES.items()
    }
    return {key: drawn[key] for key in SCHEMES[name].tunable}


def search(name, num, accuracies):
    """Tries settings of a scheme.

    Args:
        name: Of the scheme.
        num: How many settings are tried.
        accuracies: Function `(scheme, index)` that trains on several sets of
            points and returns the accuracies on the validation points.

    Returns:
        List of `Trial`s, the best first.
    """
    trials = []
    for index in range(num):
        values = setting(name, index)
        scheme = SCHEMES[name].with_values(values)
        trials.append(Trial(values, tuple(accuracies(scheme, index))))
    return sorted(trials, key=lambda trial: -trial.mean)
