"""Averages of weights, and `python -m noisymix_tf average`."""

import functools
import json

import keras
import numpy as np
import pytest

from noisymix_tf import model_card
from noisymix_tf.commands import average as door
from noisymix_tf.models import averaging, pretrained
from support.usage import assert_usage_error, parsed

WORDS = "--dataset=digits --suites=clean,c --corruptions=fog --severities=3"
WORDS = f"{WORDS} --examples=20 --num_workers=0".split()


def parse(models, *words):
    models = f"--models={','.join(models)}"
    return parsed(door.AverageConfig, models, *WORDS, *words)


def network(seed, units=10, scale=1 / 127.5, ends=None):
    keras.utils.set_random_seed(seed)
    pixels = keras.Input([32, 32, 3]), keras.layers.Rescaling(scale, -1.0)
    normal = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)
    layers = keras.layers.Conv2D(4, 3, 2), *normal, keras.layers.Flatten()
    return keras.Sequential([*pixels, *layers, keras.layers.Dense(units, ends)])


def test_statistics_are_those_of_the_images_and_nothing_else_changes():
    """Means of means alone, or a moved dropout, would not repeat a run."""
    model = network(0)
    images = np.random.default_rng(0).integers(0, 256, [3, 8, 32, 32, 3])
    normal, before = model.layers[2], model.get_weights()
    normal.trainable = False
    averaging.estimate_statistics(model, images)
    flat = images.reshape([-1, 32, 32, 3]).astype(np.float32)
    hidden = np.asarray(model.layers[1](model.layers[0](flat)))
    by_batch = hidden.reshape([3, -1, 4])
    mean, variance = (np.asarray(v) for v in normal.non_trainable_variables[2:])
    np.testing.assert_allclose(mean, by_batch.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(variance, by_batch.var(1).mean(0), rtol=1e-5)
    assert (normal.trainable, normal.momentum) == (False, 0.99)
    for variable, old in zip(model.weights, before):
        if "moving" not in variable.path:
            np.testing.assert_array_equal(variable, old)


def test_the_command_measures_a_line_and_keeps_what_was_asked(tmp_path, capsys):
    paths = [str(tmp_path / f"{n}.keras") for n in range(2)]
    models = [network(seed) for seed in range(2)]
    for model, path in zip(models, paths):
        model.save(path)
    words = "--weights=0,0.25,1", "--keep=0.25"
    config = parse(paths, *words, f"--output_dir={tmp_path / 'out'}")
    found = door.run(config)
    assert list(found) == ["0", "0.25", "1"]
    assert all(results.computed == 2 for results in found.values())
    kept = keras.models.load_model(tmp_path / "out/average.keras")
    first, second = (model.layers[-1].get_weights() for model in models)
    for own, a, b in zip(kept.layers[-1].get_weights(), first, second):
        np.testing.assert_allclose(own, 0.75 * a + 0.25 * b, atol=1e-8)
    card = model_card.read(tmp_path / "out/average.keras")
    assert list(card["average_of"].values()) == [0.75, 0.25]
    figures = found["0.25"].figures
    assert card["metrics"]["c"]["mean_accuracy"] == figures["c/mean_accuracy"]
    table = json.loads((tmp_path / "out/average.json").read_text())
    accuracy = table["0.25"]["Clean accuracy"]["value"]
    assert accuracy == figures["clean/accuracy"]
    assert (tmp_path / "out/average.md").read_text() in capsys.readouterr().out
    # Continued, nothing is measured again: the same batches, the same bits.
    again = [f"{tmp_path}/./{n}.keras" for n in range(2)]
    config = parse(again, *words, f"--output_dir={tmp_path / 'out'}")
    assert not any(results.computed for results in door.run(config).values())
    paths = paths[1:] + paths
    for other in (paths, again):
        config = parse(other, f"--output_dir={tmp_path / 'out'}")
        refused = functools.partial(door.run, config)
        assert_usage_error(refused, "averages of other models")
    words = f"--output_dir={tmp_path / 'soup'}", "--statistics_examples=0"
    assert list(door.run(parse(paths, *words))) == ["1", "2", "3", "soup"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.keras"], "two models or more, not 1"),
        (["a", "b", "--weights=0:2:1"], "--weights=0:2:1"),
        (["a", "b", "--weights=0:1:0"], "--weights=0:1:0"),
        (["a", "b", "--weights=0:inf:0.1"], "--weights=0:inf:0.1"),
        (["a", "b", "--weights=0:0.5:0.18", "--keep=0.54"], "--keep=0.54"),
        (["a", "b", "--keep=0.55"], "--keep=0.55"),
        (["a", "b", "c", "--keep=0.1"], "--keep=0.1"),
    ],
)
def test_what_cannot_be_averaged_is_refused_at_once(words, said, tmp_path):
    models = [word for word in words if word[0] != "-"]
    words = *words[len(models) :], f"--output_dir={tmp_path}"
    config = parse(models, *words)
    assert_usage_error(lambda: door.run(config), said)


def test_other_architectures_are_refused():
    """An average had the constants of the first, whatever the others had."""
    for other, words in (
        (network(1, 3), "kernel (900, 10), not kernel (900, 3)"),
        (network(1, scale=0.5), "scale: 0.00784313725490196, not 0.5"),
        (network(1, ends="relu"), 'activation: "linear", not "relu"'),
    ):
        models = network(0), [network(0), other], [0.5, 0.5]
        assert_usage_error(lambda m=models: averaging.average(*m), words)
    # What training changes, and a softmax that it takes off, is the same.
    model = network(1, ends="softmax")
    other = pretrained.adapted(model, 10, seed=2)
    other.layers[2].momentum, other.layers[3].rate = 0.5, 0.1
    averaging.check_alike(model, other)
