"""What an evaluation is asked for: one form, and one line for what is bad."""

import pathlib

import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation
from noisymix_tf.evaluation import Settings
from noisymix_tf.evaluation.settings import radius, radius_text
from support import released_sets
from support.evaluation_toys import SIDE, brightness_model, run, whole_dataset
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ("4/255", 4 / 255, "4/255"),
        (4 / 255, 4 / 255, "4/255"),
        ("16/510", 8 / 255, "8/255"),
        (0.0157, 0.0157, "0.0157"),
        ("1e-3", 1e-3, "0.001"),
        (0, 0.0, "0"),
        (1, 1.0, "1"),
        ("1/2", 0.5, "0.5"),
        ("128/255", 128 / 255, "128/255"),
        (np.float32(0.25), 0.25, "0.25"),
        (np.int64(1), 1.0, "1"),
    ],
)
def test_radii(value, number, text):
    assert radius("eps", value) == number
    assert radius_text(number) == text
    # What is said can be given again.
    assert radius("eps", text) == pytest.approx(number, rel=1e-5)


@pytest.mark.parametrize("name", ["eps", "l2_eps"])
def test_bad_radii(name):
    words = ("four", "", "4/0", "4/255/2", "-1/255", "inf")
    for value in (*words, -0.1, float("nan"), float("inf"), True, None, 1j):
        said = (f"{name}={value!r}", "must be a number of at least 0", "4/255")
        assert_usage_error(lambda v=value: Settings(**{name: (v,)}), *said)


def test_defaults():
    settings = Settings()
    assert settings.eps == (4 / 255,)
    assert settings.l2_eps == (0.5,)
    assert settings.corruptions == corruptions.names("common")
    assert settings.severities == (1, 2, 3, 4, 5)
    assert settings.perturbations is None
    assert settings.attack_step_size == 0.25
    assert settings.norms == ("linf",)


def test_equal_settings_in_one_form():
    """Equal settings make equal cells, however they are written."""
    one = Settings(
        severities=[5, 1, 3, 3],
        eps=["4/255", 4 / 255, "8/255"],
        norms=["linf"],
        attack_losses=["log_odds", "log_odds"],
        corruptions=["fog", "snow", "fog"],
        perturbations=["tilt"],
    )
    other = Settings(
        severities=(np.int64(1), 3, 5),
        eps=(4 / 255, "8/255"),
        norms=("linf",),
        attack_losses=("log_odds",),
        corruptions=("fog", "snow"),
        perturbations=("tilt",),
    )
    assert one == other
    assert hash(one) == hash(other)
    path = pathlib.Path("somewhere")
    assert Settings(c_dir=path).c_dir == path


def test_names_and_tags():
    names, films = corruptions.names, corruptions.perturbation_names
    mixed = Settings(
        corruptions=["fog", "blur"], perturbations=["tilt", "noise"]
    )
    assert mixed.corruptions == ("fog", *names("blur"))
    assert mixed.perturbations == ("tilt", *films("noise"))
    tagged = Settings(corruptions="extra", perturbations="cifar")
    assert tagged.corruptions == names("extra")
    assert tagged.perturbations == films("cifar")
    whole = Settings(corruptions="all", perturbations="all")
    assert whole.corruptions == names() and whole.perturbations == films()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"examples": 0}, ["examples must be at least 1, got 0"]),
        ({"examples": 2.0}, ["examples must be an int, got 2.0"]),
        ({"examples": True}, ["examples must be an int"]),
        ({"p_examples": 0}, ["p_examples must be at least 1, got 0"]),
        ({"seed": -1}, ["seed must be at least 0, got -1"]),
        ({"seed": None}, ["seed must be an int"]),
        ({"outputs": "softmax"}, ["'softmax' must be one of auto, logits"]),
        ({"outputs": None}, ["None must be one of"]),
        ({"corruptions": "rain"}, ["tag 'rain'", "common"]),
        ({"corruptions": ("rain",)}, ["corruption 'rain'", "gaussian_noise"]),
        ({"corruptions": ()}, ["corruptions is empty"]),
        ({"corruptions": 3}, ["corruptions must be a list or a tuple, got 3"]),
        ({"corruptions": [["fog"]]}, ["corruptions must be a flat list"]),
        ({"severities": (0, 1)}, ["Severity 0 ", "1 to 5"]),
        ({"severities": ("3",)}, ["Severity '3'"]),
        ({"severities": ()}, ["severities is empty"]),
        ({"severities": "3"}, ["ties must be a list or a tuple, got '3'"]),
        ({"severities": None}, ["severities must be a list or a tuple"]),
        ({"frost_folder": 7}, ["frost_folder is the path", "7"]),
        ({"frost_folder": "nowhere"}, ["nowhere"]),
        ({"perturbations": "fog"}, ["tag 'fog' of perturbations"]),
        ({"perturbations": ("fog",)}, ["perturbation 'fog'"]),
        ({"perturbations": []}, ["perturbations is empty"]),
        ({"difficulty": 0}, ["difficulty=0 must be one of 1, 2, 3"]),
        ({"difficulty": "1"}, ["difficulty='1' must be"]),
        ({"released_preprocess": "resize"}, ["resize"]),
        ({"released_preprocess": 256}, ["256"]),
        ({"eps": "4/255"}, ["eps must be a list or a tuple, got '4/255'"]),
        ({"eps": ()}, ["eps is empty"]),
        ({"eps": [[0.1]]}, ["eps must be a flat list"]),
        ({"norms": ("l1",)}, ["norm 'l1'", "linf, l2"]),
        ({"norms": "l2"}, ["norms must be a list or a tuple"]),
        ({"attack_losses": ("hinge",)}, ["loss 'hinge'", "cross_entropy"]),
        ({"attack_losses": ()}, ["attack_losses is empty"]),
        ({"attack_steps": 0}, ["attack_steps must be at least 1"]),
        ({"attack_step_size": 0}, ["attack_step_size=0 must be ", "above 0"]),
        ({"attack_step_size": "big"}, ["attack_step_size='big'"]),
        ({"attack_step_size": float("inf")}, ["attack_step_size=inf"]),
        ({"attack_restarts": 0}, ["attack_restarts must be at least 1"]),
        (
            {"attack_restarts": 2, "random_start": False},
            ["attack_restarts=2 without a random start"],
        ),
        ({"random_start": "yes"}, ["random_start='yes' must be one of True"]),
        ({"severity": 1}, ["option 'severity': did you mean severities"]),
        ({"attack_step": 1}, ["did you mean ", "attack_steps"]),
        ({"colour": 1}, ["no option 'colour': known are examples, seed"]),
    ],
)
def test_bad_values(options, words):
    assert_usage_error(lambda: Settings.of(options), *words)


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
    data = whole_dataset()
    model = brightness_model()
    for call in (
        lambda: evaluation.evaluate(model, data, suites=[suite], **options),
        lambda: evaluation.check_selection([suite], data, **options),
    ):
        assert_usage_error(call, words)
