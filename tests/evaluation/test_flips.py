"""Stability metrics against the oracle, a restatement and closed forms."""

import itertools
import json

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import flip_rates, flips
from support.usage import assert_usage_error

PAIRINGS = list(itertools.product((True, False), (1, 2, 3)))
flip, top5, zipf = (
    flips.flip_probability,
    flips.top5_distance,
    flips.zipf_distance,
)
rates, mean = flip_rates.flip_rates, flip_rates.mean_over_perturbations


def tally_of(*batches, noise=False, difficulty=1):
    tally = flips.FlipTally(noise=noise, difficulty=difficulty)
    for batch in batches:
        tally.update(batch)
    return tally


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("noise, difficulty", PAIRINGS)
def test_oracle(golden, noise, difficulty):
    inputs = golden("p_metrics_inputs.npz")
    kind = "noise" if noise else "nonnoise"
    expected = golden("p_metrics_expected.json")
    expected = expected[f"difficulty{difficulty}_{kind}"]
    pairing = {"noise": noise, "difficulty": difficulty}
    wanted = expected["flip_prob_predictions"]
    got = flip(inputs["predictions"], **pairing)
    assert got == pytest.approx(wanted, abs=1e-12)
    for name in ("logits", "logits_ties_c10"):
        outputs = inputs[name]
        got = [tally_of(outputs, **pairing).flip_probability]
        # Ranks are outputs too.
        ranks = inputs[f"{name}__ranks"].astype(int)
        for metric in (top5, zipf):
            got.append(metric(outputs, **pairing))
            assert metric(-ranks, **pairing) == got[-1]
        names = (f"{name}_{m}" for m in ("flip_prob", "top5", "zipf"))
        wanted = [expected[each] for each in names]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def restated(outputs, noise, difficulty):
    """Per sequence: flips, top-5 and Zipf distances; by sorting and loops."""
    rows = []
    classes = range(outputs.shape[-1])
    for sequence in outputs:
        # Python's sort is stable: of equal outputs the first class is better.
        orders = [sorted(classes, key=lambda c: -f[c]) for f in sequence]
        later = (
            range(1, len(orders)) if noise else range(difficulty, len(orders))
        )
        values = []
        for t in later:
            one, two = orders[0 if noise else t - difficulty], orders[t]
            moves = [(rank, two.index(which)) for rank, which in enumerate(one)]
            far = sum(abs(r - min(s, 5)) for r, s in moves[:5])
            terms = (abs(1 / (r + 1) - 1 / (s + 1)) / (r + 1) for r, s in moves)
            values.append([one[0] != two[0], far, sum(terms)])
        rows.append(np.mean(values, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("noise, difficulty", PAIRINGS)
@pytest.mark.parametrize("kind", ["ties", "infinite", "half", "two"])
def test_restatement(kind, noise, difficulty):
    outputs = draws(6, 9, 40).astype(np.float32)
    if kind == "ties":
        outputs = np.round(outputs)
        outputs[outputs == 0] = np.copysign(0, outputs[outputs == 0])
    elif kind == "infinite":
        outputs[..., ::3] = -np.inf
        outputs[0, 0, 5] = np.inf
    elif kind == "half":
        outputs = outputs.astype(np.float16)
    elif kind == "two":
        outputs = outputs[..., :2]
    tally = tally_of(outputs, noise=noise, difficulty=difficulty)
    values = restated(outputs, noise, difficulty)
    np.testing.assert_allclose(tally.sums, values.sum(axis=0), rtol=1e-12)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    result = tally.result()
    assert result.pop("n") == 6
    assert tuple(result) == flips.METRICS
    for metric, error, value in zip(flips.METRICS, errors, values.mean(axis=0)):
        measured = result[metric].values()
        assert list(measured) == pytest.approx([value, error], rel=1e-9)


def test_closed_forms():
    # The answer alternates: every neighbour differs, two steps on none does.
    sequence = [[0, 1] * 4]
    assert flip(sequence, noise=False) == 1.0
    assert flip(sequence, noise=False, difficulty=2) == 0.0
    assert flip(sequence, noise=False, difficulty=3) == 1.0
    # Of the seven later frames four differ from the first.
    assert flip(sequence, noise=True) == pytest.approx(4 / 7)
    assert flip(sequence, noise=True, difficulty=3) == pytest.approx(4 / 7)
    # Five classes out, five others in: |0-5| + |1-5| + ... + |4-5| = 15.
    scores = np.arange(10.0)
    assert top5([[scores, scores[::-1]]], noise=False) == 15
    assert top5([[scores, 2 * scores]], noise=True) == 0
    # Ranks 1 and 2 exchanged: |1 - 1/2| / 1 + |1/2 - 1| / 2.
    other = scores[[*range(8), 9, 8]]
    assert zipf([[scores, other]], noise=True) == 0.75


def test_sequences_weigh_the_same_whatever_their_length():
    tally = tally_of(np.eye(2)[[[0, 1]]])
    assert tally.standard_error("flip_probability") is None
    tally.update(np.eye(2)[[[0] * 31]])
    assert tally.flip_probability == 0.5
    assert tally.standard_error("flip_probability") == 0.5
    # Ten equal values of 2/3: no spread, whatever the rounding.
    tally = tally_of(np.eye(3)[[[0, 1, 1, 0]] * 10])
    error = tally.standard_error("flip_probability")
    assert error == pytest.approx(0, abs=1e-8)


def test_batches_blocks_and_merging_add_up(monkeypatch):
    outputs = draws(50, 8, 20)
    whole = tally_of(outputs, difficulty=2)
    # How much is computed at a time never shows.
    monkeypatch.setattr(flips, "_BLOCK_VALUES", 1000)
    parts = [tally_of(*outputs[i::2, None], difficulty=2) for i in range(2)]
    parts[0].merge(parts[1])
    assert parts[0].n == whole.n == 50
    np.testing.assert_allclose(parts[0].sums, whole.sums, rtol=1e-12)
    squares = parts[0].square_sums, whole.square_sums
    np.testing.assert_allclose(*squares, rtol=1e-12)
    assert (
        tally_of(outputs, difficulty=2).measurements() == whole.measurements()
    )


def test_measurements_are_json_and_restore():
    outputs = draws(5, 4, 6)
    tally = tally_of(outputs, noise=np.bool_(True), difficulty=np.int64(2))
    measurements = json.loads(json.dumps(tally.measurements()))
    restored = flips.FlipTally.restore(5, measurements)
    assert restored.result() == tally.result()
    bad = outputs.copy()
    bad[1, 3, 4] = np.nan
    assert_usage_error(lambda: tally.update(bad), "NaN")
    # Of a bad batch nothing is added.
    assert tally.measurements() == measurements and tally.n == 5


def test_aggregates():
    names = corruptions.perturbation_names("cifar")
    ours = {name: 0.01 * (k + 1) for k, name in enumerate(names)}
    ours["shear"] = 1.0
    reference = dict.fromkeys((*names, "shear"), 0.1)
    assert mean(ours, names) == pytest.approx(0.055)
    # Gaussian and shot noise come first in the benchmark's order.
    assert mean(ours, names, without_noise=True) == pytest.approx(0.065)
    found = rates(ours, reference)
    assert found["shear"] == pytest.approx(1000)
    assert mean(found, names) == pytest.approx(55)
    assert flip_rates.top5_rates(ours, reference) == found
    # The mean of rates is no rate of means.
    ours, reference = {"tilt": 0.1, "scale": 0.3}, {"tilt": 0.1, "scale": 0.6}
    assert mean(rates(ours, reference), ("tilt", "scale")) == 75


OUT = np.zeros([2, 4, 5])
NOISY = flips.FlipTally(noise=True)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: flip([0, 1], noise=True), "[N, T]"),
        (lambda: flip([[0.1, 1]], noise=True), "float64"),
        (lambda: flip(OUT, noise=True), "argmax"),
        (lambda: flip([[1]], noise=True), "2 frames"),
        (lambda: flip([[1, 2, 3]], noise=False, difficulty=3), "4 frames"),
        (lambda: flip(OUT[:0, :, 0] > 0, noise=True), "bool"),
        (lambda: flip([[1, 2]], noise="no"), "'no'"),
        (lambda: tally_of(difficulty=4), "4 does not"),
        (lambda: tally_of(difficulty=True), "True"),
        (lambda: top5(OUT[0], noise=False), "[4, 5]"),
        (lambda: top5(OUT[:0], noise=False), "[0, 4, 5]"),
        (lambda: tally_of().merge(NOISY), "with the first one"),
        (lambda: rates({"tilt": 0.1}, {}), "flip probability of til"),
        (lambda: rates({"tilt": 0.1}, {"tilt": 0.0}), "tilt"),
        (lambda: rates({"tilt": 0.1}, {"tilt": None}), "None"),
        (lambda: rates({"tilt": None}, {"tilt": 1}), "None"),
        (lambda: flip_rates.top5_rates({"tilt": 1}, {}), "top-5 distance"),
        (lambda: mean({"tilt": 1}, ("tilt", "fog", "scale")), "'fog'"),
        (lambda: mean({"tilt": 1}, ("tilt", "scale", "snow")), "scale, snow"),
        (lambda: mean({}, ("shot_noise",), without_noise=True), "out noise"),
    ],
)
def test_bad_input(call, words):
    assert_usage_error(call, words)
