"""Saved models, equal files for equal ones, and the cards beside them."""

import copy
import dataclasses
import datetime
import functools
import json
import re
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import model_card
from noisymix_tf.config import Config
from noisymix_tf.data import Preprocess
from noisymix_tf.files import file_digest
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.models import classifier as lib
from noisymix_tf.models.unwrap import model_fingerprint
from noisymix_tf.training.optimizers import L2SGD
from support import fit_models, tiny_network
from support.usage import assert_usage_error


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_a_saved_model_has_a_card(tmp_path, kind, monkeypatch):
    path = tmp_path / "new" / "small.keras"
    model = fit_models.model(kind, FeatureNoise(), run_eagerly=True)
    fit_models.fit(model, 2, steps_per_epoch=1)
    monkeypatch.setenv("HOME", str(tmp_path))
    card = nm.save(model, "~/new/small.keras")
    text = path.with_name("small.card.json").read_text()
    assert card == model_card.read(path) == json.loads(text)
    assert text == json.dumps(card, indent=2, sort_keys=True) + "\n"
    classifier = getattr(model, "model", model)
    fingerprint = model_fingerprint(keras.models.load_model(path))
    assert fingerprint == model_fingerprint(classifier)
    facts = {"name": "small", "class": "Sequential", "input_shape": [8, 8, 3]}
    facts |= {"num_classes": 3, "parameters": classifier.count_params()}
    assert card["model"] == {**facts, "fingerprint": fingerprint}
    assert card["file"] == {"name": "small.keras", "sha256": file_digest(path)}
    assert "normalised inside" in card["preprocessing"]
    training = card["training"]
    assert training["steps"] == 2
    assert training["optimizer"]["learning_rate"] == 0.02
    assert training["loss"]["class"] == "SparseCategoricalCrossentropy"


def test_training_and_versions_of_models_of_every_kind():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100, alpha=1e-5)
    optimizer = L2SGD(schedule, nesterov=True, momentum=0.9, l2=5e-4)
    levels = {"alpha": 0.3, "jsd_weight": 7.0, "seed": 4}
    trainer = fit_models.model("noisymix", optimizer=optimizer, **levels)
    card = model_card.describe(trainer)
    training, versions = card["training"], card["versions"]
    given, optimizer = training["hyperparameters"], training["optimizer"]
    assert training["method"] == "NoisyMix" and "model" not in given
    expected = {"taps": ["normalize", "relu"], "noise_per_view": [1, 2, 3]}
    assert (levels | expected).items() <= given.items()
    assert optimizer["l2"] == 5e-4 and optimizer["nesterov"] is True
    rate = optimizer["learning_rate"]
    assert rate["class"] == "CosineDecay" and rate["decay_steps"] == 100
    assert versions["noisymix_tf"] == nm.__version__ and versions["keras-cv"]
    for name, module in {"tensorflow": tf, "keras": keras, "numpy": np}.items():
        assert versions[name] == module.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    # Models without a graph, compiled in other ways, or not normalising.
    model = fit_models.Subclassed()
    for bad in (model, "model.keras"):
        describe = functools.partial(model_card.describe, bad)
        assert_usage_error(describe, "is no built Keras model")
    model(tf.zeros([1, 8, 8, 3]))
    card = model_card.describe(model)
    assert card["model"]["input_shape"] is card["model"]["num_classes"] is None
    assert card["model"]["parameters"] == 12 and "training" not in card
    assert "no layer that normalises" in card["preprocessing"]
    for given in (keras.losses.mean_squared_error, "mse", {"a": "mse"}):
        model.compile("sgd", given)
        training = model_card.describe(model)["training"]
        assert training["loss"] == getattr(given, "__name__", given)
        assert training["steps"] == 0
    adam = keras.optimizers.AdamW(1e-3, weight_decay=0.1, clipnorm=1.0)
    for optimizer in (adam, keras.optimizers.LossScaleOptimizer(adam)):
        model.compile(optimizer)
        found = model_card.describe(model)["training"]["optimizer"]
        inner = found.get("inner_optimizer", found)
        assert (inner["class"], inner["learning_rate"]) == ("AdamW", 1e-3)


def test_datasets_flags_metrics_and_fields_of_ones_own(tmp_path):
    """Metrics are added to a card that exists, with number and source."""
    path = tmp_path / "m.keras"
    digits = nm.data.load("digits", train_examples=20, test_examples=20)
    model = tiny_network.build((32, 32, 3), 10, 0.5, 0.5, 1.0, seed=0)
    config = Config(alpha=2.0)
    own = {"licence": "CC0", "seen": np.arange(2), "place": tmp_path}
    before = nm.save(model, path, dataset=digits, flags=config, **own)
    facts = {"train_examples": 20, "test_examples": 20, "num_classes": 10}
    facts |= {"name": "digits", "image_shape": [32, 32, 3]}
    facts["class_names"] = list(digits.class_names)
    assert before["dataset"] == facts
    assert "--alpha=2.0" in before["flags"] and None not in before["flags"]
    assert (before["licence"], before["seen"]) == ("CC0", [0, 1])
    assert before["place"] == str(tmp_path)
    suite = {"corruptions": ["contrast"], "severities": (2,)}
    results = nm.evaluate(model, digits, **suite, progress=None)
    card = model_card.write(path, metrics=results)
    assert card == model_card.read(path)
    metrics = card.pop("metrics")
    assert card == before and "cost" not in metrics
    figures, clean, c = results.figures, metrics["clean"], metrics["c"]
    assert clean["accuracy"] == pytest.approx(figures["clean/accuracy"])
    assert c["mean_accuracy"] == pytest.approx(figures["c/mean_accuracy"])
    sources = [(part["n"], part["source"]) for part in (clean, c)]
    assert sources == [(20, "original"), (20, "generated")]
    assert any("do not compare" in note for note in c["notes"])
    card = model_card.write(path, dataset="mine", flags={"lr": np.float32(0.1)})
    assert (card["dataset"], card["flags"]) == ({"name": "mine"}, {"lr": 0.1})
    model.layers[-1].bias.assign(np.arange(10.0))
    nm.save(model, path)
    call = functools.partial(model_card.write, path, metrics=results)
    assert_usage_error(call, "metrics are those of the model")
    card = model_card.write(path, metrics={"accuracy": 0.5, "loss": np.nan})
    assert card["metrics"] == {"accuracy": 0.5, "loss": "nan"}
    # ImageNet has a thousand names; more would be most of the card.
    for number in (1000, 1001):
        many = dataclasses.replace(digits, class_names=("name",) * number)
        fields = model_card.dataset_fields(many)
        assert ("class_names" in fields) == (number == 1000)
    assert "preprocess" not in fields
    split = copy.copy(digits.test)
    split.preprocess = Preprocess.parse("crop16")
    fields = model_card.dataset_fields(dataclasses.replace(digits, test=split))
    assert fields["preprocess"] == "crop16"
    given = np.inf, (tf.constant([1.5]), "a", None), keras.Model, object()
    plain = ["inf", [[1.5], "a", None], "Model", "object"]
    assert [model_card.plain(value) for value in given] == plain


