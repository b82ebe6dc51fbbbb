"""What an evaluation is asked for: one form, and one line for what is bad."""

import pathlib

import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import Settings
from noisymix_tf.evaluation.settings import radius, radius_text
from support.evaluation_toys import SIDE, brightness_model, run, whole_dataset
from support.released_sets import save_image


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ("4/255", 4 / 255, "4/255"),
        (4 / 255, 4 / 255, "4/255"),
        ("16/510", 8 / 255, "8/255"),
        ("0.5", 0.5, "0.5"),
        (0.0157, 0.0157, "0.0157"),
        ("1e-3", 1e-3, "0.001"),
        (0, 0.0, "0"),
        (1, 1.0, "1"),
        (0.2, 0.2, "0.2"),
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


@pytest.mark.parametrize(
    "value",
    [
        "four",
        "",
        "4/0",
        "4/255/2",
        "-1/255",
        -0.1,
        float("nan"),
        float("inf"),
        "inf",
        True,
        None,
        1j,
    ],
)
@pytest.mark.parametrize("name", ["eps", "l2_eps"])
def test_bad_radii(name, value):
    message = f"{name}=.*must be a number of at least 0.*4/255"
    with pytest.raises(UsageError, match=message) as caught:
        Settings(**{name: (value,)})
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


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


def test_names_and_tags_can_be_mixed():
    mixed = Settings(
        corruptions=["fog", "blur"], perturbations=["tilt", "noise"]
    )
    assert mixed.corruptions == ("fog", *corruptions.names("blur"))
    noise = corruptions.perturbation_names("noise")
    assert mixed.perturbations == ("tilt", *noise)


@pytest.mark.parametrize("tag", ["common", "extra", "noise", "weather"])
def test_tags_of_corruptions(tag):
    assert Settings(corruptions=tag).corruptions == corruptions.names(tag)


def test_all_of_them():
    settings = Settings(corruptions="all", perturbations="all")
    assert settings.corruptions == corruptions.names()
    assert settings.perturbations == corruptions.perturbation_names()


