"""What an evaluation is asked for: one form, and one line for what is bad."""

import functools
import math

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import Settings, check_selection, evaluate
from noisymix_tf.evaluation.settings import radius, radius_text
from support import released_sets
from support.evaluation_toys import SIDE, brightness_model, run, whole_dataset
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "value, number, text",
    [
        (4 / 255, 4 / 255, "4/255"),
        ("16/510", 8 / 255, "8/255"),
        (0.0157, 0.0157, "0.0157"),
        ("1e-3", 1e-3, "0.001"),
        (np.int64(1), 1.0, "1"),
        ("1/2", 0.5, "0.5"),
        (np.float32(0.25), 0.25, "0.25"),
    ],
)
def test_radii(value, number, text):
    assert radius("eps", value) == number
    assert radius_text(number) == text
    # What is said can be given again.
    assert radius("eps", text) == pytest.approx(number, rel=1e-5)


def test_equal_settings_in_one_form():
    """Equal settings make equal cells, however they are written."""
    for name, one, other in (
        ("severities", [5, 1, 3, 3], (np.int64(1), 3, 5)),
        ("eps", ["4/255", 4 / 255, "8/255"], (4 / 255, "8/255")),
        ("attack_losses", ["log_odds", "log_odds"], ("log_odds",)),
        ("corruptions", ["fog", "snow", "fog"], ("fog", "snow")),
    ):
        assert Settings(**{name: one}) == Settings(**{name: other})
        assert hash(Settings(**{name: one})) == hash(Settings(**{name: other}))
    usual = Settings()
    assert usual.eps == (4 / 255,) and usual.l2_eps == (0.5,)
    # So do names and tags.
    names, films = corruptions.names, corruptions.perturbation_names
    for one, other, *wanted in (
        (["fog", "blur"], ["tilt"], ("fog", *names("blur")), ("tilt",)),
        ("extra", ["tilt", "noise"], names("extra"), ("tilt", *films("noise"))),
        ("all", "cifar", names(), films("cifar")),
        (None, "all", names("common"), films()),
    ):
        made = Settings(corruptions=one, perturbations=other)
        assert [made.corruptions, made.perturbations] == wanted


COUNTS = "examples p_examples attack_steps attack_restarts".split()
LISTS = "corruptions severities perturbations eps attack_losses".split()
RADII = ["four", "", "4/0", "4/255/2", "-1/255", "inf", -0.1, math.nan, True]
RADIUS = "eps={0[0]!r} must be a number of at least 0|4/255"


@pytest.mark.parametrize(
    "name, words, values",
    [
        *((name, name + " must be at least 1, got 0", [0]) for name in COUNTS),
        ("examples", "examples must be an int, got {!r}", [2.0, True, "all"]),
        ("seed", "seed must be at least 0, got {}", [-1]),
        ("outputs", "{!r} must be one of auto, logits", ["softmax", None]),
        ("corruptions", "tag {!r}|common", ["rain"]),
        ("corruptions", "corruption {0[0]!r}|gaussian_noise", [("rain",)]),
        ("severities", "Severity {0[0]!r} |1 to 5", [(0, 1), (6,), ("3",)]),
        ("frost_folder", "frost_folder is the path|{}", [7]),
        ("frost_folder", "{}", ["nowhere"]),
        ("perturbations", "tag {!r} of perturbations", ["fog"]),
        ("perturbations", "perturbation {0[0]!r}", [("fog",)]),
        ("difficulty", "difficulty={!r} must be one of 1, 2, 3", [0, "1"]),
        ("released_preprocess", "{}", ["resize", 256]),
        ("eps", "eps=8 is more than the largest distance", [(8,)]),
        ("eps", RADIUS, [(value,) for value in (*RADII, None, 1j)]),
        ("l2_eps", "l2_" + RADIUS, [("four",)]),
        ("norms", "norm {0[0]!r}|linf, l2", [("l1",), (2,)]),
        ("norms", "norms must be a list or a tuple, got 'l2'", ["l2"]),
        ("attack_losses", "loss {0[0]!r}|cross_entropy", [("hinge",)]),
        ("attack_step_size", "={!r} must be |above 0", [0, "big", math.inf]),
        ("random_start", "random_start={!r} must be one of True", ["yes"]),
        *((name, name + " must be a list or a tuple", [3]) for name in LISTS),
        *((name, name + " is empty", [()]) for name in LISTS),
        *((name, name + " must be a flat list", [[["fog"]]]) for name in LISTS),
        ("severity", "option 'severity': did you mean severities", [1]),
        ("colour", "no option 'colour': known are examples, seed", [1]),
    ],
)
def test_bad_values(name, words, values):
    for value in values:
        said = words.format(value).split("|")
        assert_usage_error(lambda v=value: Settings.of({name: v}), *said)


@pytest.mark.parametrize("found", ["logits", "probabilities"])
def test_outputs_that_are_not_what_is_said(found):
    """Not guessed silently, and not believed against the evidence."""
    said = {"logits": "probabilities"}.get(found, "logits")
    model = brightness_model(softmax=said == "logits", scale=30.0)
    measure = functools.partial(run, model, suites=("clean",))
    words = f"outputs='{said}', but this model gives {found}"
    assert_usage_error(lambda: measure(outputs=said), words)
    for outputs in ("auto", found):
        results = measure(outputs=outputs)
        assert results.report.outputs == found
        assert f"gives {found}" in str(results)


def test_what_is_refused_is_refused_before_training(tmp_path):
    """Only `evaluate` planned its cells: after hours of training."""
    for label in "012":
        path = tmp_path / "fog" / "1" / label / "a.png"
        released_sets.save_image(path, np.zeros([SIDE, SIDE, 3], np.uint8))
    fog = {"corruptions": ("fog",), "c_dir": str(tmp_path)}
    twice = {"attack_restarts": 2, "random_start": False}
    check = functools.partial(check_selection, dataset=whole_dataset())
    measure = functools.partial(evaluate, brightness_model(), whole_dataset())
    for suite, options, words in (
        ("pgd", {"norms": ("l2",), "l2_eps": (99,)}, "eps=99 is more than"),
        ("pgd", twice, "attack_restarts=2 without a random start"),
        ("fgsm", {"seed": 2**31}, "seed=2147483648 must be a whole number"),
        ("pgd", {"attack_steps": 2**31}, "attack_steps=2147483648 must be a"),
        ("pgd", {"attack_restarts": 2**31}, "restarts=2147483648 must"),
        ("c", fog, "of severity 2"),
        ("r", {}, "Suite r needs images"),
    ):
        for ask in (check, measure):
            call = functools.partial(ask, suites=[suite], **options)
            assert_usage_error(call, words)