def test_cards_that_cannot_be_and_that_stay_the_same(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"

    def refused(words, function=model_card.read, *arguments, **more):
        call = functools.partial(function, *arguments or [path], **more)
        assert_usage_error(call, words)

    refused("has no model card")
    refused("is no file: save the model first", model_card.write)
    model = fit_models.model("plain")
    (tmp_path / "file").write_text("text")
    refused("give a name", nm.save, model, tmp_path / "m.h5")
    refused("Cannot save to", nm.save, model, tmp_path / "file" / "m.keras")
    refused("its own field 'versions'", nm.save, model, path, versions=1)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    model.save(path)
    refused("m.card.json does not exist")
    card = model_card.write(path, model, dataset="mine")
    assert model_card.read(path) == card
    model.layers[-1].bias.assign([1.0, 2.0, 3.0])
    model.save(path)
    refused("not the card of m.keras as it is")
    fresh = model_card.write(path, model)
    assert "dataset" not in fresh  # nothing is taken from the old file's
    model_card.card_path(path).write_text("{")
    refused("not the card of")
    newer = model_card.as_text({**fresh, "format": 2})
    model_card.card_path(path).write_text(newer)
    refused("format 2, this version reads up to")
    # The same model again changes nothing.
    path = tmp_path / "again" / "m.keras"
    model = fit_models.model("noisymix")
    nm.save(model, path, dataset="a")
    model_card.write(path, metrics={"accuracy": 0.5})
    before = [p.read_bytes() for p in sorted(path.parent.iterdir())]
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    clock = type("Clock", (datetime.datetime,), {"now": lambda _=None: later})
    monkeypatch.setattr(model_card.datetime, "datetime", clock)
    nm.save(model, path, dataset="a")
    assert [p.read_bytes() for p in sorted(path.parent.iterdir())] == before
    old = model_card.read(path)
    model.model.layers[-1].bias.assign([1.0, 2.0, 3.0])
    card = nm.save(model, path, dataset="a")
    assert "metrics" not in card  # those of the old model
    assert card["created"] > old["created"]
    assert card["file"]["sha256"] != old["file"]["sha256"]


def test_the_file_is_what_keras_writes_but_for_dates(tmp_path, monkeypatch):
    shared = keras.DTypePolicy("float32"), keras.DTypePolicy("float32")
    dense = [keras.layers.Dense(5, dtype=dtype) for dtype in shared * 3]
    words = keras.layers.StringLookup(vocabulary=["a", "b"])
    text = keras.Input((1,), dtype="string")
    x = keras.ops.cast(words(text), "float32")
    model = keras.Model(text, keras.Sequential(dense)(x))
    model.compile("adam", "mse", run_eagerly=True)
    batch = tf.constant([["a"], ["c"]])
    model.train_on_batch(batch, np.zeros([2, 5]))
    lib.write(model, tmp_path / "ours.keras")
    model.save(tmp_path / "theirs.keras")
    loaded = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded(batch), model(batch))
    a, b = (m.optimizer.variables for m in (loaded, model))
    np.testing.assert_equal([v.numpy() for v in a], [v.numpy() for v in b])
    names = tmp_path / "theirs.keras", tmp_path / "ours.keras"
    files = list(map(zipfile.ZipFile, names))
    theirs, ours = ({n: f.read(n) for n in f.namelist()} for f in files)
    assert {info.date_time[0] for info in files[1].infolist()} == {1980}
    assert list(ours) == list(theirs)
    assert json.loads(ours.pop("metadata.json"))["date_saved"][:4] == "1980"
    theirs.pop("metadata.json")
    number = rb'"shared_object_id": (\d+)'
    our_config, their_config = (f.pop("config.json") for f in (ours, theirs))
    assert ours == theirs
    assert re.sub(number, b"", our_config) == re.sub(number, b"", their_config)
    # The same objects are shared: the numbers stand for the identities.
    ids = [re.findall(number, c) for c in (our_config, their_config)]
    assert len(set(zip(*ids))) == len(set(ids[0])) == len(set(ids[1])) > 1
    assert len(ids[0]) > len(set(ids[0])) == max(map(int, ids[0])) + 1

    def interrupted(self, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lib.write(model, tmp_path / "m.keras")
    assert len(list(tmp_path.iterdir())) == 2  # nothing else is left
