"""What a classifier said of images: a row for each, and the metrics of rows.

A metric is an array: its value, then its values for resampled images (see
`resampling`), so that sums, ratios and differences carry uncertainty along.
"""

import functools

import numpy as np
from scipy import special

from noisymix_tf.evaluation import resampling

NUM_BINS = 15
_ADAPTIVE_BIN = 100

# The smallest normal float32: what a softmax rounded to zero counts as this, so
# that one certain mistake costs 87 nats instead of infinity.
_SMALLEST = float(np.finfo(np.float32).tiny)


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
        lambda scores: resampling.means(scores.rows[field], scores.group)
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
    def of(cls, outputs, labels, from_logits=True):
        """Rows of outputs.

        Args:
            outputs: float `[n, K]`, logits or probabilities.
            labels: int `[n]`, in [0, K).
            from_logits: Which of the two.
        """
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

    def calibration_error(self, num_bins=NUM_BINS):
        """Mean over images of |accuracy - mean confidence| of their bin.

        Bins are of equal width, closed at the right (Guo et al., 2017, "On
        Calibration of Modern Neural Networks", eq. 5).
        """
        confidence, gaps = self.rows["confidence"], np.zeros([self.n, num_bins])
        places = np.arange(self.n), bin_places(confidence, num_bins)
        gaps[places] = confidence - self.rows["right"]
        return np.abs(resampling.means(gaps, self.group)).sum(axis=-1)

    ece = functools.cached_property(calibration_error)

    def bins(self, places=None):
        """float64 `[m, 3]`: count, sum of confidence, sum of right.

        Of `NUM_BINS` bins of equal width, unless `places` say `[n]` others.
        """
        confidence, right = self.rows["confidence"], self.rows["right"]
        places = bin_places(confidence) if places is None else places
        values = np.ones(self.n), confidence, right
        sums = [np.bincount(places, own, NUM_BINS) for own in values]
        return np.stack(sums, axis=-1)

    @property
    def rms_calibration_error(self):
        """As `ece`, with the square of the difference, and the root at last.

        Source: Hendrycks et al. (2019), "Deep Anomaly Detection with Outlier
        Exposure", section 4.5, there with bins of equal size.
        """
        return _root_mean_square(self.bins())

    @property
    def adaptive_calibration_error(self):
        """`rms_calibration_error` in bins of 100 images by confidence, or more.

        As ImageNet-R's authors have it (Hendrycks et al., 2021, "The Many Faces
        of Robustness"), but for the last bin, which their code leaves out.
        """
        order = np.argsort(self.rows["confidence"], kind="stable")
        places = np.argsort(order) // _ADAPTIVE_BIN
        last = max(1, self.n // _ADAPTIVE_BIN) - 1
        return _root_mean_square(self.bins(np.minimum(places, last)))

    @property
    def aurra(self):
        """Area under the curve of accuracy against response rate.

        The mean over k of the accuracy on the k most confident images (same
        source).
        """
        order = np.argsort(-self.rows["confidence"], kind="stable")
        right = np.cumsum(self.rows["right"][order])
        return float((right / np.arange(1, self.n + 1)).mean())

    @functools.cached_property
    def balanced_accuracy(self):
        """Mean over the classes that are there of the accuracy of each."""
        weights = np.ones(self.n), *resampling.draws(self.n, self.group)
        return np.array([self._by_class(own)[1].mean() for own in weights])

    @property
    def class_accuracy(self):
        """`{class: accuracy}` of the classes that are there."""
        own = self._by_class(np.ones(self.n))
        return dict(zip(*(values.tolist() for values in own)))

    def _by_class(self, weights):
        counts = np.bincount(self.rows["label"], weights)
        right = np.bincount(self.rows["label"], weights * self.rows["right"])
        (there,) = np.nonzero(counts)
        return there, right[there] / counts[there]

    @property
    def largest_class(self):
        """Share of the most frequent label: what saying only it gets right."""
        return float(np.bincount(self.rows["label"]).max() / self.n)


def bin_places(confidence, num_bins=NUM_BINS):
    """Bins of equal width, their right edges included: int `[n]`."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    places = np.searchsorted(edges, confidence, side="left") - 1
    return np.clip(places, 0, num_bins - 1)


def _root_mean_square(bins):
    counts, confidence, right = bins[bins[:, 0] > 0].T
    squares = np.square(confidence - right) / counts
    return float(np.sqrt(squares.sum() / counts.sum()))
