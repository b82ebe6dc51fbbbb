"""How steadily a classifier answers along the frames of a sequence.

The stability metrics of the -P benchmarks (Hendrycks and Dietterich, 2019,
section 4.3): how often the answer flips, and how far the ranking of the classes
moves, by its first five places or by all places weighted as 1, 1/2, 1/3...
(Zipf). Every sequence gives one value per metric; `FlipTally` sums them, so
that batches, workers and machines merge by addition.
"""

import numpy as np

from noisymix_tf.corruptions import DIFFICULTIES, checks
from noisymix_tf.errors import UsageError

METRICS = ("flip_probability", "top5_distance", "zipf_distance")

_TOP = 5

# Values of one block of sequences. A result never depends on it; its
# temporaries stay in the processor's cache, and memory stays bounded.
_BLOCK_VALUES = 1 << 15


def flip_probability(predictions, *, noise, difficulty=1):
    """Mean over sequences of the share of frame pairs that disagree.

    Args:
        predictions: int `[N, T]`, the class of every frame.
        noise: Whether the frames hold fresh noise: each is then compared with
            the first one. Otherwise frames that are `difficulty` steps apart
            are compared, from every start.
        difficulty: 1 to 3. It changes nothing for noise, where it means other
            frames.

    Returns:
        Float in [0, 1].

    Raises:
        UsageError: If an argument is not of this form, or a sequence is so
            short that it has no pair.

    Example:

    >>> flip_probability([[3, 3, 5, 3]], noise=False)
    0.6666666666666666
    >>> flip_probability([[3, 3, 5, 3]], noise=True)
    0.3333333333333333

    Source: Hendrycks and Dietterich (2019), section 4.3; its code gives the
    difficulties.
    """
    predictions = np.asarray(predictions)
    if predictions.ndim != 2 or predictions.dtype.kind not in "iu":
        raise UsageError(
            "Predictions of sequences are ints [N, T], got "
            f"{predictions.dtype} {list(predictions.shape)}: take the argmax "
            "of outputs [N, T, C] first."
        )
    _check_sequences(predictions.shape, noise, difficulty)
    return float(_flips(predictions, noise, difficulty).mean())


def top5_distance(outputs, *, noise, difficulty=1):
    """Mean over sequences of how far the first five classes of a frame move.

    Of a pair of frames: the five best classes of the earlier one, and the sum
    of the places they have moved by in the later one, where all places behind
    the fifth count as the sixth. Between 0 and 15. With fewer than five classes
    it is about all of them.

    Args:
        outputs: float `[N, T, C]`, logits or probabilities. Equal ones rank in
            the order of the classes. Ranks (1 is best) are given as `-ranks`.
        noise, difficulty: As in `flip_probability`.

    Returns:
        Float.

    Raises:
        UsageError: As in `flip_probability`, and if an output is NaN.

    Example:

    >>> outputs = [[[9, 8, 7, 6, 5, 4, 3], [8, 9, 7, 6, 5, 4, 3]]]
    >>> top5_distance(outputs, noise=False)
    2.0

    Source: Hendrycks and Dietterich (2019), section 4.3.
    """
    return _tally(outputs, noise, difficulty).top5_distance


def zipf_distance(outputs, *, noise, difficulty=1):
    """Mean over sequences of how far all classes move, the best weighing most.

    Of a pair of frames: the sum over classes of |1/r - 1/s| / r, where r is the
    rank in the earlier frame and s that in the later one.

    Args:
        outputs, noise, difficulty: As in `top5_distance`.

    Returns:
        Float.

    Raises:
        UsageError: As in `top5_distance`.

    Example:

    >>> zipf_distance([[[2, 1], [1, 2]]], noise=False)
    0.75

    Source: Hendrycks and Dietterich (2019), appendix; its code.
    """
    return _tally(outputs, noise, difficulty).zipf_distance


