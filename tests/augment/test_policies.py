"""The policies and magnitudes against the published tables."""

import fractions

import pytest

from noisymix_tf.augment import policy_space
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import AUTO_AUGMENT, WIDE

WITHOUT_MAGNITUDE = ("autocontrast", "equalize", "invert")
SPACES = {"auto_augment": AUTO_AUGMENT, "wide": WIDE}
WHOLE = ("translate_x", "translate_y", "rotate", "solarize", "posterize")
STEPS = [(strongest, m) for strongest in (9, 30) for m in range(strongest + 1)]


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_are_the_published_ones(golden, policy):
    rows = golden("auto_augment_policies.json")[policy]
    assert len(rows) == len(POLICIES[policy]) == 25
    for row, ours in zip(rows, POLICIES[policy]):
        for step, (name, probability, magnitude) in zip(
            row.split(","), ours, strict=True
        ):
            published, *numbers = step.split()
            # The published `TranslateX` is our `translate_x`.
            assert name.replace("_", "") == published.lower()
            assert probability == float(numbers[0])
            assert (len(numbers) == 1) == (name in WITHOUT_MAGNITUDE)
            assert magnitude in range(10)
            assert not numbers[1:] or magnitude == int(numbers[1])


@pytest.mark.parametrize("space", SPACES)
def test_magnitudes_are_equal_steps_through_the_ranges(golden, space):
    ranges = golden("auto_augment_policies.json")[f"{space}_ranges"]
    # The fourteen of RandAugment and TrivialAugment, and invert.
    plain = {"identity", "autocontrast", "equalize"}
    assert set(policy_space.COMMON) == {*ranges} | plain
    assert set(policy_space.NAMES) == {*policy_space.COMMON, "invert"}
    for name in ("identity", *WITHOUT_MAGNITUDE):
        assert WIDE.parameter(name, 7, 30, 32, 32) == 0.0
    signed = {each.name for each in policy_space.OPERATIONS if each.signed}
    moves = ("shear_x", "shear_y", "translate_x", "translate_y")
    assert signed == {"rotate", *moves}
    for name, ends in ranges.items():
        weakest, limit = map(fractions.Fraction, ends)
        if name.startswith("translate") and space == "auto_augment":
            limit *= 48 if name.endswith("x") else 32
        for strongest, magnitude in STEPS:
            step = fractions.Fraction(magnitude, strongest) * (limit - weakest)
            if name in WHOLE:  # What is added or taken away is truncated.
                step = int(step)
            numbers = (name, magnitude, strongest, 32, 48)
            found, expected = SPACES[space].parameter(*numbers), weakest + step
            assert found == pytest.approx(float(expected), rel=1e-12), numbers
            assert found == expected or name not in WHOLE, numbers
