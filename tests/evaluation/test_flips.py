"""Stability metrics against the oracle, a restatement and closed forms."""

import itertools
import json

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import flip_rates, flips

PAIRINGS = [
    pytest.param(noise, difficulty, id=f"{kind}{difficulty}")
    for noise, kind in ((True, "noise"), (False, "nonnoise"))
    for difficulty in (1, 2, 3)
]


@pytest.mark.parametrize("noise, difficulty", PAIRINGS)
def test_oracle(golden, noise, difficulty):
    inputs = golden("p_metrics_inputs.npz")
    kind = "noise" if noise else "nonnoise"
    expected = golden("p_metrics_expected.json")
    expected = expected[f"difficulty{difficulty}_{kind}"]
    pairing = {"noise": noise, "difficulty": difficulty}
    flip = flips.flip_probability(inputs["predictions"], **pairing)
    wanted = expected["flip_prob_predictions"]
    assert flip == pytest.approx(wanted, abs=1e-12)
    for name in ("logits", "logits_ties_c10"):
        tally = flips.FlipTally(**pairing)
        tally.update(inputs[name])
        got = [tally.flip_probability, tally.top5_distance, tally.zipf_distance]
        wanted = [
            expected[f"{name}_{m}"] for m in ("flip_prob", "top5", "zipf")
        ]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_oracle_ranks_are_outputs_too(golden):
    inputs = golden("p_metrics_inputs.npz")
    for name in ("logits", "logits_ties_c10"):
        ranks = inputs[f"{name}__ranks"].astype(int)
        for metric in (flips.top5_distance, flips.zipf_distance):
            assert metric(-ranks, noise=False) == metric(
                inputs[name], noise=False
            )


