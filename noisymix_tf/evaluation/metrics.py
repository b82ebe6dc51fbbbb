"""Accuracy, likelihood, calibration and Brier score from one forward pass.

Everything is a sum over images, so batches, workers and machines merge by
addition: `Tally` keeps the sums; the functions are its one-batch shorthands.
"""

import numpy as np

NUM_BINS = 15

# The smallest normal float32: what a float32 softmax can round to zero counts
# as this, so that one certain mistake costs 87 nats instead of infinity.
_SMALLEST = float(np.finfo(np.float32).tiny)


def log_softmax(logits):
    """Natural logarithms of the softmax over the last axis, float64."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def calibration_bins(confidence, correct, num_bins=NUM_BINS):
    """Sums per equal-width bin of confidence, the right edge included.

    Args:
        confidence: float `[n]` in [0, 1], the largest probability per image.
        correct: bool `[n]`.
        num_bins: Number of bins.

    Returns:
        float64 `[num_bins, 3]`: count, sum of confidence, sum of correct.
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    place = np.searchsorted(edges, confidence, side="left") - 1
    place = np.clip(place, 0, num_bins - 1)
    return np.stack(
        [
            np.bincount(place, weights=weights, minlength=num_bins)
            for weights in (np.ones_like(confidence), confidence, correct)
        ],
        axis=-1,
    )


def calibration_error(bins):
    """Expected calibration error of a bin table.

    The mean over images of |accuracy - mean confidence| of their bin (Guo et
    al., 2017, "On Calibration of Modern Neural Networks", eq. 5).
    """
    bins = np.asarray(bins, np.float64)
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / bins[:, 0].sum())


def rms_calibration_error(bins):
    """Root mean square calibration error of a bin table.

    As `calibration_error`, with the square of the difference, and the root of
    its mean (Hendrycks et al., 2019, "Deep Anomaly Detection with Outlier
    Exposure", section 4.5, there with bins of equal size).
    """
    bins = np.asarray(bins, np.float64)
    filled = bins[bins[:, 0] > 0]
    gaps = (filled[:, 1] - filled[:, 2]) / filled[:, 0]
    weights = filled[:, 0] / filled[:, 0].sum()
    return float(np.sqrt((weights * np.square(gaps)).sum()))


class Tally:
    """Sums over images, in memory that does not grow with their number.

    Args:
        from_logits: Whether outputs are logits, or else probabilities.
        num_bins: Number of calibration bins.

    Example:

    >>> tally = Tally(from_logits=False)
    >>> tally.update([[0.8, 0.2], [0.4, 0.6]], [0, 0])
    >>> tally.accuracy
    0.5
    """

    def __init__(self, from_logits=True, num_bins=NUM_BINS):
        self.from_logits = from_logits
        self.n = 0
        self.correct = 0
        self.nll_sum = 0.0
        self.brier_sum = 0.0
        self.bins = np.zeros([num_bins, 3])

    def update(self, outputs, labels):
        """Adds a batch.

        Args:
            outputs: float `[n, K]`, logits or probabilities.
            labels: int `[n]`, in [0, K).
        """
        outputs = np.asarray(outputs, np.float64)
        labels = np.asarray(labels)
        if self.from_logits:
            log_probabilities = log_softmax(outputs)
            probabilities = np.exp(log_probabilities)
        else:
            probabilities = outputs
            log_probabilities = np.log(np.maximum(outputs, _SMALLEST))
        rows = np.arange(len(labels))
        correct = outputs.argmax(axis=-1) == labels
        # |p - onehot|^2 without the one-hot matrix.
        brier = (
            np.square(probabilities).sum(axis=-1)
            - 2.0 * probabilities[rows, labels]
            + 1.0
        )
        self.n += len(labels)
        self.correct += int(correct.sum())
        self.nll_sum -= float(log_probabilities[rows, labels].sum())
        self.brier_sum += float(brier.sum())
        self.bins += calibration_bins(
            probabilities.max(axis=-1), correct, len(self.bins)
        )

    def merge(self, other):
        """Adds the sums of another tally of the same number of bins."""
        self.n += other.n
        self.correct += other.correct
        self.nll_sum += other.nll_sum
        self.brier_sum += other.brier_sum
        self.bins = self.bins + other.bins

    @property
    def accuracy(self):
        """Share of images whose largest output is at their label."""
        return self.correct / self.n

    @property
    def nll(self):
        """Mean negative log-likelihood, in nats."""
        return self.nll_sum / self.n

    @property
    def brier(self):
        """Mean over images of the squared error summed over classes."""
        return self.brier_sum / self.n

    @property
    def ece(self):
        """Expected calibration error."""
        return calibration_error(self.bins)

    @property
    def rms_calibration_error(self):
        """Root mean square calibration error."""
        return rms_calibration_error(self.bins)

    @property
    def confidence(self):
        """Mean of the largest probability."""
        return float(self.bins[:, 1].sum()) / self.n

    def measurements(self):
        """The sums as JSON values; `n` belongs to the cell."""
        return {
            "correct": self.correct,
            "nll_sum": self.nll_sum,
            "brier_sum": self.brier_sum,
            "bins": [
                [int(count), confidence, int(correct)]
                for count, confidence, correct in self.bins.tolist()
            ],
        }

    @classmethod
    def restore(cls, n, measurements):
        """Undoes `measurements`."""
        tally = cls(num_bins=len(measurements["bins"]))
        tally.n = n
        tally.correct = measurements["correct"]
        tally.nll_sum = measurements["nll_sum"]
        tally.brier_sum = measurements["brier_sum"]
        tally.bins = np.array(measurements["bins"], np.float64)
        return tally


def tally(outputs, labels, from_logits=True, num_bins=NUM_BINS):
    """The `Tally` of one batch: `outputs` `[n, K]`, `labels` int `[n]`."""
    sums = Tally(from_logits, num_bins)
    sums.update(outputs, labels)
    return sums


def accuracy(outputs, labels):
    """Accuracy of `outputs` `[n, K]`, logits or probabilities, in [0, 1]."""
    return float((np.argmax(outputs, axis=-1) == np.asarray(labels)).mean())


def nll(outputs, labels, from_logits=True):
    """Mean negative log-likelihood in nats."""
    return tally(outputs, labels, from_logits).nll


def ece(outputs, labels, from_logits=True, num_bins=NUM_BINS):
    """Expected calibration error with equal-width, right-closed bins."""
    return tally(outputs, labels, from_logits, num_bins).ece


def brier(outputs, labels, from_logits=True):
    """Brier score: squared error summed over classes, mean over images."""
    return tally(outputs, labels, from_logits).brier
