"""The policies and magnitudes against the published tables."""

import fractions

import pytest

from noisymix_tf.augment import policy_space
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import AUTO_AUGMENT, WIDE

# From torchvision's `autoaugment.py`, which leaves out magnitudes of operations
# that have none: an independent transcription of the paper's appendix.
PUBLISHED = {
    "cifar10": """
        Invert 0.1, Contrast 0.2 6; Rotate 0.7 2, TranslateX 0.3 9;
        Sharpness 0.8 1, Sharpness 0.9 3; ShearY 0.5 8, TranslateY 0.7 9;
        AutoContrast 0.5, Equalize 0.9; ShearY 0.2 7, Posterize 0.3 7;
        Color 0.4 3, Brightness 0.6 7; Sharpness 0.3 9, Brightness 0.7 9;
        Equalize 0.6, Equalize 0.5; Contrast 0.6 7, Sharpness 0.6 5;
        Color 0.7 7, TranslateX 0.5 8; Equalize 0.3, AutoContrast 0.4;
        TranslateY 0.4 3, Sharpness 0.2 6; Brightness 0.9 6, Color 0.2 8;
        Solarize 0.5 2, Invert 0.0; Equalize 0.2, AutoContrast 0.6;
        Equalize 0.2, Equalize 0.6; Color 0.9 9, Equalize 0.6;
        AutoContrast 0.8, Solarize 0.2 8; Brightness 0.1 3, Color 0.7 0;
        Solarize 0.4 5, AutoContrast 0.9; TranslateY 0.9 9, TranslateY 0.7 9;
        AutoContrast 0.9, Solarize 0.8 3; Equalize 0.8, Invert 0.1;
        TranslateY 0.7 9, AutoContrast 0.9""",
    "imagenet": """
        Posterize 0.4 8, Rotate 0.6 9; Solarize 0.6 5, AutoContrast 0.6;
        Equalize 0.8, Equalize 0.6; Posterize 0.6 7, Posterize 0.6 6;
        Equalize 0.4, Solarize 0.2 4; Equalize 0.4, Rotate 0.8 8;
        Solarize 0.6 3, Equalize 0.6; Posterize 0.8 5, Equalize 1.0;
        Rotate 0.2 3, Solarize 0.6 8; Equalize 0.6, Posterize 0.4 6;
        Rotate 0.8 8, Color 0.4 0; Rotate 0.4 9, Equalize 0.6;
        Equalize 0.0, Equalize 0.8; Invert 0.6, Equalize 1.0;
        Color 0.6 4, Contrast 1.0 8; Rotate 0.8 8, Color 1.0 2;
        Color 0.8 8, Solarize 0.8 7; Sharpness 0.4 7, Invert 0.6;
        ShearX 0.6 5, Equalize 1.0; Color 0.4 0, Equalize 0.6;
        Equalize 0.4, Solarize 0.2 4; Solarize 0.6 5, AutoContrast 0.6;
        Invert 0.6, Equalize 1.0; Color 0.6 4, Contrast 1.0 8;
        Equalize 0.8, Equalize 0.6""",
    "svhn": """
        ShearX 0.9 4, Invert 0.2; ShearY 0.9 8, Invert 0.7;
        Equalize 0.6, Solarize 0.6 6; Invert 0.9, Equalize 0.6;
        Equalize 0.6, Rotate 0.9 3; ShearX 0.9 4, AutoContrast 0.8;
        ShearY 0.9 8, Invert 0.4; ShearY 0.9 5, Solarize 0.2 6;
        Invert 0.9, AutoContrast 0.8; Equalize 0.6, Rotate 0.9 3;
        ShearX 0.9 4, Solarize 0.3 3; ShearY 0.8 8, Invert 0.7;
        Equalize 0.9, TranslateY 0.6 6; Invert 0.9, Equalize 0.6;
        Contrast 0.3 3, Rotate 0.8 4; Invert 0.8, TranslateY 0.0 2;
        ShearY 0.7 6, Solarize 0.4 8; Invert 0.6, Rotate 0.8 4;
        ShearY 0.3 7, TranslateX 0.9 3; ShearX 0.1 6, Invert 0.6;
        Solarize 0.7 2, TranslateY 0.6 7; ShearY 0.8 4, Invert 0.8;
        ShearX 0.7 9, TranslateY 0.8 3; ShearY 0.8 5, AutoContrast 0.7;
        ShearX 0.7 2, Invert 0.1""",
}
WITHOUT_MAGNITUDE = ("autocontrast", "equalize", "invert")
# Exact ends of the published ranges: Table 6 of arXiv:1805.09501 (150 pixels of
# 331), and "wide_standard" of automl/trivialaugment.
TENTH = fractions.Fraction(1, 10)
RANGES = {
    AUTO_AUGMENT: {
        "shear_x": (0, 3 * TENTH),
        "shear_y": (0, 3 * TENTH),
        "translate_x": (0, fractions.Fraction(150 * 48, 331)),
        "translate_y": (0, fractions.Fraction(150 * 32, 331)),
        "rotate": (0, 30),
        "solarize": (256, 0),
        "posterize": (8, 4),
        **dict.fromkeys(
            ("color", "contrast", "brightness", "sharpness"),
            (TENTH, 19 * TENTH),
        ),
    },
    WIDE: {
        "shear_x": (0, 99 * TENTH / 10),
        "shear_y": (0, 99 * TENTH / 10),
        "translate_x": (0, 32),
        "translate_y": (0, 32),
        "rotate": (0, 135),
        "solarize": (256, 0),
        "posterize": (8, 2),
        **dict.fromkeys(
            ("color", "contrast", "brightness", "sharpness"), (TENTH / 10, 2)
        ),
    },
}
WHOLE = ("translate_x", "translate_y", "rotate", "solarize", "posterize")


def name_of(published):
    """The published `TranslateX` is our `translate_x`."""
    lower = published.lower()
    return lower[:-1] + "_" + lower[-1] if lower[-1] in "xy" else lower


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_are_the_published_ones(policy):
    rows = PUBLISHED[policy].split(";")
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
    assert set(policy_space.COMMON) == {
        *RANGES[WIDE],
        "identity",
        "autocontrast",
        "equalize",
    }
    assert set(policy_space.NAMES) == {*policy_space.COMMON, "invert"}
    signed = {each.name for each in policy_space.OPERATIONS if each.signed}
    assert signed == {
        "rotate",
        "shear_x",
        "shear_y",
        "translate_x",
        "translate_y",
    }
    for name in ("identity", *WITHOUT_MAGNITUDE):
        assert WIDE.parameter(name, 7, 30, 32, 32) == 0.0