def _restated(outputs, noise, difficulty):
    """Per sequence: flips, top-5 and Zipf distances; by sorting and loops."""
    rows = []
    classes = outputs.shape[-1]
    for sequence in outputs:
        # Python's sort is stable: of equal outputs the first class is better.
        orders = [sorted(range(classes), key=lambda c: -f[c]) for f in sequence]
        last = len(orders) - 1
        pairs = (
            [(0, t) for t in range(1, last + 1)]
            if noise
            else [(t, t + difficulty) for t in range(last + 1 - difficulty)]
        )
        values = []
        for earlier, later in pairs:
            one, two = orders[earlier], orders[later]
            moves = [(rank, two.index(which)) for rank, which in enumerate(one)]
            values.append(
                [
                    one[0] != two[0],
                    sum(abs(r - min(s, 5)) for r, s in moves[:5]),
                    sum(
                        abs(1 / (r + 1) - 1 / (s + 1)) / (r + 1)
                        for r, s in moves
                    ),
                ]
            )
        rows.append(np.mean(values, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("noise, difficulty", PAIRINGS)
@pytest.mark.parametrize("kind", ["normal", "ties", "infinite", "half", "two"])
def test_restatement(kind, noise, difficulty):
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=[6, 9, 40]).astype(np.float32)
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
    tally = flips.FlipTally(noise=noise, difficulty=difficulty)
    tally.update(outputs)
    values = _restated(outputs, noise, difficulty)
    np.testing.assert_allclose(tally.sums, values.sum(axis=0), rtol=1e-12)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    for metric, error in zip(flips.METRICS, errors):
        assert tally.standard_error(metric) == pytest.approx(error, rel=1e-9)


def test_closed_forms():
    # The answer alternates: every neighbour differs, two steps on none does.
    sequence = [[0, 1] * 4]
    flip = flips.flip_probability
    assert flip(sequence, noise=False) == 1.0
    assert flip(sequence, noise=False, difficulty=2) == 0.0
    assert flip(sequence, noise=False, difficulty=3) == 1.0
    # Of the seven later frames four differ from the first.
    assert flip(sequence, noise=True) == pytest.approx(4 / 7)
    assert flip(sequence, noise=True, difficulty=3) == flip(
        sequence, noise=True
    )
    # Five classes out, five others in: |0-5| + |1-5| + ... + |4-5| = 15.
    scores = np.arange(10.0)
    swapped = [[scores, scores[::-1]]]
    assert flips.top5_distance(swapped, noise=False) == 15
    assert flips.top5_distance([[scores, 2 * scores]], noise=True) == 0
    # Ranks 1 and 2 exchanged: |1 - 1/2| / 1 + |1/2 - 1| / 2.
    other = scores.copy()
    other[[8, 9]] = other[[9, 8]]
    assert flips.zipf_distance([[scores, other]], noise=True) == 0.75


def test_sequences_weigh_the_same_whatever_their_length():
    tally = flips.FlipTally(noise=False)
    tally.update(np.eye(2)[[[0, 1]]])
    tally.update(np.eye(2)[[[0] * 31]])
    assert tally.flip_probability == 0.5
    assert tally.standard_error("flip_probability") == 0.5


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_and_merging_add_up(batch_size):
    outputs = np.random.default_rng(1).normal(size=[50, 8, 20])
    whole = flips.FlipTally(noise=False, difficulty=2)
    whole.update(outputs)
    parts = [flips.FlipTally(noise=False, difficulty=2) for _ in range(2)]
    for place, start in enumerate(range(0, 50, batch_size)):
        parts[place % 2].update(outputs[start : start + batch_size])
    parts[0].merge(parts[1])
    _assert_equal(parts[0], whole)


def test_blocks_do_not_show(monkeypatch):
    outputs = np.random.default_rng(2).normal(size=[30, 31, 10])
    tallies = []
    for values in (1, 1000, 1 << 20):
        monkeypatch.setattr(flips, "_BLOCK_VALUES", values)
        tallies.append(flips.FlipTally(noise=True))
        tallies[-1].update(outputs)
    for tally in tallies[1:]:
        assert tally.measurements() == tallies[0].measurements()


def test_measurements_are_json_and_restore():
    tally = flips.FlipTally(noise=np.bool_(True), difficulty=np.int64(2))
    tally.update(np.random.default_rng(3).normal(size=[5, 4, 6]))
    measurements = json.loads(json.dumps(tally.measurements()))
    restored = flips.FlipTally.restore(5, measurements)
    assert restored.result() == tally.result()
    restored.merge(tally)
    assert restored.n == 10
    assert restored.top5_distance == pytest.approx(tally.top5_distance)


def test_result_and_functions_are_the_tally():
    outputs = np.random.default_rng(4).normal(size=[20, 6, 12])
    tally = flips.FlipTally(noise=False)
    tally.update(outputs)
    result = tally.result()
    assert result["n"] == 20
    for metric in flips.METRICS:
        assert result[metric]["mean"] == getattr(tally, metric)
        error = tally.standard_error(metric)
        assert result[metric]["standard_error"] == error > 0
    assert flips.top5_distance(outputs, noise=False) == tally.top5_distance
    assert flips.zipf_distance(outputs, noise=False) == tally.zipf_distance
    assert flips.flip_probability(
        outputs.argmax(-1), noise=False
    ) == pytest.approx(tally.flip_probability, rel=1e-12)


def test_standard_error_of_little():
    tally = flips.FlipTally(noise=False)
    tally.update(np.eye(3)[[[0, 1, 1, 0]]])
    assert tally.standard_error("flip_probability") is None
    tally.update(np.eye(3)[[[0, 1, 1, 0]] * 9])
    # Ten equal values of 2/3: no spread, whatever the rounding.
    assert tally.standard_error("flip_probability") == pytest.approx(
        0, abs=1e-8
    )


def test_aggregates():
    names = corruptions.perturbation_names("cifar")
    ours = {name: 0.01 * (k + 1) for k, name in enumerate(names)}
    ours["shear"] = 1.0
    reference = {name: 0.1 for name in (*names, "shear")}
    mean = flip_rates.mean_over_perturbations
    assert mean(ours, names) == pytest.approx(0.055)
    # Gaussian and shot noise come first in the benchmark's order.
    assert mean(ours, names, without_noise=True) == pytest.approx(0.065)
    rates = flip_rates.flip_rates(ours, reference)
    assert rates["shear"] == pytest.approx(1000)
    assert mean(rates, names) == pytest.approx(55)
    assert mean(rates, names, without_noise=True) == pytest.approx(65)
    assert flip_rates.top5_rates(ours, reference) == rates
    itself = flip_rates.flip_rates(ours, ours)
    assert mean(itself, names) == pytest.approx(100)


def test_the_mean_of_rates_is_no_rate_of_means():
    ours, reference = {"tilt": 0.1, "scale": 0.3}, {"tilt": 0.1, "scale": 0.6}
    rates = flip_rates.flip_rates(ours, reference)
    assert flip_rates.mean_over_perturbations(rates, tuple(rates)) == 75


OUTPUTS = np.zeros([2, 4, 5])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: flips.flip_probability([0, 1], noise=True), "[N, T]"),
        (lambda: flips.flip_probability([[0.1, 1]], noise=True), "float64"),
        (lambda: flips.flip_probability(OUTPUTS, noise=True), "argmax"),
        (lambda: flips.flip_probability([[1]], noise=True), "2 frames"),
        (
            lambda: flips.flip_probability(
                [[1, 2, 3]], noise=False, difficulty=3
            ),
            "4 frames",
        ),
        (
            lambda: flips.flip_probability(OUTPUTS[:0, :, 0] > 0, noise=True),
            "bool",
        ),
        (lambda: flips.flip_probability([[1, 2]], noise="no"), "'no'"),
        (lambda: flips.FlipTally(noise=False, difficulty=4), "4 does not"),
        (lambda: flips.FlipTally(noise=False, difficulty=True), "True"),
        (lambda: flips.top5_distance(OUTPUTS[0], noise=False), "[4, 5]"),
        (lambda: flips.top5_distance(OUTPUTS[:0], noise=False), "[0, 4, 5]"),
        (lambda: flips.zipf_distance(OUTPUTS + np.nan, noise=False), "NaN"),
        (
            lambda: flips.FlipTally(noise=False).merge(
                flips.FlipTally(noise=True)
            ),
            "with the first one",
        ),
        (
            lambda: flip_rates.flip_rates({"tilt": 0.1}, {}),
            "flip probability of til",
        ),
        (lambda: flip_rates.flip_rates({"tilt": 0.1}, {"tilt": 0.0}), "tilt"),
        (lambda: flip_rates.flip_rates({"tilt": 0.1}, {"tilt": None}), "None"),
        (
            lambda: flip_rates.top5_rates({"tilt": 1}, {"snow": 1}),
            "top-5 distance",
        ),
        (lambda: flip_rates.flip_rates({"tilt": None}, {"tilt": 1}), "None"),
        (
            lambda: flip_rates.mean_over_perturbations(
                {"tilt": 0.1, "snow": None}, ("tilt", "scale", "snow")
            ),
            "lacks scale, snow",
        ),
        (
            lambda: flip_rates.mean_over_perturbations(
                {"shot_noise": 0.1}, ("shot_noise",), without_noise=True
            ),
            "without noise",
        ),
        (
            lambda: flip_rates.mean_over_perturbations({"tlt": 0.1}, ("tlt",)),
            "'tlt'",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(UsageError) as error:
        call()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_batches_add_nothing():
    tally = flips.FlipTally(noise=False)
    tally.update(OUTPUTS)
    before = tally.measurements()
    bad = OUTPUTS.copy()
    bad[1, 3, 4] = np.nan
    with pytest.raises(UsageError):
        tally.update(bad)
    assert tally.n == 2
    assert tally.measurements() == before


def test_pairs_of_a_difficulty_start_everywhere():
    """All offsets: T - d pairs, of which one flip touches two at most."""
    for difficulty, place in itertools.product((1, 2, 3), range(9)):
        sequence = np.zeros([1, 9], int)
        sequence[0, place] = 1
        touched = (place >= difficulty) + (place < 9 - difficulty)
        flip = flips.flip_probability(
            sequence, noise=False, difficulty=difficulty
        )
        assert flip == pytest.approx(touched / (9 - difficulty))


def _assert_equal(one, other):
    assert one.n == other.n
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-12)
    np.testing.assert_allclose(one.square_sums, other.square_sums, rtol=1e-12)