class FlipTally:
    """Sums over sequences, in memory that does not grow with their number.

    Args:
        noise, difficulty: As in `flip_probability`.

    Raises:
        UsageError: If they are not of this form.

    Example:

    >>> tally = FlipTally(noise=False)
    >>> tally.update([[[2, 1], [2, 1]], [[2, 1], [1, 2]]])
    >>> tally.flip_probability, tally.standard_error("flip_probability")
    (0.5, 0.5)
    """

    def __init__(self, *, noise, difficulty=1):
        _check_pairing(noise, difficulty)
        self.noise = bool(noise)
        self.difficulty = int(difficulty)
        self.n = 0
        self.sums = np.zeros(len(METRICS))
        self.square_sums = np.zeros(len(METRICS))

    def update(self, outputs):
        """Adds a batch of whole sequences.

        Args:
            outputs: float `[n, T, C]`, logits or probabilities. Other batches
                may have other T.

        Raises:
            UsageError: If the outputs cannot be used; nothing is then added.
        """
        outputs = _check_outputs(outputs, self.noise, self.difficulty)
        size = max(1, _BLOCK_VALUES // (outputs.shape[1] * outputs.shape[2]))
        values = np.concatenate(
            [
                self._values(outputs[start : start + size])
                for start in range(0, len(outputs), size)
            ]
        )
        self.n += len(values)
        self.sums += values.sum(axis=0)
        self.square_sums += np.square(values).sum(axis=0)

    def _values(self, outputs):
        """The metrics of every sequence, float64 `[n, 3]`."""
        orders = _orders(outputs)
        pairing = self.noise, self.difficulty
        return np.stack(
            [
                _flips(orders[..., 0], *pairing),
                _top5_moves(orders[..., :_TOP], *pairing),
                _zipf_moves(orders, *pairing),
            ],
            axis=-1,
        )

    def merge(self, other):
        """Adds the sums of another tally.

        Raises:
            UsageError: If it compares other pairs of frames.
        """
        ours, theirs = _pairing(self), _pairing(other)
        if ours != theirs:
            raise UsageError(
                f"Sequences whose frames are compared {ours} and {theirs} have "
                "no common mean: merge tallies of one kind."
            )
        self.n += other.n
        self.sums = self.sums + other.sums
        self.square_sums = self.square_sums + other.square_sums

    @property
    def flip_probability(self):
        """Mean share of frame pairs whose best classes differ."""
        return self._mean("flip_probability")

    @property
    def top5_distance(self):
        """Mean distance between the first five places of a pair."""
        return self._mean("top5_distance")

    @property
    def zipf_distance(self):
        """Mean distance between all places of a pair, by Zipf's weights."""
        return self._mean("zipf_distance")

    def standard_error(self, metric):
        """Standard error of one of `METRICS` over sequences; None below two."""
        if self.n < 2:
            return None
        place = METRICS.index(metric)
        total, squares = self.sums[place], self.square_sums[place]
        # Rounding can bring the spread of equal values just below zero.
        spread = max(0.0, squares - total * total / self.n)
        return float(np.sqrt(spread / (self.n - 1) / self.n))

    def result(self):
        """`{"n": n, metric: {"mean": ..., "standard_error": ...}}`."""
        return {
            "n": self.n,
            **{
                metric: {
                    "mean": self._mean(metric),
                    "standard_error": self.standard_error(metric),
                }
                for metric in METRICS
            },
        }

    def measurements(self):
        """The sums as JSON values; `n` belongs to the cell."""
        return {
            "noise": self.noise,
            "difficulty": self.difficulty,
            "sums": dict(zip(METRICS, self.sums.tolist())),
            "square_sums": dict(zip(METRICS, self.square_sums.tolist())),
        }

    @classmethod
    def restore(cls, n, measurements):
        """Undoes `measurements`."""
        tally = cls(
            noise=measurements["noise"], difficulty=measurements["difficulty"]
        )
        tally.n = n
        for field in ("sums", "square_sums"):
            values = [measurements[field][metric] for metric in METRICS]
            setattr(tally, field, np.array(values, np.float64))
        return tally

    def _mean(self, metric):
        return float(self.sums[METRICS.index(metric)]) / self.n


def _tally(outputs, noise, difficulty):
    tally = FlipTally(noise=noise, difficulty=difficulty)
    tally.update(outputs)
    return tally


def _pairs(frames, noise, difficulty):
    """The earlier and the later frames of all pairs, along axis 1."""
    if noise:
        return frames[:, :1], frames[:, 1:]
    return frames[:, :-difficulty], frames[:, difficulty:]


def _flips(best, noise, difficulty):
    earlier, later = _pairs(best, noise, difficulty)
    return (earlier != later).mean(axis=1)


def _top5_moves(leaders, noise, difficulty):
    """`leaders` `[n, T, 5]`, the best classes in order, to float `[n]`."""
    earlier, later = _pairs(leaders, noise, difficulty)
    same = earlier[..., :, None] == later[..., None, :]
    places = np.where(same.any(axis=-1), same.argmax(axis=-1), _TOP)
    moves = np.abs(places - np.arange(places.shape[-1]))
    return moves.sum(axis=-1).mean(axis=1)


def _zipf_moves(orders, noise, difficulty):
    """`orders` `[n, T, C]`, all classes from the best on, to float `[n]`."""
    weights = np.empty(orders.shape)
    ranks = np.arange(1, orders.shape[-1] + 1)
    np.put_along_axis(weights, orders, 1.0 / ranks, axis=-1)
    earlier, later = _pairs(weights, noise, difficulty)
    moves = np.abs(earlier - later)
    moves *= earlier
    return moves.sum(axis=-1).mean(axis=1)


def _orders(outputs):
    """Classes from the best to the worst; of equal ones the first is better."""
    negative = -outputs
    orders = np.argsort(negative, axis=-1)
    ordered = np.take_along_axis(negative, orders, axis=-1)
    # The fast sort leaves equal values in any order: those frames again.
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if tied.any():
        orders[tied] = np.argsort(negative[tied], axis=-1, kind="stable")
    return orders


def _pairing(tally):
    if tally.noise:
        return "with the first one"
    return f"{tally.difficulty} apart"


def _check_pairing(noise, difficulty):
    if not isinstance(noise, bool | np.bool_):
        raise UsageError(f"noise must be True or False, got {noise!r}.")
    checks.level("Difficulty", difficulty, DIFFICULTIES)


def _check_sequences(shape, noise, difficulty):
    _check_pairing(noise, difficulty)
    least = 1 if noise else difficulty
    if 0 in shape or shape[1] <= least:
        raise UsageError(
            f"Sequences need at least {least + 1} frames at difficulty "
            f"{difficulty}, and a batch at least one sequence, got shape "
            f"{list(shape)}: give whole sequences."
        )


def _check_outputs(outputs, noise, difficulty):
    outputs = np.asarray(outputs)
    if outputs.ndim != 3 or outputs.dtype.kind not in "fiu":
        raise UsageError(
            "Outputs of sequences are floats [N, T, C], got "
            f"{outputs.dtype} {list(outputs.shape)}: give every frame's "
            "outputs, grouped by sequence."
        )
    _check_sequences(outputs.shape, noise, difficulty)
    if outputs.dtype.kind in "iu":
        outputs = outputs.astype(np.float64)
    if np.isnan(outputs).any():
        raise UsageError(
            "Outputs hold NaN, which has no rank: check the model's weights "
            "and inputs."
        )
    return outputs
