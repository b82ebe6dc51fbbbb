"""How steadily a classifier answers along the frames of a sequence.

The stability metrics of the -P benchmarks (Hendrycks and Dietterich, 2019,
section 4.3 and appendix; its code gives the difficulties).
"""

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.metrics import Scores, mean_of

_TOP = 5

# Values of one block of sequences. A result never depends on it; its
# temporaries stay in the processor's cache, and memory stays bounded.
_BLOCK_VALUES = 1 << 15


class FlipScores(Scores):
    """How steady a classifier's answers to sequences are.

    Rows hold means over the pairs of frames of a sequence, and metrics of the
    same names their means: `flip_probability`, the share whose best classes
    differ; `top5_distance`, the places by which the earlier frame's five best
    classes have moved in the later one, where all behind the fifth count as
    the sixth, summed: 0 to 15; `zipf_distance`, the sum over classes of
    |1/r - 1/s| / r, where r is the rank in the earlier frame, s in the later.

    >>> rows = FlipScores.of([[[2, 1], [2, 1]], [[2, 1], [1, 2]]], noise=False)
    >>> float(FlipScores(rows).flip_probability[0])
    0.5
    """

    METRICS = ("flip_probability", "top5_distance", "zipf_distance")
    ROW = np.dtype([(name, "<f8") for name in METRICS])
    flip_probability, top5_distance, zipf_distance = map(mean_of, METRICS)

    @classmethod
    def of(cls, outputs, *, noise, difficulty=1):
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
            orders = _orders(outputs[block])
            earlier, later = pairs(_weights(orders))
            for metric, moves in (
                ("flip_probability", np.not_equal(*pairs(orders[..., 0]))),
                ("top5_distance", _top5_moves(*pairs(orders[..., :_TOP]))),
                ("zipf_distance", (earlier * abs(earlier - later)).sum(-1)),
            ):
                rows[metric][block] = moves.mean(axis=1)
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


def _top5_moves(earlier, later):
    same = earlier[..., :, None] == later[..., None, :]
    places = np.where(same.any(axis=-1), same.argmax(axis=-1), _TOP)
    return np.abs(places - np.arange(places.shape[-1])).sum(axis=-1)


def _weights(orders):
    """1 / rank of every class."""
    weights = np.empty(orders.shape)
    values = 1.0 / np.arange(1, orders.shape[-1] + 1)
    np.put_along_axis(weights, orders, values, axis=-1)
    return weights


def _orders(outputs):
    """`[n, T, K]` classes from the best on; of equal ones the first is."""
    negative = -outputs
    orders = np.argsort(negative, axis=-1)
    ordered = np.take_along_axis(negative, orders, axis=-1)
    # The fast sort leaves equal values in any order: those frames again.
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if tied.any():
        orders[tied] = np.argsort(negative[tied], axis=-1, kind="stable")
    return orders
