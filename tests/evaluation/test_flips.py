"""Stability metrics against the oracle, a restatement and closed forms."""

import json

import numpy as np
import pytest

from noisymix_tf.evaluation import flip_rates, flips
from support.usage import assert_usage_error

flip = flips.flip_probability
top5, zipf = flips.top5_distance, flips.zipf_distance
rates, mean = flip_rates.flip_rates, flip_rates.mean_over_perturbations


def tally_of(*batches, noise=False, difficulty=1):
    tally = flips.FlipTally(noise=noise, difficulty=difficulty)
    for batch in batches:
        tally.update(batch)
    return tally


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("noise", [True, False])
def test_oracle(golden, noise, difficulty):
    inputs = golden("p_metrics_inputs.npz")
    name = f"difficulty{difficulty}_{'noise' if noise else 'nonnoise'}"
    expected = golden("p_metrics_expected.json")[name]
    pairing = {"noise": noise, "difficulty": difficulty}
    got = flip(inputs["predictions"], **pairing)
    wanted = expected["flip_prob_predictions"]
    assert got == pytest.approx(wanted, abs=1e-12)
    for name in ("logits", "logits_ties_c10"):
        outputs, ranks = inputs[name], inputs[f"{name}__ranks"].astype(int)
        got = [tally_of(outputs, **pairing).flip_probability]
        # Ranks are outputs too.
        for metric in (top5, zipf):
            got.append(metric(outputs, **pairing))
            assert metric(-ranks, **pairing) == got[-1]
        names = (f"{name}_{m}" for m in ("flip_prob", "top5", "zipf"))
        wanted = [expected[each] for each in names]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_closed_forms():
    # The answer alternates: every neighbour differs, two steps on none does.
    sequence = [[0, 1] * 4]
    assert flip(sequence, noise=False) == 1.0
    assert flip(sequence, noise=False, difficulty=2) == 0.0
    # Of the seven later frames four differ from the first.
    assert flip(sequence, noise=True, difficulty=3) == pytest.approx(4 / 7)
    # Five classes out, five others in: |0-5| + |1-5| + ... + |4-5| = 15.
    scores = np.arange(10.0)
    assert top5([[scores, scores[::-1]]], noise=False) == 15
    assert top5([[scores, 2 * scores]], noise=True) == 0
    # Ranks 1 and 2 exchanged: |1 - 1/2| / 1 + |1/2 - 1| / 2.
    other = scores[[*range(8), 9, 8]]
    assert zipf([[scores, other]], noise=True) == 0.75
    # Two classes, half precision; minus infinity is the last place.
    two = np.float16([[[1, -np.inf], [0, 1], [0, 1]]])
    assert top5(two, noise=False) == 1
    assert zipf(two, noise=True) == 0.75
    # Of equal outputs, as both zeros are, the first class is better.
    ties = [[[-0.0, 0.0, -1], [0.0, -0.0, -1], [0.0, 0.0, 0.0]]]
    assert zipf(ties, noise=False) == 0
    assert tally_of(ties).flip_probability == 0
    # Sequences weigh the same, whatever their length.
    tally = tally_of(np.eye(2)[[[0, 1]]])
    assert tally.standard_error("flip_probability") is None
    tally.update(np.eye(2)[[[0] * 31]])
    result = {"mean": 0.5, "standard_error": 0.5}
    assert tally.result()["flip_probability"] == result
    assert tuple(tally.result()) == ("n", *flips.METRICS)
    # Ten equal values of 2/3: no spread, whatever the rounding.
    tally = tally_of(np.eye(3)[[[0, 1, 1, 0]] * 10])
    assert abs(tally.standard_error("flip_probability")) < 1e-8


def test_batches_blocks_merging_and_restoring_add_up(monkeypatch):
    outputs = np.random.default_rng(0).normal(size=[50, 8, 20])
    whole = tally_of(outputs, difficulty=2)
    # How much is computed at a time never shows.
    monkeypatch.setattr(flips, "_BLOCK_VALUES", 1000)
    parts = [tally_of(*outputs[i::2, None], difficulty=2) for i in range(2)]
    parts[0].merge(parts[1])
    assert parts[0].n == whole.n == 50
    for sums in ("sums", "square_sums"):
        pair = getattr(parts[0], sums), getattr(whole, sums)
        np.testing.assert_allclose(*pair, rtol=1e-12)
    again = tally_of(outputs, difficulty=2)
    assert again.measurements() == whole.measurements()
    tally = tally_of(outputs, noise=np.bool_(True), difficulty=np.int64(2))
    measurements = json.loads(json.dumps(tally.measurements()))
    restored = flips.FlipTally.restore(50, measurements)
    assert restored.result() == tally.result()
    outputs[1, 3, 4] = np.nan
    assert_usage_error(lambda: tally.update(outputs), "NaN")
    # Of a bad batch nothing is added.
    assert tally.measurements() == measurements and tally.n == 50


def test_bad_input():
    outputs, noisy = np.zeros([2, 4, 5]), flips.FlipTally(noise=True)
    for call, words in (
        (lambda: flip([0, 1], noise=True), "[N, T]"),
        (lambda: flip([[0.1, 1]], noise=True), "float64"),
        (lambda: flip([[1, 2, 3]], noise=False, difficulty=3), "4 frames"),
        (lambda: flip([[1, 2]], noise="no"), "'no'"),
        (lambda: tally_of(difficulty=4), "4 does not"),
        (lambda: top5(outputs[0], noise=False), "[4, 5]"),
        (lambda: top5(outputs[:0], noise=False), "[0, 4, 5]"),
        (lambda: tally_of().merge(noisy), "with the first one"),
        (lambda: rates({"tilt": 0.1}, {}), "flip probability of til"),
        (lambda: rates({"tilt": 0.1}, {"tilt": 0.0}), "tilt"),
        (lambda: rates({"tilt": None}, {"tilt": 1}), "None"),
        (lambda: flip_rates.top5_rates({"tilt": 1}, {}), "top-5 distance"),
        (lambda: mean({"tilt": 1}, ("tilt", "scale", "snow")), "scale, snow"),
        (lambda: mean({}, ("shot_noise",), without_noise=True), "out noise"),
    ):
        assert_usage_error(call, words)
