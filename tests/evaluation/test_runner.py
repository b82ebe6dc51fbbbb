"""What an evaluation is asked for, checked and planned before it is done."""

import functools
import math

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.checks import radius, radius_text
from noisymix_tf.evaluation import Settings, checked, evaluate, plan
from support.evaluation_toys import brightness_model, run, whole_dataset
from support.released_sets import save_image
from support.usage import assert_usage_error


def test_equal_settings_in_one_form():
    for value, number, text in (
        (4 / 255, 4 / 255, "4/255"),
        (0.0157, 0.0157, "0.0157"),
        ("1e-3", 1e-3, "0.001"),
        (np.int64(1), 1.0, "1"),
        ("1/2", 0.5, "0.5"),
        (np.float32(0.25), 0.25, "0.25"),
    ):
        assert radius("eps", value) == number
        assert radius_text(number) == text
        # What is said can be given again.
        assert radius("eps", text) == pytest.approx(number, rel=1e-5)
    for name, one, other in (
        ("severities", [5, 1, 3, 3], (np.int64(1), 3, 5)),
        ("severities", [2.5, 3], (np.float32(2.5), np.float32(3))),
        ("eps", ["4/255", 4 / 255, "8/255"], (4 / 255, "8/255")),
        ("attack_losses", ["log_odds", "log_odds"], ("log_odds",)),
        ("corruptions", ["fog", "snow", "fog"], ("fog", "snow")),
    ):
        assert len({Settings(**{name: one}), Settings(**{name: other})}) == 1
    assert Settings().eps == (4 / 255,) and Settings().l2_eps == (0.5,)
    names, films = corruptions.names, corruptions.perturbation_names
    for one, other, *wanted in (
        (["fog", "blur"], ["tilt"], ("fog", *names("blur")), ("tilt",)),
        ("extra", ["tilt", "noise"], names("extra"), ("tilt", *films("noise"))),
        ("all", "cifar", names(), films("cifar")),
        (None, "all", names("common"), films()),
        ("fog", "tilt", ("fog",), ("tilt",)),
    ):
        made = Settings(corruptions=one, perturbations=other)
        assert [made.corruptions, made.perturbations] == wanted


def test_bad_values():
    counts = "examples p_examples attack_steps attack_restarts".split()
    lists = "corruptions severities perturbations eps attack_losses".split()
    no_radii = ["four", "", "4/0", "4/255/2", "inf", -0.1, math.nan, True, None]
    no_count = "={!r} must be a whole number"
    no_place = "={!r} must be from 1 to 2147483647"
    no_radius = "eps={0[0]!r} must be a number of at least 0|4/255"
    for name, words, values in (
        *((name, name + no_place, [0]) for name in counts),
        ("examples", "examples" + no_count, [2.0, True, "all"]),
        ("seed", "seed=-1 must be at least 0", [-1]),
        ("outputs", "{} must be one of auto, logits", ["softmax"]),
        ("outputs", "outputs is missing", [None]),
        ("corruptions", "tag {!r}|common", ["rain"]),
        ("corruptions", "corruption {0[0]!r}|gaussian_noise", [("rain",)]),
        ("severities", "Severity {0[0]!r} |1 to 5", [(0, 1), (6,)]),
        ("severities", "severities: {0[0]!r} must be a number", [("3x",)]),
        ("frost_folder", "frost_folder is the path|{}", [7]),
        ("frost_folder", "{}", ["nowhere"]),
        ("perturbations", "tag {!r} of perturbations", ["fog"]),
        ("difficulty", "difficulty=0 must be from 1 to 3", [0]),
        ("released_preprocess", "{}", ["resize"]),
        ("eps", "eps=8 is more than the largest distance", [(8,)]),
        ("eps", no_radius, [(value,) for value in (*no_radii, 1j)]),
        ("l2_eps", "l2_" + no_radius, [("four",)]),
        ("eps", "eps: two radii are 0.1 as far", [("0.1", "0.10000001")]),
        ("norms", "norm {0[0]!r}|linf, l2", [("l1",), (2,)]),
        ("attack_step_size", "={!r} must be ", [0, "big", math.inf]),
        *((name, name + " must be a list or a tuple", [3]) for name in lists),
        *((name, name + " is empty", [()]) for name in lists),
        *((name, name + " must be a flat list", [[["fog"]]]) for name in lists),
        ("severity", "option 'severity': did you mean severities", [1]),
        ("colour", "no option 'colour': known are examples, outputs", [1]),
    ):
        for value in values:
            said = words.format(value).split("|")
            assert_usage_error(Settings.of, *said, options={name: value})


@pytest.mark.parametrize("said", ["logits", "probabilities"])
def test_outputs_that_are_not_what_is_said(said):
    found = "probabilities" if said == "logits" else "logits"
    model = brightness_model(softmax=said == "logits", scale=30.0)
    measure = functools.partial(run, model, suites=("clean",))
    words = f"outputs='{said}', but this model gives {found}"
    assert_usage_error(measure, words, outputs=said)
    for outputs in ("auto", found):
        results = measure(outputs=outputs)
        assert results.report.outputs == found
        assert f"gives {found}" in str(results)


def test_what_is_refused_is_refused_before_training():
    """Only `evaluate` planned its cells: after hours of training."""
    twice = {"attack_restarts": 2, "random_start": False}
    check = functools.partial(plan, None, whole_dataset())
    measure = functools.partial(evaluate, brightness_model(), whole_dataset())
    for suite, options, words in (
        ("pgd", {"norms": ("l2",), "l2_eps": (99,)}, "eps=99 is more than"),
        ("pgd", twice, "attack_restarts=2 without a random start"),
        ("pgd", {"attack_steps": 2**31}, "attack_steps=2147483648 must be fr"),
        ("c", {"c_dir": "nowhere"}, "nowhere does not exist"),
        ("r", {}, "Suite r needs images"),
    ):
        for ask in (check, measure):
            assert_usage_error(ask, words, suites=[suite], **options)


def test_options_that_would_do_nothing_are_refused(tmp_path):
    for option, value, suites, words in (
        ("c_dir", "nowhere", ("clean", "p"), "suite c"),
        ("shift_dir", "nowhere", ("clean",), "suite r"),
        ("attack_steps", 3, ("fgsm",), "suite pgd"),
        ("table", "tiny", ("clean",), "suite c or c_bar or p"),
    ):
        call = functools.partial(checked, suites, {option: value})
        assert_usage_error(call, f"{option}=", "would do nothing", words)
    ice = save_image(tmp_path / "ice.png", np.zeros([9, 9, 3], np.uint8)).parent
    for suite, own, words in (
        ("pgd", {"l2_eps": (0.1,)}, "l2_eps=0.1 would do nothing: it is for"),
        ("pgd", {"eps": (0.1,), "norms": ("l2",)}, "linf, the norms are l2"),
        ("c", {"frost_folder": ice, "corruptions": "fog"}, "frost is not amo"),
    ):
        assert_usage_error(checked, words, suites=(suite,), settings=own)
    # Suites that are read have no constants, others beside them do.
    read = {"c_dir": "nowhere", "table": "cifar"}
    words = "table=cifar would do nothing: the images of nowhere are made"
    assert_usage_error(lambda: checked(("c", "calibration"), read), words)
    assert checked(("c", "c_bar"), read)
    assert checked(("fgsm", "pgd"), {"eps": (0.1,), "norms": ("l2",)})
    assert checked(("clean",), {"seed": 1, "examples": 3, "outputs": "logits"})
