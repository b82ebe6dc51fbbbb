"""What a classifier said: a row for each image or sequence, and its metrics.

A metric is an array: its value, then its values for images that are drawn with
replacement (Efron and Tibshirani, 1993, "An Introduction to the Bootstrap").
The draws are the same for all metrics and models of the same images, so that
sums, ratios and differences carry their uncertainty along.
"""

import functools
import zlib

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import special, stats

REPLICATES = 200
NUM_BINS = 15
_ADAPTIVE_BIN = 100
# The smallest normal float32: what a softmax rounded to zero counts as this, so
# that one certain mistake costs 87 nats instead of infinity.
_SMALLEST = float(np.finfo(np.float32).tiny)
_TOP = 5
# Values of one block of sequences. A result never depends on it; its
# temporaries stay in the processor's cache, and memory stays bounded.
_BLOCK_VALUES = 1 << 15


def means(values, group="test") -> np.ndarray:
    """The metric that is the mean over images.

    Of `values` `[n]` or `[n, m]`, a row for each image of a `group` as of
    `draws`, float64 `[1 + REPLICATES]` or `[1 + REPLICATES, m]`; of a single
    image, which tells no error, the mean alone.
    """
    values = np.asarray(values, np.float64)
    if len(values) == 1:
        return values[0]
    drawn = draws(len(values), group) @ values / len(values)
    return np.concatenate([values.mean(axis=0)[None], drawn])


@functools.lru_cache(2)
def draws(n, group="test") -> np.ndarray:
    """How often each of n images is drawn: float64 `[REPLICATES, n]`.

    Equal for equal n and group; of other groups they are independent.
    """
    generator = np.random.default_rng([zlib.crc32(group.encode()), n])
    drawn = np.empty([REPLICATES, n])
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, n, n), minlength=n)
    return drawn


def value(metric) -> float:
    """The value of a metric; of a plain number itself."""
    return float(np.ravel(metric)[0])


def error(metric) -> float | None:
    """Its standard error; None of a plain number."""
    return float(np.std(metric[1:], ddof=1)) if np.ndim(metric) else None


def average(values):
    """The mean of an iterable of numbers or metrics."""
    values = list(values)
    return sum(values) / len(values)


class Scores:
    """What was measured of n images: `rows`, `[n]` of dtype `ROW`, in order.

    Scores of one length and `group`, a word, are of the same images, and are
    resampled together.
    """

    def __init__(self, rows, group="test"):
        self.rows, self.group, self.n = rows, group, len(rows)


def mean_of(field):
    """A property of `Scores`: the metric that is the mean of a field."""
    return functools.cached_property(
        lambda scores: means(scores.rows[field], scores.group)
    )