@pytest.mark.parametrize("tag", ["cifar", "imagenet_extra", "geometry"])
def test_tags_of_perturbations(tag):
    wanted = corruptions.perturbation_names(tag)
    assert Settings(perturbations=tag).perturbations == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "examples must be at least 1, got 0"),
        ({"examples": -5}, "examples must be at least 1"),
        ({"examples": 2.0}, r"examples must be an int, got 2\.0"),
        ({"examples": True}, "examples must be an int"),
        ({"examples": "all"}, "examples must be an int, got 'all'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 1.5}, "seed must be an int"),
        ({"seed": None}, "seed must be an int"),
        ({"outputs": "softmax"}, "'softmax' must be one of auto, logits"),
        ({"outputs": None}, "None must be one of"),
        ({"corruptions": "rain"}, "tag 'rain'.*common"),
        ({"corruptions": ("rain",)}, "corruption 'rain'.*gaussian_noise"),
        ({"corruptions": ()}, "corruptions is empty"),
        ({"corruptions": 3}, "corruptions must be a list or a tuple, got 3"),
        ({"corruptions": [["fog"]]}, "corruptions must be a flat list"),
        ({"severities": (0, 1)}, "Severity 0 .*1 to 5"),
        ({"severities": (6,)}, "Severity 6"),
        ({"severities": ("3",)}, "Severity '3'"),
        ({"severities": ()}, "severities is empty"),
        ({"severities": "3"}, "severities must be a list or a tuple, got '3'"),
        ({"severities": None}, "severities must be a list or a tuple"),
        ({"frost_folder": 7}, "frost_folder is the path.*7"),
        ({"frost_folder": "nowhere"}, "nowhere"),
        ({"perturbations": "fog"}, "tag 'fog' of perturbations"),
        ({"perturbations": ("fog",)}, "perturbation 'fog'"),
        ({"perturbations": []}, "perturbations is empty"),
        ({"difficulty": 0}, "difficulty=0 must be one of 1, 2, 3"),
        ({"difficulty": "1"}, "difficulty='1' must be"),
        ({"released_preprocess": "resize"}, "resize"),
        ({"released_preprocess": 256}, "256"),
        ({"eps": "4/255"}, "eps must be a list or a tuple, got '4/255'"),
        ({"eps": ()}, "eps is empty"),
        ({"eps": 0.1}, "eps must be a list"),
        ({"eps": [[0.1]]}, "eps must be a flat list"),
        ({"norms": ("l1",)}, "norm 'l1'.*linf, l2"),
        ({"norms": "l2"}, "norms must be a list or a tuple"),
        ({"norms": (2,)}, "norm 2.*linf"),
        ({"attack_losses": ("hinge",)}, "loss 'hinge'.*cross_entropy"),
        ({"attack_losses": ()}, "attack_losses is empty"),
        ({"attack_steps": 0}, "attack_steps must be at least 1"),
        ({"attack_steps": 1.5}, "attack_steps must be an int"),
        ({"attack_step_size": 0}, "attack_step_size=0 must be .* above 0"),
        ({"attack_step_size": "big"}, "attack_step_size='big'"),
        ({"attack_step_size": float("inf")}, "attack_step_size=inf"),
        ({"attack_restarts": 0}, "attack_restarts must be at least 1"),
        (
            {"attack_restarts": 2, "random_start": False},
            "attack_restarts=2 without a random start",
        ),
        ({"random_start": "yes"}, "random_start='yes' must be one of True"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        Settings.of(options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("severity", "no option 'severity': did you mean severities"),
        ("epsilon", "'epsilon': did you mean eps"),
        ("attack_step", "did you mean .*attack_steps"),
        ("colour", "'colour': known are examples, seed"),
    ],
)
def test_unknown_options(name, message):
    with pytest.raises(UsageError, match=message) as caught:
        run(**{name: 1})
    assert "\n" not in str(caught.value)


def test_paths_may_be_paths():
    path = pathlib.Path("somewhere")
    assert Settings(c_dir=path).c_dir == path


@pytest.mark.parametrize(
    ("softmax", "said", "found"),
    [(True, "logits", "probabilities"), (False, "probabilities", "logits")],
)
def test_outputs_that_are_not_what_is_said(softmax, said, found):
    """Not guessed silently, and not believed against the evidence."""
    model = brightness_model(softmax=softmax, scale=30.0)
    message = f"outputs='{said}', but this model gives {found}"
    with pytest.raises(UsageError, match=message) as caught:
        run(model, suites=("clean",), outputs=said)
    assert "\n" not in str(caught.value)
    for outputs in ("auto", found):
        results = run(model, suites=("clean",), outputs=outputs)
        assert results.report.outputs == found
        assert f"gives {found}" in str(results)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A tree for suite c, of one severity."""
    root = tmp_path_factory.mktemp("trees")
    for label in "012":
        image = np.zeros([SIDE, SIDE, 3], np.uint8)
        save_image(root / "c/fog/1" / label / "a.png", image)
    return root


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        ("fgsm", {"eps": (8,)}, "eps=8 is more than the largest distance"),
        ("pgd", {"norms": ("l2",), "l2_eps": (99,)}, "eps=99 is more than"),
        ("fgsm", {"seed": 2**31}, "seed=2147483648 must be a whole number"),
        ("pgd", {"attack_steps": 2**31}, "attack_steps=2147483648 must be a"),
        ("pgd", {"attack_restarts": 2**31}, "attack_restarts=2147483648 must"),
        ("c", {"c_dir": "c", "corruptions": ("fog",)}, "of severity 2"),
        ("r", {}, "Suite r needs images"),
    ],
)
def test_what_is_refused_is_refused_before_training(
    suite, options, message, trees
):
    """Only `evaluate` planned its cells: after hours of training."""
    options = {
        name: str(trees / value) if name.endswith("_dir") else value
        for name, value in options.items()
    }
    data = whole_dataset()
    with pytest.raises(UsageError, match=message):
        evaluation.evaluate(brightness_model(), data, suites=[suite], **options)
    with pytest.raises(UsageError, match=message):
        evaluation.check_selection([suite], data, **options)
