"""Metrics of images and of sequences: oracles and closed forms."""

import numpy as np
import pytest

from noisymix_tf.evaluation import metrics
from noisymix_tf.evaluation.metrics import FlipScores, ImageScores


def scores_of(outputs, labels, from_logits=True):
    return ImageScores(ImageScores.of(outputs, labels, from_logits))


@pytest.mark.parametrize("name", ["calibration_probs", "calibration_synthetic"])
def test_the_oracles_scores(golden, name):
    file = golden(f"{name}.npz")
    expected = golden(f"{name.replace('_probs', '')}_expected.json")
    expected = expected.get("subset", expected)
    scores = scores_of(file["probs"], file["labels"], False)
    found = {"n": scores.n, "accuracy": scores.accuracy[0]}
    found["mean_confidence"] = scores.confidence[0]
    found["nll_mean_natural_log"] = scores.nll[0]
    found["brier_sum_over_classes"] = scores.brier[0]
    for n in (10, 15, 20):
        found[f"ece_{n}bins"] = scores.calibration_error(n)[0]
    assert scores.ece[0] == found["ece_15bins"]
    found["rms_ce_equalwidth_15bins"] = scores.rms_calibration_error
    adaptive = scores.adaptive_calibration_error
    found["rms_calib_err_adaptive100_all_bins"] = adaptive
    assert found == pytest.approx({k: expected[k] for k in found}, abs=1e-9)
    # Of equal confidences, which only made-up ones are, the order counts.
    near = 1e-9 if name == "calibration_probs" else 1e-3
    assert scores.aurra == pytest.approx(expected["aurra"], abs=near)
    if name == "calibration_probs":
        bins = scores.bins()
        means = bins[:, 1:] / np.maximum(bins[:, :1], 1)
        wanted = np.array(expected["bins15_count_conf_acc"], float)
        np.testing.assert_array_equal(bins[:, 0], wanted[:, 0])
        np.testing.assert_allclose(means, np.nan_to_num(wanted[:, 1:]))


def test_bins_are_closed_on_the_right_and_scores_finite():
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0, 1.0000001])
    places = metrics.bin_places(confidence, 4)
    assert np.bincount(places).tolist() == [2, 2, 1, 2]
    wrong = scores_of([[1e4, -1e4], [-1e4, 1e4]], [0, 0])
    assert wrong.nll[0] == pytest.approx(1e4)
    assert wrong.brier[0] == pytest.approx(1.0)
    certain = scores_of([[1.0, 0.0]], [1], False)
    assert certain.nll == pytest.approx(87.3365, abs=1e-3)
    # Logits give what their softmax gives.
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(0, 3, [100, 10]), np.arange(100) % 10
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    whole = ImageScores.of(shares, labels, False)
    for name in whole.dtype.names:
        found = ImageScores.of(logits, labels)[name]
        np.testing.assert_allclose(found, whole[name], rtol=1e-9)


def test_balanced_accuracy_says_what_accuracy_hides():
    labels = np.repeat([1, 3], [90, 10])
    always = np.eye(4)[np.ones(100, int)]
    scores = scores_of(always, labels)
    found = scores.accuracy[0], scores.balanced_accuracy[0]
    assert (*found, scores.largest_class) == pytest.approx((0.9, 0.5, 0.9))
    assert scores.class_accuracy == {1: 1.0, 3: 0.0}
    # Of any resampling: the mean over the classes that were drawn.
    always[:5] = np.eye(4)[0]
    metric = scores_of(always, labels).balanced_accuracy[1:]
    for drawn, found in zip(metrics.draws(100), metric, strict=True):
        share = drawn[5:90].sum() / drawn[:90].sum()
        assert found == pytest.approx(share / (1 + drawn[90:].any()))


def test_errors_are_those_of_resampled_images():
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=[400, 3])
    labels = generator.integers(0, 3, 400)
    one = scores_of(outputs, labels)
    usual = np.sqrt(one.accuracy[0] * (1 - one.accuracy[0]) / 400)
    assert metrics.error(one.accuracy) == pytest.approx(usual, rel=0.2)
    outputs[:8] = -outputs[:8]
    other = scores_of(outputs, labels)
    assert metrics.error(one.accuracy - other.accuracy) < 0.5 * usual
    # Of other images they are independent.
    apart = ImageScores(other.rows, "others").accuracy
    gap = metrics.error(one.accuracy - apart)
    assert gap == pytest.approx(np.sqrt(2) * usual, rel=0.25)
    gaps = one.rows["confidence"] - one.rows["right"]
    bins = metrics.bin_places(one.rows["confidence"], 15)
    for drawn, ece in zip(metrics.draws(400), one.ece[1:], strict=True):
        wanted = np.abs(np.bincount(bins, drawn * gaps)).sum() / 400
        assert ece == pytest.approx(wanted)


def flips_of(outputs, noise=False, difficulty=1):
    return FlipScores.of(outputs, noise=noise, difficulty=difficulty)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("noise", [True, False])
def test_the_oracles_flips(golden, noise, difficulty):
    inputs = golden("p_metrics_inputs.npz")
    name = f"difficulty{difficulty}_{'noise' if noise else 'nonnoise'}"
    expected = golden("p_metrics_expected.json")[name]
    pairing = {"noise": noise, "difficulty": difficulty}
    answers = np.eye(20)[inputs["predictions"]]
    got = flips_of(answers, **pairing)["flip_probability"].mean()
    wanted = expected["flip_prob_predictions"]
    assert got == pytest.approx(wanted, abs=1e-12)
    for name in ("logits", "logits_ties_c10"):
        outputs, ranks = inputs[name], inputs[f"{name}__ranks"].astype(int)
        scores = FlipScores(flips_of(outputs, **pairing))
        # Ranks are outputs too.
        again = flips_of(-ranks, **pairing)
        assert again.tobytes() == scores.rows.tobytes()
        got = [getattr(scores, each)[0] for each in FlipScores.METRICS]
        words = ("flip_prob", "top5", "zipf")
        wanted = [expected[f"{name}_{word}"] for word in words]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_moves_of_ranks_of_two_classes_and_of_equal_outputs():
    def moves(outputs, noise=False):
        return flips_of(outputs, noise)[["top5_distance", "zipf_distance"]][0]

    # Half precision; minus infinity is the last place.
    two = np.float16([[[1, -np.inf], [0, 1], [0, 1]]])
    assert moves(two).tolist() == (1, 0.375)
    assert moves(two, True).tolist() == (2, 0.75)
    # Of equal outputs, as both zeros are, the first class is better.
    ties = [[[-0.0, 0.0, -1], [0.0, -0.0, -1], [0.0, 0.0, 0.0]]]
    assert flips_of(ties).tolist() == [(0, 0, 0)]


def test_how_much_is_computed_at_a_time_never_shows(monkeypatch):
    outputs = np.random.default_rng(0).normal(size=[50, 8, 20])
    whole = flips_of(outputs, difficulty=2)
    assert len(np.unique(whole["zipf_distance"])) == 50
    monkeypatch.setattr(metrics, "_BLOCK_VALUES", 1000)
    assert flips_of(outputs, difficulty=2).tobytes() == whole.tobytes()