class ImageScores(Scores):
    """What a classifier said of images.

    Rows hold `label`; `right`, whether the largest output is at it;
    `confidence`, the largest probability; `nll`, minus the natural logarithm
    of the probability of the label; `brier`, the squared error summed over
    classes. The metrics of these names, and `accuracy`, are their means.

    >>> rows = ImageScores.of([[0.8, 0.2], [0.4, 0.6]], [0, 0], False)
    >>> float(ImageScores(rows).accuracy[0])
    0.5
    """

    _FLOATS = ("confidence", "nll", "brier")
    ROW = np.dtype(
        [("label", "<i4"), ("right", "?"), *((f, "<f8") for f in _FLOATS)]
    )
    accuracy = mean_of("right")
    confidence, nll, brier = map(mean_of, _FLOATS)

    @classmethod
    def of(cls, outputs, labels, from_logits=True) -> np.ndarray:
        """Rows of float outputs `[n, K]` and int labels `[n]` in [0, K)."""
        outputs, labels = np.asarray(outputs, np.float64), np.asarray(labels)
        if from_logits:
            logs = special.log_softmax(outputs, axis=-1)
            shares = np.exp(logs)
        else:
            shares, logs = outputs, np.log(np.maximum(outputs, _SMALLEST))
        own = np.arange(len(labels)), labels
        rows = np.empty(len(labels), cls.ROW)
        rows["label"] = labels
        rows["right"] = outputs.argmax(axis=-1) == labels
        rows["confidence"] = shares.max(axis=-1)
        rows["nll"] = -logs[own]
        # |p - onehot|^2 without the one-hot matrix.
        squares = np.square(shares).sum(axis=-1)
        rows["brier"] = squares - 2.0 * shares[own] + 1.0
        return rows

    def calibration_error(self, num_bins=NUM_BINS) -> np.ndarray:
        """Mean over images of |accuracy - mean confidence| of their bin.

        Bins are of equal width, closed at the right (Guo et al., 2017, "On
        Calibration of Modern Neural Networks", eq. 5).
        """
        confidence, gaps = self.rows["confidence"], np.zeros([self.n, num_bins])
        places = np.arange(self.n), bin_places(confidence, num_bins)
        gaps[places] = confidence - self.rows["right"]
        return np.abs(means(gaps, self.group)).sum(axis=-1)

    ece = functools.cached_property(calibration_error)

    def bins(self, places=None) -> np.ndarray:
        """float64 `[m, 3]`: count, sum of confidence, sum of right.

        Of `NUM_BINS` bins of equal width, unless `places` say `[n]` others.
        """
        confidence, right = self.rows["confidence"], self.rows["right"]
        places = bin_places(confidence) if places is None else places
        values = np.ones(self.n), confidence, right
        sums = [np.bincount(places, own, NUM_BINS) for own in values]
        return np.stack(sums, axis=-1)

    @property
    def rms_calibration_error(self) -> float:
        """As `ece`, with the square of the difference, and the root at last.

        Source: Hendrycks et al. (2019), "Deep Anomaly Detection with Outlier
        Exposure", section 4.5, there with bins of equal size.
        """
        return _root_mean_square(self.bins())

    @property
    def adaptive_calibration_error(self) -> float:
        """`rms_calibration_error` in bins of 100 images by confidence, or more.

        As ImageNet-R's authors have it (Hendrycks et al., 2021, "The Many Faces
        of Robustness"), but for the last bin, which their code leaves out.
        """
        order = np.argsort(self.rows["confidence"], kind="stable")
        places = np.argsort(order) // _ADAPTIVE_BIN
        last = max(1, self.n // _ADAPTIVE_BIN) - 1
        return _root_mean_square(self.bins(np.minimum(places, last)))

    @property
    def aurra(self) -> float:
        """Area under the curve of accuracy against response rate.

        The mean over k of the accuracy on the k most confident images (same
        source).
        """
        order = np.argsort(-self.rows["confidence"], kind="stable")
        right = np.cumsum(self.rows["right"][order])
        return float((right / np.arange(1, self.n + 1)).mean())

    @functools.cached_property
    def balanced_accuracy(self) -> np.ndarray:
        """Mean over the classes that are there of the accuracy of each."""
        weights = np.ones(self.n), *draws(self.n, self.group)
        return np.array([self._by_class(own)[1].mean() for own in weights])

    @property
    def class_accuracy(self) -> dict[int, float]:
        """The accuracy of each class that is there."""
        own = self._by_class(np.ones(self.n))
        return dict(zip(*(values.tolist() for values in own)))

    def _by_class(self, weights):
        counts = np.bincount(self.rows["label"], weights)
        right = np.bincount(self.rows["label"], weights * self.rows["right"])
        (there,) = np.nonzero(counts)
        return there, right[there] / counts[there]

    @property
    def largest_class(self) -> float:
        """Share of the most frequent label: what saying only it gets right."""
        return float(np.bincount(self.rows["label"]).max() / self.n)


def bin_places(confidence, num_bins=NUM_BINS) -> np.ndarray:
    """Bins of equal width, their right edges included: int `[n]`."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    places = np.searchsorted(edges, confidence, side="left") - 1
    return np.clip(places, 0, num_bins - 1)


def _root_mean_square(bins):
    counts, confidence, right = bins[bins[:, 0] > 0].T
    squares = np.square(confidence - right) / counts
    return float(np.sqrt(squares.sum() / counts.sum()))


class FlipScores(Scores):
    """How steady a classifier's answers along the frames of sequences are.

    Rows hold means over the pairs of frames of a sequence, and metrics of the
    same names their means: `flip_probability`, the share whose best classes
    differ; `top5_distance`, the places by which the earlier frame's five best
    classes have moved in the later one, where all behind the fifth count as
    the sixth, summed: 0 to 15; `zipf_distance`, the sum over classes of
    |1/r - 1/s| / r, where r is the rank in the earlier frame, s in the later
    (Hendrycks and Dietterich, 2019, section 4.3 and appendix).

    >>> rows = FlipScores.of([[[2, 1], [2, 1]], [[2, 1], [1, 2]]], noise=False)
    >>> float(FlipScores(rows).flip_probability[0])
    0.5
    """

    METRICS = ("flip_probability", "top5_distance", "zipf_distance")
    ROW = np.dtype([(name, "<f8") for name in METRICS])
    flip_probability, top5_distance, zipf_distance = map(mean_of, METRICS)

    @classmethod
    def of(cls, outputs, *, noise, difficulty=1) -> np.ndarray:
        """Rows of outputs; a `UsageError` where a sequence has no pair.

        Args:
            outputs: float `[n, T, K]`, logits or probabilities. Equal ones
                rank in the order of the classes.
            noise: Whether frames are compared with the first one, as those of
                fresh noise are; otherwise with the one `difficulty` steps on.
            difficulty: 1 to 3. Of noise it means other frames.
        """
        outputs = np.asarray(outputs, np.float64)
        check_frames(outputs.shape[1], noise=noise, difficulty=difficulty)
        step = 1 if noise else difficulty

        def pairs(frames):
            """The earlier and the later frames of all pairs, along axis 1."""
            return frames[:, : 1 if noise else -step], frames[:, step:]

        rows = np.empty(len(outputs), cls.ROW)
        size = max(1, _BLOCK_VALUES // (outputs.shape[1] * outputs.shape[2]))
        for start in range(0, len(outputs), size):
            block = slice(start, start + size)
            # Of every class, from 1: the first of equal ones is before them.
            ranks = stats.rankdata(-outputs[block], "ordinal", axis=-1)
            earlier, later = pairs(ranks)
            moves = np.abs(earlier - np.minimum(later, _TOP + 1))
            shares, others = pairs(1.0 / ranks)
            for metric, values in (
                ("flip_probability", np.not_equal(*pairs(ranks.argmin(-1)))),
                ("top5_distance", (moves * (earlier <= _TOP)).sum(-1)),
                ("zipf_distance", (shares * np.abs(shares - others)).sum(-1)),
            ):
                rows[metric][block] = values.mean(axis=1)
        return rows


def check_frames(frames, *, noise, difficulty):
    """Raises a `UsageError` where sequences of so many frames have no pair."""
    least = 1 if noise else difficulty
    if frames <= least:
        raise UsageError(
            f"Sequences have {frames} frames, difficulty {difficulty} needs at "
            f"least {least + 1}: give whole sequences, or choose a lower "
            "difficulty."
        )
