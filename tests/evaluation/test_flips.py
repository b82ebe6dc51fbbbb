"""Stability metrics against the oracle and closed forms."""

import numpy as np
import pytest

from noisymix_tf.evaluation import flips
from noisymix_tf.evaluation.flips import FlipScores


def rows_of(outputs, noise=False, difficulty=1):
    return FlipScores.of(outputs, noise=noise, difficulty=difficulty)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("noise", [True, False])
def test_oracle(golden, noise, difficulty):
    inputs = golden("p_metrics_inputs.npz")
    name = f"difficulty{difficulty}_{'noise' if noise else 'nonnoise'}"
    expected = golden("p_metrics_expected.json")[name]
    pairing = {"noise": noise, "difficulty": difficulty}
    answers = np.eye(20)[inputs["predictions"]]
    got = rows_of(answers, **pairing)["flip_probability"].mean()
    wanted = expected["flip_prob_predictions"]
    assert got == pytest.approx(wanted, abs=1e-12)
    for name in ("logits", "logits_ties_c10"):
        outputs, ranks = inputs[name], inputs[f"{name}__ranks"].astype(int)
        scores = FlipScores(rows_of(outputs, **pairing))
        # Ranks are outputs too.
        again = rows_of(-ranks, **pairing)
        assert again.tobytes() == scores.rows.tobytes()
        metrics = ("flip_probability", "top5_distance", "zipf_distance")
        got = [getattr(scores, metric)[0] for metric in metrics]
        words = ("flip_prob", "top5", "zipf")
        wanted = [expected[f"{name}_{word}"] for word in words]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_closed_forms():
    def moves(outputs, noise=False):
        return rows_of(outputs, noise)[["top5_distance", "zipf_distance"]][0]

    # Five classes out, five others in: |0-5| + |1-5| + ... + |4-5| = 15.
    scores = np.arange(10.0)
    assert moves([[scores, scores[::-1]]])[0] == 15
    assert moves([[scores, 2 * scores]], True).tolist() == (0, 0)
    # Ranks 1 and 2 exchanged: |1 - 1/2| / 1 + |1/2 - 1| / 2.
    other = scores[[*range(8), 9, 8]]
    assert moves([[scores, other]], True).tolist() == (2, 0.75)
    # Two classes, half precision; minus infinity is the last place.
    two = np.float16([[[1, -np.inf], [0, 1], [0, 1]]])
    assert moves(two).tolist() == (1, 0.375)
    assert moves(two, True).tolist() == (2, 0.75)
    # Of equal outputs, as both zeros are, the first class is better.
    ties = [[[-0.0, 0.0, -1], [0.0, -0.0, -1], [0.0, 0.0, 0.0]]]
    assert rows_of(ties).tolist() == [(0, 0, 0)]


def test_how_much_is_computed_at_a_time_never_shows(monkeypatch):
    outputs = np.random.default_rng(0).normal(size=[50, 8, 20])
    whole = rows_of(outputs, difficulty=2)
    assert len(np.unique(whole["zipf_distance"])) == 50
    monkeypatch.setattr(flips, "_BLOCK_VALUES", 1000)
    assert rows_of(outputs, difficulty=2).tobytes() == whole.tobytes()
