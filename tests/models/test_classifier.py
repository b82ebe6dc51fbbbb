"""Classifiers out of files: all forms of one model measure the same."""

import functools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.models.classifier import load_classifier
from support.evaluation_toys import SIDE, random_model, run, self_labelled
from support.usage import assert_usage_error

SPEC = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "pixels")
CLEAN = {"suites": ("clean",)}
MODEL = random_model()
DATA = self_labelled(MODEL)


def served(function, path, name="mine", spec=SPEC, output="scores"):
    module = tf.Module()
    module.function = function

    @tf.function(input_signature=[spec])
    def serve(pixels):
        if pixels.dtype == tf.uint8:
            pixels = tf.cast(pixels, tf.float32)
        return {word: function(pixels) for word in output.split()}

    signatures = {name: serve} if name else None
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    MODEL.save(root / "plain.keras")
    MODEL.save(root / "old.h5")
    (root / "run").mkdir()
    shutil.copy(root / "plain.keras", root / "run" / "model.keras")
    nm.save(nm.NoisyMix(MODEL), root / "wrapped.keras")
    nm.export(MODEL, root / "served", fresh_process=False)
    MODEL.export(root / "exported", verbose=False)
    served(MODEL, root / "own")
    return root


def check_equal(found, wanted, **options):
    both = [run(each, DATA, **options).scores for each in (found, wanted)]
    for (cell, one), (like, other) in zip(*map(dict.items, both), strict=True):
        np.testing.assert_array_equal(one.rows["right"], other.rows["right"])
        nll = one.rows["nll"], other.rows["nll"]
        np.testing.assert_allclose(*nll, rtol=1e-4, atol=1e-6)
        assert cell.outputs == like.outputs
    return [one.rows["nll"].sum() for one in both[0].values()]


def test_keras_files(files, tmp_path):
    for name in ("plain.keras", "old.h5", "run", "wrapped.keras"):
        loaded = load_classifier(files / name)
        assert not isinstance(loaded, nm.NoisyMix)
        pairs = zip(loaded.get_weights(), MODEL.get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
    # Neither layers inside nor a trainer around it draw what training does.
    noise = nm.layers.FeatureNoise(0.4)
    noisy = keras.Sequential([keras.Input([SIDE, SIDE, 3]), noise, MODEL])
    noisy.save(tmp_path / "noisy.keras")
    loaded = load_classifier(tmp_path / "noisy.keras")
    assert nm.layers.FeatureNoise in map(type, loaded.layers)
    for each in (loaded, nm.NoisyMix(MODEL)):
        check_equal(each, MODEL, **CLEAN)


def test_saved_models(files):
    outputs = MODEL.predict(DATA.test.images, verbose=0)
    for name, *wanted in (
        ("served", "serving_float", "logits"),
        ("served/1", "serving_float", "logits"),
        ("exported", "serve", "output_0"),
        ("own", "mine", "scores"),
    ):
        loaded = load_classifier(str(files / name))
        assert [loaded.signature, loaded.output] == wanted
        assert loaded.inputs[0].shape == SPEC.shape
        np.testing.assert_allclose(loaded(DATA.test.images), outputs, atol=1e-4)
    # Attacks follow the gradient through the signature.
    options = {"suites": ("clean", "fgsm"), "eps": ("1/255",)}
    clean, attacked, _ = check_equal(loaded, MODEL, **options)
    assert attacked > 1.2 * clean


def test_probabilities_and_bytes_are_found_out(tmp_path):
    softmax = random_model(softmax=True)
    served(softmax, tmp_path / "soft", output="probabilities")
    loaded = load_classifier(tmp_path / "soft")
    assert loaded.ending == loaded.output == "probabilities"
    check_equal(loaded, softmax, **CLEAN)
    spec = tf.TensorSpec(SPEC.shape, tf.uint8)
    served(MODEL, tmp_path / "bytes", "serving_default", spec)
    loaded = load_classifier(tmp_path / "bytes")
    assert run(loaded, DATA, **CLEAN).figures["clean/accuracy"] == 1.0
    words = "no gradient", "one of floats"
    assert_usage_error(lambda: run(loaded, DATA, suites=("fgsm",)), *words)


def test_the_newest_version_and_a_copy_of_a_model(files, tmp_path, monkeypatch):
    for version in (2, 10, 9):
        shutil.copytree(files / "own", tmp_path / f"all/{version}")
    (tmp_path / "all/11").mkdir()  # Not a model yet.
    (tmp_path / "all/.tmp-12").mkdir()
    shutil.copytree(files / "own", tmp_path / "all/²")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_classifier("~/all").name.endswith("all/10")
    shutil.copytree(files / "served/1", tmp_path / "copy/7")
    (tmp_path / "copy/7/assets.extra/labels.txt").write_text("a\nb\nc\n")
    served(random_model(seed=1), tmp_path / "other")
    options = {**CLEAN, "output_dir": tmp_path / "run"}
    paths = files / "served", tmp_path / "copy", tmp_path / "other"
    for path, computed in zip(paths, (1, 0, 1)):
        results = run(load_classifier(path), DATA, **options)
        assert results.computed == computed


def test_bad_files(files, tmp_path):
    plain = (files / "plain.keras").read_bytes()
    for name in ("half.keras", "half.h5", "model.pt"):
        (tmp_path / name).write_bytes(plain[: len(plain) // 2])
    foreign = type("Mine", (keras.layers.Layer,), {"call": lambda _, x: x})
    foreign = keras.Sequential([keras.Input([4]), foreign()])
    foreign.save(tmp_path / "mine.keras")
    (tmp_path / "empty").mkdir()
    shutil.copytree(files / "own", tmp_path / "torn")
    (tmp_path / "torn" / "saved_model.pb").write_bytes(b"torn")
    spec = tf.TensorSpec([None], tf.string)
    for path, name in (("mute", None), ("text", "words")):
        served(tf.strings.length, tmp_path / path, name, spec)
    served(MODEL, tmp_path / "two", output="one other")
    for name, *words in (
        ("none", "no model at", "none'"),
        ("half.keras", "half.keras'", "is damaged or cut short"),
        ("half.h5", "half.h5' cannot be loaded"),
        ("model.pt", "no model at", "does not end in .keras, .h5"),
        ("mine.keras", "cannot be loaded", "import"),
        ("empty", "neither model.keras nor saved_model.pb"),
        ("torn", "SavedModel", "torn' cannot be loaded"),
        ("mute", "No signature", "it has none"),
        ("text", "No signature", "it has words"),
        ("two", "No signature", "gives one output per class"),
    ):
        call = functools.partial(load_classifier, tmp_path / name)
        assert_usage_error(call, *words)
