"""What stands beside a saved model, and how it gets there."""

import datetime
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import model_card
from noisymix_tf.config import Config, MethodConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.fingerprint import model_fingerprint
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.training import provenance
from noisymix_tf.training.checkpoint_files import file_digest
from noisymix_tf.training.optimizers import L2SGD
from support import door_processes, fit_models

KINDS = ("plain", "noisymix")


@pytest.fixture(scope="module")
def digits():
    return nm.data.load("digits", train_examples=20, test_examples=20)


@pytest.fixture(scope="module")
def classifier(digits):
    """For digits, 32 pixels, ten classes."""
    return nm.models.build("preact_resnet18", width=0.0625)


def _without_times(card):
    return {key: value for key, value in card.items() if key != "created"}


# What it says.


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_has_a_card(tmp_path, kind):
    path = tmp_path / "new" / "small.keras"
    model = fit_models.model(kind)
    fit_models.fit(model, 2)
    card = nm.save(model, path)
    assert (
        card
        == model_card.read(path)
        == json.loads((tmp_path / "new" / "small.card.json").read_text())
    )
    classifier = getattr(model, "model", model)
    saved = keras.models.load_model(path)
    for a, b in zip(saved.get_weights(), classifier.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert card["format"] == 1
    assert card["file"] == {"name": "small.keras", "sha256": file_digest(path)}
    assert card["model"] == {
        "name": "small",
        "class": "Sequential",
        "input_shape": [8, 8, 3],
        "num_classes": 3,
        "parameters": classifier.count_params(),
        "fingerprint": model_fingerprint(saved),
    }
    assert "normalised inside" in card["preprocessing"]
    now = datetime.datetime.now(datetime.UTC)
    age = now - datetime.datetime.fromisoformat(card["created"])
    assert 0 <= age.total_seconds() < 300
    training = card["training"]
    assert training["steps"] == 8
    assert training["optimizer"]["class"] == "SGD"
    assert training["optimizer"]["learning_rate"] == 0.02  # not 0.01999...
    assert training["loss"]["class"] == "SparseCategoricalCrossentropy"


def test_versions():
    versions = model_card.describe(fit_models.classifier())["versions"]
    assert versions["noisymix_tf"] == nm.__version__
    assert versions["tensorflow"] == tf.__version__
    assert versions["keras"] == keras.__version__
    assert versions["numpy"] == np.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["keras-cv"]


def test_how_noisymix_trained(tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100, alpha=1e-5)
    trainer = fit_models.model(
        "noisymix",
        optimizer=L2SGD(schedule, momentum=0.9, nesterov=True, l2=5e-4),
        alpha=0.3,
        jsd_weight=7.0,
        seed=4,
    )
    training = nm.save(trainer, tmp_path / "m.keras")["training"]
    assert training["method"] == "NoisyMix"
    given = training["hyperparameters"]
    assert given["alpha"] == 0.3 and given["jsd_weight"] == 7.0
    assert given["taps"] == ["normalize", "relu"]
    assert given["seed"] == 4 and given["noise_per_view"] == [1.0, 2.0, 3.0]
    assert "model" not in given
    optimizer = training["optimizer"]
    assert optimizer["l2"] == 5e-4 and optimizer["nesterov"] is True
    rate = optimizer["learning_rate"]
    assert rate["class"] == "CosineDecay" and rate["decay_steps"] == 100


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)),
        keras.optimizers.AdamW(weight_decay=0.1, clipnorm=1.0),
    ],
    ids=["loss scale", "adamw"],
)
def test_other_optimizers(optimizer):
    card = model_card.describe(
        fit_models.model("noisymix", optimizer=optimizer)
    )
    text = model_card.as_text(card)
    found = card["training"]["optimizer"]
    inner = found.get("inner_optimizer", found)
    assert inner["class"].startswith("Adam")
    assert inner["learning_rate"] == 1e-3
    assert json.loads(text) == card


