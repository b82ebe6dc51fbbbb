"""How far rows lie apart, and whether that can be told from chance."""

import dataclasses
import math

import numpy as np
from scipy import special

from noisymix_tf.evaluation.resampling import REPLICATES


@dataclasses.dataclass(frozen=True)
class Measure:
    """A figure of a run, in the unit of its column; None is not known.

    Its standard error is over images, its draws are its values for resampled
    ones, float64 `[REPLICATES]`: alike where the words for images are equal.
    """

    value: float
    error: float | None = None
    draws: object = None
    images: object = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """With its 95 % interval, or None; paired over the same images or not."""

    difference: float
    low: float | None = None
    high: float | None = None
    is_paired: bool = False

    def text(self, digits):
        """`"−1.2 [−2.3, −0.1]"`."""
        ends = (self.low, self.high)
        ends = ("?" if v is None else f"{v:+.{digits}f}" for v in ends)
        text = f"{self.difference:+.{digits}f} [{', '.join(ends)}]"
        return text.replace("-", "−")


class Cell:
    """The mean over the runs of a row, out of a `Measure` for each.

    It has a `standard_deviation` of a run (N - 1 degrees) and the
    `standard_error` of the mean, over images and runs, where they are known.
    """

    difference = None  # To another row, a `Difference`.
    is_leader = False  # Whether it cannot be told from the best of its column.

    def __init__(self, measures):
        number, errors = len(measures), [own.error for own in measures]
        self.values = tuple(own.value for own in measures)
        self.mean = math.fsum(self.values) / number
        self.standard_deviation = self.standard_error = None
        # Variances of the mean, those over runs with their degrees of freedom.
        self._of_images, self._of_runs = None, []
        if number > 1:
            self.standard_deviation = float(np.std(self.values, ddof=1))
            self._of_runs = [(self.standard_deviation**2 / number, number - 1)]
        words = {own.images for own in measures}
        self._images = words.pop() if len(words) == 1 else None
        if self._images is not None:
            self._draws = np.mean([m.draws for m in measures], axis=0)
            self._of_images = float(np.var(self._draws, ddof=1))
        elif None not in errors:
            # Of the same images, so that they need not even out.
            self._of_images = (sum(errors) / number) ** 2
        if self._of_images is not None:
            of_runs = sum(variance for variance, _ in self._of_runs)
            self.standard_error = math.sqrt(self._of_images + of_runs)

    def text(self, digits):
        """`"96.4 ± 0.9"`."""
        error = self.standard_error
        more = "" if error is None else f" ± {error:.{digits}f}"
        return f"{self.mean:.{digits}f}{more}"

    def minus(self, other):
        """The `Difference` to another cell of the same column."""
        value = self.mean - other.mean
        is_paired = self._images is not None and self._images == other._images
        if is_paired:
            images = float(np.var(self._draws - other._draws, ddof=1))
        elif None in (self._of_images, other._of_images):
            return Difference(value)
        else:
            images = self._of_images + other._of_images
        parts = [(images, REPLICATES - 1), *self._of_runs, *other._of_runs]
        variance, half = sum(v for v, _ in parts), 0.0
        if variance > 0.0:
            # Degrees of freedom of a sum, by Welch and Satterthwaite.
            freedom = variance**2 / sum(v**2 / f for v, f in parts)
            half = float(special.stdtrit(freedom, 0.975)) * variance**0.5
        return Difference(value, value - half, value + half, is_paired)
