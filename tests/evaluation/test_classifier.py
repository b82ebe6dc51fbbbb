"""Classifiers out of files: all forms of one model measure the same."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.evaluation.classifier import load_classifier
from support.evaluation_toys import SIDE, random_model, run, self_labelled
from support.usage import assert_usage_error

SPEC = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "pixels")
CLEAN = {"suites": ("clean",)}


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def data(model):
    return self_labelled(model)


def served(function, path, name="mine", spec=SPEC, output="scores"):
    """A SavedModel with a signature of one's own; none without a name."""
    module = tf.Module()
    module.function = function

    @tf.function(input_signature=[spec])
    def serve(pixels):
        if pixels.dtype == tf.uint8:
            pixels = tf.cast(pixels, tf.float32)
        return {output: function(pixels)}

    signatures = {name: serve} if name else None
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """One model in every form."""
    root = tmp_path_factory.mktemp("models")
    model.save(root / "plain.keras")
    model.save(root / "old.h5")
    (root / "run").mkdir()
    shutil.copy(root / "plain.keras", root / "run" / "model.keras")
    nm.save(nm.NoisyMix(model), root / "wrapped.keras")
    nm.export(model, root / "served", fresh_process=False)
    model.export(root / "exported", verbose=False)
    served(model, root / "own")
    return root


def check_equal(found, wanted, data, **options):
    """Two forms of one model measure the same."""
    both = [run(each, data, **options).records for each in (found, wanted)]
    for one, other in zip(*(b.values() for b in both), strict=True):
        assert one["correct"] == other["correct"]
        assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-4)
        assert one["outputs"] == other["outputs"]
    return [one["nll_sum"] for one in both[0].values()]


def test_keras_files(files, tmp_path, model, data):
    for name in ("plain.keras", "old.h5", "run", "wrapped.keras"):
        loaded = load_classifier(files / name)
        assert not isinstance(loaded, nm.NoisyMix)
        pairs = zip(loaded.get_weights(), model.get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
    # Neither layers inside nor a trainer around it draw what training does.
    noise = nm.layers.FeatureNoise(0.4)
    noisy = keras.Sequential([keras.Input([SIDE, SIDE, 3]), noise, model])
    noisy.save(tmp_path / "noisy.keras")
    loaded = load_classifier(tmp_path / "noisy.keras")
    assert nm.layers.FeatureNoise in map(type, loaded.layers)
    for each in (loaded, nm.NoisyMix(model)):
        check_equal(each, model, data, **CLEAN)


def test_saved_models(files, model, data):
    outputs = model.predict(data.test.images, verbose=0)
    for name, *wanted in (
        ("served", "serving_float", "logits"),
        ("served/1", "serving_float", "logits"),
        ("exported", "serve", "output_0"),
        ("own", "mine", "scores"),
    ):
        loaded = load_classifier(str(files / name))
        assert [loaded.signature, loaded.output] == wanted
        assert loaded.inputs[0].shape == SPEC.shape
        np.testing.assert_allclose(loaded(data.test.images), outputs, atol=1e-4)
    # Attacks follow the gradient through the signature.
    options = {"suites": ("clean", "fgsm"), "eps": ("1/255",)}
    clean, attacked, _ = check_equal(loaded, model, data, **options)
    assert attacked > 1.2 * clean


def test_probabilities_and_bytes_are_found_out(tmp_path, model, data):
    softmax = random_model(softmax=True)
    served(softmax, tmp_path / "soft", output="probabilities")
    loaded = load_classifier(tmp_path / "soft")
    assert loaded.ending == loaded.output == "probabilities"
    check_equal(loaded, softmax, data, **CLEAN)
    spec = tf.TensorSpec(SPEC.shape, tf.uint8)
    served(model, tmp_path / "bytes", "serving_default", spec)
    loaded = load_classifier(tmp_path / "bytes")
    assert run(loaded, data, **CLEAN).figures["clean/accuracy"] == 1.0
    words = "no gradient", "takes floats"
    assert_usage_error(lambda: run(loaded, data, suites=("fgsm",)), *words)


def test_the_newest_version_and_a_copy_of_a_model(files, tmp_path, data):
    for version in (2, 10, 9):
        shutil.copytree(files / "own", tmp_path / f"all/{version}")
    (tmp_path / "all/11").mkdir()  # Not a model yet.
    (tmp_path / "all/.tmp-12").mkdir()
    assert load_classifier(tmp_path / "all").name.endswith("all/10")
    shutil.copytree(files / "served/1", tmp_path / "copy/7")
    (tmp_path / "copy/7/assets.extra/labels.txt").write_text("a\nb\nc\n")
    served(random_model(seed=1), tmp_path / "other")
    options = {**CLEAN, "output_dir": tmp_path / "run"}
    paths = files / "served", tmp_path / "copy", tmp_path / "other"
    for path, computed in zip(paths, (1, 0, 1)):
        results = run(load_classifier(path), data, **options)
        assert results.computed == computed


def damaged(files, path):
    content = (files / "plain.keras").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def foreign_layer(files, path):
    foreign = type("Mine", (keras.layers.Layer,), {"call": lambda _, x: x})
    keras.Sequential([keras.Input([4]), foreign()]).save(path)


def torn(files, path):
    shutil.copytree(files / "own", path)
    (path / "saved_model.pb").write_bytes(b"torn")


def of_text(name=None):
    spec = tf.TensorSpec([None], tf.string)
    return lambda _, path: served(tf.strings.length, path, name, spec)


@pytest.mark.parametrize(
    "make, name, words",
    [
        (lambda *_: None, "none", "no model at & none'"),
        (damaged, "half.keras", "half.keras' & is damaged or cut short"),
        (damaged, "half.h5", "half.h5' cannot be loaded"),
        (damaged, "model.pt", "model.pt' is no model file & .keras, .h5"),
        (foreign_layer, "mine.keras", "cannot be loaded & import"),
        (lambda _, path: path.mkdir(), "empty", "neither model.keras nor a Sa"),
        (torn, "torn", "SavedModel & torn' cannot be loaded"),
        (of_text(), "mute", "No signature & it has none"),
        (of_text("words"), "text", "No signature & it has words"),
    ],
)
def test_bad_files(files, tmp_path, make, name, words):
    path = tmp_path / name
    make(files, path)
    assert_usage_error(lambda: load_classifier(path), *words.split(" & "))
