"""Temperatures: fitted, measured beside the figures as they are, and served."""

import keras
import numpy as np
import pytest
from scipy import special

import noisymix_tf as nm
from noisymix_tf import corruptions, model_card
from noisymix_tf.commands import evaluate as door
from noisymix_tf.evaluation import temperature
from noisymix_tf.serving.classifier import ServedClassifier
from support.usage import parsed


def network(activation=None):
    keras.utils.set_random_seed(0)
    pixels = keras.Input([32, 32, 3]), keras.layers.Rescaling(1 / 25, -5.0)
    head = keras.layers.Flatten(), keras.layers.Dense(10, activation)
    return keras.Sequential([*pixels, *head])


def test_the_temperature_of_labels_that_were_drawn_is_found():
    rng = np.random.default_rng(0)
    logits = 2.0 * rng.normal(size=(20_000, 10))
    # Gumbel's trick: labels of exactly these probabilities.
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    for outputs, from_logits, true in (
        (3.0 * logits, True, 3.0),
        (special.softmax(0.5 * logits, axis=-1), False, 0.5),
    ):
        found = temperature.fit(outputs, labels, from_logits)
        assert abs(found["value"] / true - 1.0) < 0.02
        assert found["nll"] < found["nll_before"]
    # No minimum: all right, near or far; all wrong; nothing to choose.
    for outputs in ([[99.0, 0]], [[1.0, 0]], [[0, 1.0]], [[0.0, 0]]):
        found = temperature.fit(outputs, [0])
        assert found["value"] == 1.0 and found["nll"] == found["nll_before"]
        assert "1, no other is better on 1 " in temperature.words(found)


def test_it_is_measured_beside_the_rest_on_images_made_once(
    tmp_path, monkeypatch, capsys
):
    """A second pass would double the time of an evaluation."""
    card = {"temperature": {"value": 3.0}}
    model_card.save(network(), tmp_path / "net.keras", **card)
    made, corrupt = [], corruptions.corrupt

    def noted(images, **options):
        made.append(options)
        return corrupt(images, **options)

    monkeypatch.setattr(corruptions, "corrupt", noted)
    words = "--dataset=digits --examples=20 --corruptions=fog --num_workers=0"
    words = f"{words} --suites=clean,c,calibration --severities=2,4".split()
    words.append(f"--model={tmp_path}/net.keras")
    results = door.run(parsed(door.EvaluateConfig, *words))
    assert len(made) == 2
    digits = nm.data.load("digits", test_examples=20)
    images, labels = next(digits.test.batches(20))
    logits = np.asarray(network()(images), np.float64)
    logs = special.log_softmax(logits / 3.0, axis=-1)
    figures = results.figures
    nll = -logs[np.arange(20), labels].mean()
    assert figures["calibration/clean_tempered_nll"] == pytest.approx(nll, 1e-5)
    assert figures["calibration/clean_nll"] == figures["clean/nll"]
    tempered = figures["calibration/c_mean_tempered_ece"]
    assert tempered < figures["calibration/c_mean_ece"]
    assert "(ECE), corrupted, temperature 3" in capsys.readouterr().out


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_served_probabilities_are_tempered(activation):
    images = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
    model, logits = network(activation), np.asarray(network()(images))
    served = ServedClassifier(
        model, (32, 32, 3), activation is None, None, None, "float32", 3.0
    )
    expected = special.softmax(logits / 3.0, axis=-1)
    for found in (served.classify(images), served.expected(images)):
        np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-3)
