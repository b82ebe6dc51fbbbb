"""The policies and magnitudes against the published tables."""

import fractions

import pytest

from noisymix_tf.augment import policy_space
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import AUTO_AUGMENT, WIDE

WITHOUT_MAGNITUDE = ("autocontrast", "equalize", "invert")
# Exact ends of the published ranges: Table 6 of arXiv:1805.09501 (150 pixels of
# 331), and "wide_standard" of automl/trivialaugment.
TENTH = fractions.Fraction(1, 10)
WIDER = {"rotate": (0, 135), "posterize": (8, 2)}
COMMON = {"rotate": (0, 30), "solarize": (256, 0), "posterize": (8, 4)}


def _ranges(shear, x, y, enhancement, **more):
    return {
        **dict.fromkeys(("shear_x", "shear_y"), (0, shear)),
        **{"translate_x": (0, x), "translate_y": (0, y)},
        **dict.fromkeys(
            ("color", "contrast", "brightness", "sharpness"), enhancement
        ),
        **COMMON,
        **more,
    }


PIXELS = fractions.Fraction(150, 331)
RANGES = {
    AUTO_AUGMENT: _ranges(
        3 * TENTH, 48 * PIXELS, 32 * PIXELS, (TENTH, 19 * TENTH)
    ),
    WIDE: _ranges(
        99 * TENTH / 10,
        32,
        32,
        (TENTH / 10, 2),
        rotate=(0, 135),
        posterize=(8, 2),
    ),
}
WHOLE = ("translate_x", "translate_y", "rotate", "solarize", "posterize")


def name_of(published):
    """The published `TranslateX` is our `translate_x`."""
    lower = published.lower()
    return lower[:-1] + "_" + lower[-1] if lower[-1] in "xy" else lower


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_are_the_published_ones(golden, policy):
    rows = golden("auto_augment_policies.json")[policy]
    assert len(rows) == len(POLICIES[policy]) == 25
    for row, ours in zip(rows, POLICIES[policy]):
        for step, (name, probability, magnitude) in zip(
            row.split(","), ours, strict=True
        ):
            published, *numbers = step.split()
            assert name == name_of(published)
            assert probability == float(numbers[0])
            assert (len(numbers) == 1) == (name in WITHOUT_MAGNITUDE)
            assert magnitude in range(10)
            if numbers[1:]:
                assert magnitude == int(numbers[1])


@pytest.mark.parametrize("strongest", [9, 30])
@pytest.mark.parametrize("space", RANGES, ids=["table_6", "wide"])
def test_magnitudes_are_equal_steps_through_the_ranges(space, strongest):
    for name, (weakest, limit) in RANGES[space].items():
        for magnitude in range(strongest + 1):
            step = fractions.Fraction(magnitude, strongest) * (limit - weakest)
            if name in WHOLE:  # What is added or taken away is truncated.
                step = int(step)
            found = space.parameter(name, magnitude, strongest, 32, 48)
            expected = float(weakest + step)
            assert found == pytest.approx(expected, rel=1e-12), name
            if name in WHOLE:
                assert found == expected, (name, magnitude)


def test_operations_of_the_spaces():
    """The fourteen of RandAugment and TrivialAugment, and invert."""
    plain = {"identity", "autocontrast", "equalize"}
    assert set(policy_space.COMMON) == {*RANGES[WIDE]} | plain
    assert set(policy_space.NAMES) == {*policy_space.COMMON, "invert"}
    signed = {each.name for each in policy_space.OPERATIONS if each.signed}
    moves = ("shear_x", "shear_y", "translate_x", "translate_y")
    assert signed == {"rotate", *moves}
    for name in ("identity", *WITHOUT_MAGNITUDE):
        assert WIDE.parameter(name, 7, 30, 32, 32) == 0.0