def test_models_of_every_kind():
    """Without a graph, compiled in other ways, or not normalising."""

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    with pytest.raises(UsageError, match="no built Keras model"):
        model_card.describe(model)
    model(np.zeros([1, 2], np.float32))
    card = model_card.describe(model)
    assert card["model"]["input_shape"] is None
    assert card["model"]["parameters"] == 9
    assert "training" not in card
    assert "no layer that normalises" in card["preprocessing"]

    def loss(y, p):
        return keras.ops.mean((y - p) ** 2)

    for given, expected in (
        (loss, "loss"),
        ("mse", "mse"),
        ({"a": "mse"}, {"a": "mse"}),
    ):
        model.compile("sgd", given)
        training = model_card.describe(model)["training"]
        assert training["loss"] == expected and training["steps"] == 0
    wrapped = nm.NoisyMix(model, "input")
    wrapped.compile("sgd", "sparse_categorical_crossentropy")
    training = model_card.describe(wrapped)["training"]
    assert training["hyperparameters"]["taps"] == ["input"]
    with pytest.raises(UsageError, match=r"'model\.keras' is no built Keras"):
        model_card.describe("model.keras")


def test_datasets_flags_and_fields_of_ones_own(tmp_path, digits, classifier):
    path = tmp_path / "m.keras"
    config = Config(method=MethodConfig(alpha=2.0))
    card = nm.save(
        classifier,
        path,
        dataset=digits,
        flags=config,
        licence="CC0",
        seen=np.arange(2),
    )
    assert card["dataset"] == {
        "name": "digits",
        "train_examples": 20,
        "test_examples": 20,
        "image_shape": [32, 32, 3],
        "num_classes": 10,
        "class_names": list(digits.class_names),
    }
    assert "--alpha=2.0" in card["flags"]
    assert None not in card["flags"]
    assert card["licence"] == "CC0" and card["seen"] == [0, 1]
    card = model_card.write(path, dataset="mine", flags={"lr": np.float32(0.1)})
    assert card["dataset"] == {"name": "mine"}
    assert card["flags"] == {"lr": 0.1}


def test_names_of_very_many_classes_are_left_out(digits):
    import dataclasses

    many = dataclasses.replace(digits, class_names=tuple(map(str, range(1001))))
    assert "class_names" not in provenance.of_dataset(many)
    # ImageNet's lost their names.
    many = dataclasses.replace(digits, class_names=tuple(map(str, range(1000))))
    assert len(provenance.of_dataset(many)["class_names"]) == 1000


def test_metrics_of_an_evaluation(tmp_path, digits, classifier):
    """Added to a card that exists; with their number and source."""
    path = tmp_path / "m.keras"
    before = nm.save(classifier, path, dataset=digits)
    results = nm.evaluate(
        classifier,
        digits,
        corruptions=["contrast"],
        severities=(2,),
        progress=None,
    )
    card = model_card.write(path, metrics=results)
    assert _without_times(card) == {
        **_without_times(before),
        "metrics": card["metrics"],
    }
    assert card == model_card.read(path)
    clean, corrupted = card["metrics"]["clean"], card["metrics"]["c"]
    assert clean["accuracy"] == pytest.approx(
        results.figures["clean/accuracy"], rel=1e-6
    )
    assert (clean["n"], clean["source"]) == (20, "original")
    assert corrupted["mean_accuracy"] == pytest.approx(
        results.figures["c/mean_accuracy"], rel=1e-6
    )
    assert (corrupted["n"], corrupted["source"]) == (20, "generated")
    assert any("do not compare" in note for note in corrupted["notes"])
    other = nm.models.build("preact_resnet18", width=0.0625, seed=1)
    nm.save(other, path)
    with pytest.raises(UsageError, match="metrics are those of the model"):
        model_card.write(path, metrics=results)
    card = model_card.write(path, metrics={"accuracy": 0.5, "loss": np.nan})
    assert card["metrics"] == {"accuracy": 0.5, "loss": "nan"}


# When it changes.


