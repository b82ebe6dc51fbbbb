"""Corruption errors: published figures, hand-made ones, what is refused."""

import json

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import corruption_error as ce

COMMON = corruptions.names("common")

# RobustBench's leaderboard of ImageNet-C, 5,000 images: accuracy in % by
# corruption (means over severities, in the order of COMMON), then the mean over
# all, the mean without noise and mCE by AlexNet's constants.
LEADERBOARD = {
    "NoisyMix": (
        (
            *(53.92, 53.33, 52.92, 46.81, 37.50, 52.40, 47.63, 44.68),
            *(52.28, 52.83, 70.74, 52.46, 52.68, 53.41, 63.46),
        ),
        (52.47, 52.24, 60.46),
    ),
    "NoisyMix_new": (
        (
            *(53.90, 52.62, 52.81, 47.60, 39.32, 53.76, 50.31, 44.13),
            *(52.17, 55.24, 70.98, 55.77, 53.08, 53.83, 63.74),
        ),
        (53.28, 53.33, 59.43),
    ),
}

# The same leaderboard before April 2023 (another preprocessing): accuracy of
# NoisyMix at severities 1 to 5. It listed 52.25 % and an mCE of 60.70, there by
# AlexNet on the same 5,000 images.
NOISYMIX_2022 = {
    "shot_noise": (0.6872, 0.6376, 0.5588, 0.4222, 0.3080),
    "impulse_noise": (0.6658, 0.6166, 0.5714, 0.4416, 0.2832),
    "defocus_blur": (0.6380, 0.5848, 0.4716, 0.3758, 0.2680),
    "contrast": (0.7098, 0.6870, 0.6226, 0.4306, 0.1764),
    "brightness": (0.7552, 0.7426, 0.7196, 0.6846, 0.6312),
    "jpeg_compression": (0.6978, 0.6728, 0.6584, 0.6088, 0.5290),
    "pixelate": (0.6932, 0.6658, 0.5732, 0.4146, 0.3150),
    "glass_blur": (0.6170, 0.5126, 0.2944, 0.2498, 0.2014),
    "motion_blur": (0.7050, 0.6500, 0.5494, 0.4054, 0.3048),
    "zoom_blur": (0.6004, 0.5280, 0.4906, 0.4174, 0.3396),
    "gaussian_noise": (0.6946, 0.6530, 0.5690, 0.4590, 0.2760),
    "fog": (0.6630, 0.6180, 0.5380, 0.4884, 0.3322),
    "frost": (0.6870, 0.5814, 0.4858, 0.4718, 0.4004),
    "snow": (0.6376, 0.4614, 0.4868, 0.3742, 0.2884),
    "elastic_transform": (0.6932, 0.4926, 0.6238, 0.5218, 0.3092),
}

FLAT = {name: (0.5,) * 5 for name in COMMON}


def test_published_constants_agree_with_each_other():
    assert tuple(ce.ALEXNET_ERRORS) == COMMON
    assert tuple(ce.ALEXNET_MEAN_ERRORS) == COMMON
    assert tuple(ce.ALEXNET_EXTRA_MEAN_ERRORS) == corruptions.names("extra")
    for name, errors in ce.ALEXNET_ERRORS.items():
        mean = ce.ALEXNET_MEAN_ERRORS[name]
        assert np.mean(errors) == pytest.approx(mean, abs=1e-6), name


def test_alexnet_against_itself():
    errors = ce.corruption_errors(ce.ALEXNET_ERRORS)
    assert errors == dict.fromkeys(COMMON, 100.0)
    assert ce.mean_corruption_error(ce.ALEXNET_ERRORS) == 100.0
    relative = ce.relative_mean_corruption_error(
        ce.ALEXNET_ERRORS, ce.ALEXNET_CLEAN_ERROR
    )
    assert relative == pytest.approx(100.0, abs=1e-9)


@pytest.mark.parametrize("name", LEADERBOARD)
def test_leaderboard(name):
    percents, (mean, quiet, mce) = LEADERBOARD[name]
    accuracy = dict(zip(COMMON, np.array(percents) / 100))
    # CE needs only the sums over severities, which five equal errors have too.
    errors = {c: (1 - value,) * 5 for c, value in accuracy.items()}
    noise = corruptions.names("noise")
    rest = [value for c, value in accuracy.items() if c not in noise]
    assert np.mean(percents) == pytest.approx(mean, abs=0.01)
    assert 100 * np.mean(rest) == pytest.approx(quiet, abs=0.01)
    assert ce.mean_corruption_error(errors) == pytest.approx(mce, abs=0.01)


def test_leaderboard_by_severity():
    cells = {
        corruption: {
            str(severity): {"accuracy": accuracy}
            for severity, accuracy in enumerate(row, start=1)
        }
        for corruption, row in NOISYMIX_2022.items()
    }
    errors = ce.errors_of_cells(json.loads(json.dumps(cells)))
    mean = np.mean([list(row.values()) for row in errors.values()])
    assert 100 * (1 - mean) == pytest.approx(52.2549, abs=1e-4)
    # AlexNet on 5,000 images instead of 50,000 moves mCE by about 0.01.
    assert ce.mean_corruption_error(errors) == pytest.approx(60.70, abs=0.02)


