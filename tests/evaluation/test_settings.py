"""What an evaluation is asked for: one form, and one line for what is bad."""

import functools
import math
import pathlib

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import Settings, check_selection, evaluate
from noisymix_tf.evaluation.settings import radius, radius_text
from support import released_sets
from support.evaluation_toys import SIDE, brightness_model, run, whole_dataset
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "values, number, text",
    [
        (["4/255", 4 / 255], 4 / 255, "4/255"),
        (["16/510"], 8 / 255, "8/255"),
        (["128/255"], 128 / 255, "128/255"),
        ([0.0157], 0.0157, "0.0157"),
        (["1e-3"], 1e-3, "0.001"),
        ([0], 0.0, "0"),
        ([1, np.int64(1)], 1.0, "1"),
        (["1/2", "0.5"], 0.5, "0.5"),
        ([np.float32(0.25)], 0.25, "0.25"),
    ],
)
def test_radii(values, number, text):
    assert {radius("eps", value) for value in values} == {number}
    assert radius_text(number) == text
    # What is said can be given again.
    assert radius("eps", text) == pytest.approx(number, rel=1e-5)


@pytest.mark.parametrize("name", ["eps", "l2_eps"])
def test_bad_radii(name):
    words = ("four", "", "4/0", "4/255/2", "-1/255", "inf")
    for value in (*words, -0.1, math.nan, math.inf, True, None, 1j):
        said = (f"{name}={value!r}", "must be a number of at least 0", "4/255")
        assert_usage_error(lambda v=value: Settings(**{name: (v,)}), *said)


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
    path = pathlib.Path("somewhere")
    assert Settings(c_dir=path).c_dir == path


def test_names_and_tags():
    names, films = corruptions.names, corruptions.perturbation_names
    for one, other, *wanted in (
        (["fog", "blur"], ["tilt"], ("fog", *names("blur")), ("tilt",)),
        ("extra", ["tilt", "noise"], names("extra"), ("tilt", *films("noise"))),
        ("all", "cifar", names(), films("cifar")),
        (None, "all", names("common"), films()),
    ):
        made = Settings(corruptions=one, perturbations=other)
        assert [made.corruptions, made.perturbations] == wanted


LISTS = ("corruptions", "severities", "perturbations", "eps", "attack_losses")


@pytest.mark.parametrize(
    "name, words, values",
    [
        ("examples", "examples must be at least 1, got {}", [0, -5]),
        ("examples", "examples must be an int, got {!r}", [2.0, True, "all"]),
        ("p_examples", "p_examples must be at least 1, got {}", [0]),
        ("seed", "seed must be at least 0, got {}", [-1]),
        ("seed", "seed must be an int, got {}", [1.5, None]),
        ("outputs", "{!r} must be one of auto, logits", ["softmax", None]),
        ("corruptions", "tag {!r}|common", ["rain"]),
        ("corruptions", "corruption {0[0]!r}|gaussian_noise", [("rain",)]),
        ("corruptions", "must be a list or a tuple, got {}", [3]),
        ("severities", "Severity {0[0]!r} |1 to 5", [(0, 1), (6,), ("3",)]),
        ("severities", "must be a list or a tuple, got {!r}", ["3", None]),
        ("frost_folder", "frost_folder is the path|{}", [7]),
        ("frost_folder", "{}", ["nowhere"]),
        ("perturbations", "tag {!r} of perturbations", ["fog"]),
        ("perturbations", "perturbation {0[0]!r}", [("fog",)]),
        ("difficulty", "difficulty={!r} must be one of 1, 2, 3", [0, "1"]),
        ("released_preprocess", "{}", ["resize", 256]),
        ("eps", "eps must be a list or a tuple, got {!r}", ["4/255", 0.1]),
        ("eps", "eps=8 is more than the largest distance", [(8,)]),
        ("norms", "norm {0[0]!r}|linf, l2", [("l1",), (2,)]),
        ("norms", "norms must be a list or a tuple", ["l2"]),
        ("attack_losses", "loss {0[0]!r}|cross_entropy", [("hinge",)]),
        ("attack_steps", "attack_steps must be at least 1", [0]),
        ("attack_steps", "attack_steps must be an int", [1.5]),
        (
            "attack_step_size",
            "size={!r} must be |above 0",
            [0, "big", math.inf],
        ),
        ("attack_restarts", "attack_restarts must be at least 1", [0]),
        ("random_start", "random_start={!r} must be one of True", ["yes"]),
        *((name, name + " is empty", [()]) for name in LISTS),
        *((name, name + " must be a flat list", [[["fog"]]]) for name in LISTS),
        ("severity", "option 'severity': did you mean severities", [1]),
        ("attack_step", "did you mean |attack_steps", [1]),
        ("colour", "no option 'colour': known are examples, seed", [1]),
    ],
)
def test_bad_values(name, words, values):
    for value in values:
        said = words.format(value).split("|")
        assert_usage_error(lambda v=value: Settings.of({name: v}), *said)


def test_restarts_need_a_random_start():
    words = "attack_restarts=2 without a random start"
    restarts = {"attack_restarts": 2, "random_start": False}
    assert_usage_error(lambda: Settings(**restarts), words)


@pytest.mark.parametrize(
    ("softmax", "said", "found"),
    [(True, "logits", "probabilities"), (False, "probabilities", "logits")],
)
def test_outputs_that_are_not_what_is_said(softmax, said, found):
    """Not guessed silently, and not believed against the evidence."""
    model = brightness_model(softmax=softmax, scale=30.0)
    assert_usage_error(
        lambda: run(model, suites=("clean",), outputs=said),
        f"outputs='{said}', but this model gives {found}",
    )
    for outputs in ("auto", found):
        results = run(model, suites=("clean",), outputs=outputs)
        assert results.report.outputs == found
        assert f"gives {found}" in str(results)


@pytest.mark.parametrize(
    ("suite", "options", "words"),
    [
        ("fgsm", {"eps": (8,)}, "eps=8 is more than the largest distance"),
        ("pgd", {"norms": ("l2",), "l2_eps": (99,)}, "eps=99 is more than"),
        ("fgsm", {"seed": 2**31}, "seed=2147483648 must be a whole number"),
        ("pgd", {"attack_steps": 2**31}, "attack_steps=2147483648 must be a"),
        ("pgd", {"attack_restarts": 2**31}, "restarts=2147483648 must"),
        ("c", {"corruptions": ("fog",)}, "of severity 2"),
        ("r", {}, "Suite r needs images"),
    ],
)
def test_what_is_refused_is_refused_before_training(
    suite, options, words, tmp_path
):
    """Only `evaluate` planned its cells: after hours of training."""
    if suite == "c":
        for label in "012":
            path = tmp_path / "fog" / "1" / label / "a.png"
            released_sets.save_image(path, np.zeros([SIDE, SIDE, 3], np.uint8))
        options = {**options, "c_dir": str(tmp_path)}
    data, model, check = whole_dataset(), brightness_model(), check_selection
    evaluated = functools.partial(evaluate, model, data, suites=[suite])
    assert_usage_error(lambda: evaluated(**options), words)
    assert_usage_error(lambda: check([suite], data, **options), words)