def test_the_same_model_again_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    model = fit_models.model("noisymix")
    nm.save(model, path, dataset="a")
    model_card.write(path, metrics={"accuracy": 0.5})
    before = [p.read_bytes() for p in sorted(tmp_path.iterdir())]

    class Later(datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + datetime.timedelta(days=1)

    monkeypatch.setattr(model_card.datetime, "datetime", Later)
    nm.save(model, path, dataset="a")
    assert [p.read_bytes() for p in sorted(tmp_path.iterdir())] == before
    old = model_card.read(path)
    fit_models.fit(model, 1)
    nm.save(model, path, dataset="a")
    card = model_card.read(path)
    assert "metrics" not in card  # those of the old model
    assert card["created"] > old["created"]
    assert card["file"]["sha256"] != old["file"]["sha256"]


def test_two_processes_write_the_same_card(tmp_path, request):
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from support import fit_models
import noisymix_tf as nm
model = fit_models.model("noisymix")
fit_models.fit(model, 1)
nm.save(model, sys.argv[2], dataset="random")
"""
    paths = [tmp_path / name / "m.keras" for name in "ab"]
    tests = request.path.parent
    subprocess.run(
        [sys.executable, "-c", script, tests, paths[0]],
        check=True,
        capture_output=True,
    )
    forked = door_processes.run(door_processes.SCRIPT, script, tests, paths[1])
    assert forked.returncode == 0, forked.stderr
    first, second = (_without_times(model_card.read(path)) for path in paths)
    assert first == second


def test_text_is_sorted_json_without_nan():
    card = {"b": 1, "a": provenance.plain({"z": np.inf, "y": np.float64(0.1)})}
    text = model_card.as_text(card)
    assert text == (
        '{\n  "a": {\n    "y": 0.1,\n    "z": "inf"\n  },\n  "b": 1\n}\n'
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.1), 0.1),
        (0.1, 0.1),
        (1 / 3, 1 / 3),
        (np.float32(1e-6), 1e-6),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (tf.constant([1.5]), [1.5]),
        ((1, "a", None), [1, "a", None]),
        (keras.layers.ReLU, "ReLU"),
        (object(), "object"),
    ],
)
def test_plain_values(value, expected):
    found = provenance.plain(value)
    assert found == expected and type(found) is type(expected)


# In a SavedModel.


def test_a_saved_model_carries_it(tmp_path, digits, classifier):
    path = tmp_path / "m.keras"
    card = nm.save(classifier, path, dataset=digits)
    served = tmp_path / "served"
    exported = nm.export(classifier, served, card=card, fresh_process=False)
    assert model_card.read(exported.path) == card
    alone = nm.export(classifier, served, fresh_process=False)
    assert model_card.read(alone.path)["model"] == card["model"]
    (alone.path / model_card.IN_SAVED_MODEL).unlink()
    with pytest.raises(UsageError, match="has no model card"):
        model_card.read(alone.path)


# What cannot be used.


def test_cards_that_are_not_there_or_of_another_file(tmp_path):
    path = tmp_path / "m.keras"
    with pytest.raises(UsageError, match="has no model card"):
        model_card.read(path)
    with pytest.raises(UsageError, match="is no file: save the model first"):
        model_card.write(path)
    model = fit_models.model("plain")
    model.save(path)
    with pytest.raises(UsageError, match=r"m\.card\.json does not exist"):
        model_card.read(path)
    card = model_card.write(path, model, dataset="mine")
    assert model_card.read(path) == card
    fit_models.fit(model, 1)
    model.save(path)
    with pytest.raises(UsageError, match=r"not the card of m\.keras as it is"):
        model_card.read(path)
    fresh = model_card.write(path, model)
    assert "dataset" not in fresh  # nothing is taken from the old file's
    place = model_card.card_path(path)
    place.write_text("{")
    with pytest.raises(UsageError, match="not the card of"):
        model_card.read(path)
    place.write_text(model_card.as_text({**fresh, "format": 2}))
    with pytest.raises(UsageError, match="format 2, this version reads up to"):
        model_card.read(path)


def test_paths_and_fields_that_cannot_be(tmp_path):
    model = fit_models.model("plain")
    (tmp_path / "file").write_text("text")
    for path, message in (
        (tmp_path / "m.h5", "give a name"),
        (tmp_path / "file" / "m.keras", "Cannot save to"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            nm.save(model, path)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="its own field 'versions'"):
        nm.save(model, tmp_path / "m.keras", versions=1)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_layers_of_this_package_load_again(tmp_path):
    model = fit_models.model("plain", FeatureNoise(name="noise"))
    nm.save(model, tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert (
        model_fingerprint(loaded)
        == (model_card.read(tmp_path / "m.keras")["model"]["fingerprint"])
    )