def test_by_hand():
    ours = {"fog": (0.1, 0.2, 0.3, 0.4, 0.5), "snow": (0.0,) * 5}
    reference = {"fog": (0.3, 0.4, 0.6, 0.8, 0.9), "snow": (0.2,) * 5}
    errors = ce.corruption_errors(ours, reference)
    # Sums first: 1.5 / 3.0, not the mean of the five ratios.
    assert errors == {"fog": pytest.approx(50), "snow": 0.0}
    # (1.5 - 5 x 0.1) / (3.0 - 5 x 0.1), and snow (0 - 0.5) / (1 - 0.5).
    relative = ce.relative_corruption_errors(ours, 0.1, reference, 0.1)
    assert relative["fog"] == pytest.approx(40)
    assert relative["snow"] == pytest.approx(-100)
    some = ce.corruption_errors(ours, reference, severities=(1, 3))
    assert some["fog"] == pytest.approx(100 * 0.4 / 0.9)


def test_mean_by_hand():
    ours = {name: (0.01 * k,) * 5 for k, name in enumerate(COMMON)}
    # k = 0..14: the mean of 2 k per cent is 14.
    mce = ce.mean_corruption_error(ours, FLAT)
    assert mce == pytest.approx(14)
    # (0.07 - 0.05) / (0.5 - 0.1) on average.
    relative = ce.relative_mean_corruption_error(ours, 0.05, FLAT, 0.1)
    assert relative == pytest.approx(5)


def test_order_and_form_do_not_matter():
    generator = np.random.default_rng(0)
    rows = dict(zip(COMMON, generator.uniform(size=[15, 5])))
    mapped = {
        name: {s: float(rows[name][s - 1]) for s in (5, 3, 1, 2, 4)}
        for name in reversed(COMMON)
    }
    for reference in ("alexnet", mapped):
        one = ce.corruption_errors(rows, reference)
        other = ce.corruption_errors(mapped, reference)
        assert one == other
        assert tuple(other) == COMMON[::-1]
        assert ce.mean_corruption_error(rows, reference) == pytest.approx(
            np.mean(list(one.values()))
        )


def test_extra_corruptions_have_a_ce_and_are_in_no_mean():
    extra = {
        name: (value,) * 5
        for name, value in ce.ALEXNET_EXTRA_MEAN_ERRORS.items()
    }
    for value in ce.corruption_errors(extra).values():
        assert value == pytest.approx(100)
    zero = {name: (0.0,) * 5 for name in extra}
    errors = {**ce.ALEXNET_ERRORS, **zero}
    assert ce.corruption_errors(errors)["spatter"] == 0.0
    assert ce.mean_corruption_error(errors) == 100.0


def _without(errors, corruption, severity=None):
    errors = {c: dict(enumerate(row, 1)) for c, row in errors.items()}
    if severity is None:
        del errors[corruption]
    else:
        del errors[corruption][severity]
    return errors


FOG = {"fog": (0.5,) * 5}


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: ce.mean_corruption_error(_without(FLAT, "frost")),
            "the errors lack frost",
        ),
        (
            lambda: ce.mean_corruption_error(_without(FLAT, "frost", 4)),
            "The errors lack frost at severity 4",
        ),
        (
            lambda: ce.mean_corruption_error(FLAT, _without(FLAT, "snow")),
            "The reference lacks snow",
        ),
        (
            lambda: ce.mean_corruption_error(FLAT, _without(FLAT, "snow", 2)),
            "The reference lacks snow at severity 2",
        ),
        (
            lambda: ce.relative_mean_corruption_error(
                _without(FLAT, "fog"), 0.1
            ),
            "lack fog",
        ),
        (lambda: ce.corruption_errors({"fog": (0.5,) * 4}), "4 errors"),
        (lambda: ce.corruption_errors({"fog": (50.0,) * 5}), "50.0"),
        (lambda: ce.corruption_errors({"fog": (np.nan,) * 5}), "nan"),
        (lambda: ce.corruption_errors({"fog": (None,) * 5}), "None"),
        (lambda: ce.corruption_errors({"blot": (0.5,) * 5}), "'blot'"),
        (lambda: ce.corruption_errors(FOG, "vgg"), "'vgg'"),
        (lambda: ce.corruption_errors(FOG, None), "None"),
        (lambda: ce.corruption_errors(FOG, {"fog": (0.0,) * 5}), "fog"),
        (lambda: ce.corruption_errors(FOG, severities=()), "()"),
        (lambda: ce.corruption_errors(FOG, severities=(0, 1)), "(0, 1)"),
        (
            lambda: ce.corruption_errors(
                {"spatter": (0.5,) * 5}, severities=(1, 2)
            ),
            "spatter",
        ),
        (
            lambda: ce.relative_corruption_errors(FOG, 0.1, FOG),
            "The reference's clean error",
        ),
        (
            lambda: ce.relative_corruption_errors(FOG, 10, FOG, 0.1),
            "The clean error",
        ),
        (lambda: ce.relative_corruption_errors(FOG, 0.1, FOG, 0.5), "fog"),
        (lambda: ce.relative_corruption_errors(FOG, 0.1, "vgg"), "'vgg'"),
        (lambda: ce.errors_of_cells({"fog": {"1": {"ece": 0.1}}}), "accuracy"),
        (lambda: ce.errors_of_cells({"fog": {"one": {"accuracy": 1}}}), "one"),
        (lambda: ce.errors_of_cells({"fog": [0.1]}), "cells"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(UsageError) as error:
        call()
    assert words in str(error.value)
    assert "\n" not in str(error.value)
