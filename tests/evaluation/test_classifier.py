"""Classifiers out of files: all forms of one model measure the same."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.classifier import SavedModel, load_classifier
from support.evaluation_toys import (
    SIDE,
    dataset,
    random_model,
    run,
    whole_dataset,
    without_seconds,
)

SPEC = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "pixels")


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def data(model):
    """Noise, labelled as the model sees it, so that attacks have a prey."""
    toy = dataset()
    toy.test.images[:] = np.random.default_rng(0).integers(
        0, 256, toy.test.images.shape
    )
    outputs = model.predict(toy.test.images, verbose=0)
    toy.test.labels[:] = outputs.argmax(-1)
    return toy


def own_signatures(model, path, name="mine", spec=SPEC):
    """A SavedModel with a signature of one's own."""
    module = tf.Module()
    module.model = model

    @tf.function(input_signature=[spec])
    def serve(pixels):
        return {"scores": model(tf.cast(pixels, tf.float32))}

    tf.saved_model.save(module, str(path), signatures={name: serve})


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """One model in every form."""
    root = tmp_path_factory.mktemp("models")
    model.save(root / "plain.keras")
    model.save(root / "old.h5")
    (root / "run").mkdir()
    shutil.copy(root / "plain.keras", root / "run" / "model.keras")
    nm.save(model, root / "card.keras")
    wrapped = nm.NoisyMix(model)
    nm.save(wrapped, root / "wrapped.keras")
    nm.export(model, root / "served", fresh_process=False)
    model.export(root / "exported", verbose=False)
    own_signatures(model, root / "own")
    return root


@pytest.fixture(scope="module")
def wanted(model, data):
    return measured(model, data)


def measured(model, data):
    results = run(
        model, data, suites=("clean", "fgsm"), eps=("1/255",), batch_size=9
    )
    return [
        (sums["correct"], sums["nll_sum"]) for sums in results.records.values()
    ]


def check_equal(found, wanted):
    assert [correct for correct, _ in found] == [c for c, _ in wanted]
    assert [nll for _, nll in found] == pytest.approx(
        [nll for _, nll in wanted], rel=1e-4
    )


@pytest.mark.parametrize(
    "name", ["plain.keras", "old.h5", "run", "card.keras", "wrapped.keras"]
)
def test_keras_files(files, model, data, wanted, name):
    loaded = load_classifier(files / name)
    assert isinstance(loaded, keras.Model)
    assert not isinstance(loaded, nm.NoisyMix)
    for one, other in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(one, other)
    if name in ("plain.keras", "wrapped.keras"):
        check_equal(measured(loaded, data), wanted)


@pytest.mark.parametrize(
    ("name", "signature", "output"),
    [
        ("served", "serving_float", "logits"),
        ("served/1", "serving_float", "logits"),
        ("exported", "serve", "output_0"),
        ("own", "mine", "scores"),
    ],
)
def test_saved_models(files, data, wanted, name, signature, output):
    """Attacks follow the gradient through the signature."""
    loaded = load_classifier(str(files / name))
    assert isinstance(loaded, SavedModel)
    assert (loaded.signature, loaded.output) == (signature, output)
    assert loaded.inputs[0].shape == SPEC.shape
    found = measured(loaded, data)
    check_equal(found, wanted)
    (_, clean), (_, attacked), _ = found
    assert attacked > 1.2 * clean


def test_attacks_on_a_saved_model_by_hand(files, model, data):
    """Image by image."""
    loaded = load_classifier(files / "served")
    images, labels = data.test.images, data.test.labels
    for attack, options in (
        (nm.attacks.fgsm, {}),
        (nm.attacks.pgd, {"norm": "l2", "steps": 3}),
    ):
        one, other = (
            attack(m, images, labels, 0.02, **options) for m in (model, loaded)
        )
        # The sign of a gradient that is nearly zero may be another.
        assert (np.abs(one - other) < 0.01).mean() > 0.999


def test_probabilities_are_found_out(tmp_path, data):
    softmax = random_model(softmax=True)
    nm.export(softmax, tmp_path, fresh_process=False)
    loaded = load_classifier(tmp_path)
    assert loaded.output == "probabilities"
    results = run(loaded, data, suites=("clean",))
    (sums,) = results.records.values()
    assert sums["outputs"] == "probabilities"
    check_equal(measured(loaded, data), measured(softmax, data))


def test_a_signature_of_bytes_is_measured_but_not_attacked(
    tmp_path, model, data
):
    own_signatures(
        model, tmp_path, "serving_default", tf.TensorSpec(SPEC.shape, tf.uint8)
    )
    loaded = load_classifier(tmp_path)
    results = run(loaded, data, suites=("clean",))
    assert results.figures["clean/accuracy"] == 1.0
    with pytest.raises(UsageError, match=r"no gradient.*takes floats"):
        run(loaded, data, suites=("fgsm",))


def test_the_newest_version_is_taken(files, tmp_path):
    for version in (2, 10, 9):
        shutil.copytree(files / "served/1", tmp_path / str(version))
    (tmp_path / "11").mkdir()  # Not a model yet.
    (tmp_path / ".tmp-12").mkdir()
    assert load_classifier(tmp_path).name == str(tmp_path / "10")


def test_fingerprints(files, tmp_path, model, data):
    """Of the files: a copy is the same model, other weights are another."""
    loaded = load_classifier(files / "served")
    shutil.copytree(files / "served/1", tmp_path / "copy/7")
    (tmp_path / "copy/7/assets.extra/labels.txt").write_text("a\nb\nc\n")
    copy = load_classifier(tmp_path / "copy")
    assert copy.fingerprint == loaded.fingerprint
    other = random_model(seed=1)
    nm.export(other, tmp_path / "other", fresh_process=False)
    another = load_classifier(tmp_path / "other")
    assert another.fingerprint != loaded.fingerprint
    options = {"suites": ("clean",), "output_dir": tmp_path / "run"}
    assert run(loaded, data, **options).computed == 1
    assert run(copy, data, **options).computed == 0
    assert run(another, data, **options).computed == 1


def test_our_layers_inside(tmp_path, data):
    """What is drawn in training does nothing in an evaluation."""
    inputs = keras.Input([SIDE, SIDE, 3])
    x = nm.layers.FeatureNoise(0.4)(inputs)
    plain = random_model()
    noisy = keras.Model(inputs, plain(x))
    noisy.save(tmp_path / "noisy.keras")
    loaded = load_classifier(tmp_path / "noisy.keras")
    assert any(
        isinstance(layer, nm.layers.FeatureNoise) for layer in loaded.layers
    )
    check_equal(measured(loaded, data), measured(plain, data))


def test_a_trainer_is_measured_as_the_model_that_it_wraps(model, data):
    wrapped = run(nm.NoisyMix(model), data, suites=("clean",))
    plain = run(model, data, suites=("clean",))
    (one,), (other,) = (
        without_seconds(results).values() for results in (wrapped, plain)
    )
    assert one["correct"] == other["correct"]
    assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-6)


# --- what is no classifier ---------------------------------------------------


def damaged(files, path):
    content = (files / "plain.keras").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def foreign_layer(files, path):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    inputs = keras.Input([4])
    keras.Model(inputs, Mine()(inputs)).save(path)


def no_saved_model(files, path):
    path.mkdir()
    (path / "weights.bin").write_bytes(b"x")


def torn_saved_model(files, path):
    shutil.copytree(files / "served/1", path)
    (path / "saved_model.pb").write_bytes(b"no protocol buffer")


def no_variables(files, path):
    shutil.copytree(files / "served/1", path)
    shutil.rmtree(path / "variables")


def no_signature(files, path):
    module = tf.Module()
    module.v = tf.Variable(1.0)
    tf.saved_model.save(module, str(path))


def of_text(files, path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(text):
        return {"length": tf.strings.length(text)}

    tf.saved_model.save(module, str(path), signatures={"words": serve})


def torn_run(files, path):
    path.mkdir()
    (path / "model.keras").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (None, "none.keras", r"no model at '.*none\.keras'"),
        (None, "none", "no model at '.*none'"),
        # Keras says of it that it was not found.
        (damaged, "half.keras", r"half\.keras' .*is damaged or cut short"),
        (damaged, "half.h5", r"half\.h5' cannot be loaded"),
        (damaged, "model.pt", r"model\.pt' is no model file.*\.keras, \.h5"),
        (foreign_layer, "mine.keras", r"mine\.keras' cannot be loaded.*import"),
        (no_saved_model, "dir", "holds neither model.keras nor a SavedModel"),
        (torn_saved_model, "torn", "SavedModel '.*torn' cannot be loaded"),
        (no_variables, "bare", "SavedModel '.*bare' cannot be loaded"),
        (no_signature, "mute", "No signature .* it has none"),
        (of_text, "text", "No signature .* it has words"),
        (torn_run, "run", r"run/model\.keras' .*is damaged or cut short"),
    ],
)
def test_bad_files(files, tmp_path, make, name, message):
    path = pathlib.Path(tmp_path / name)
    if make is not None:
        make(files, path)
    with pytest.raises(UsageError, match=message) as caught:
        load_classifier(path)
    assert "\n" not in str(caught.value)


def test_another_number_of_classes(files, tmp_path):
    other = random_model(num_classes=4)
    nm.export(other, tmp_path, fresh_process=False)
    for model in (other, load_classifier(tmp_path)):
        with pytest.raises(UsageError, match=r"\[8, 4\].*3 classes") as caught:
            run(model, suites=("clean",))
        assert "\n" not in str(caught.value)


def test_another_size(files):
    base = whole_dataset(n=4)
    small = nm.data.ArraySplit(np.zeros([4, 8, 8, 3], np.uint8), [0, 1, 2, 0])
    small = type(base)(**{**vars(base), "test": small})
    loaded = load_classifier(files / "served")
    with pytest.raises(UsageError, match=r"\[16, 16, 3\].*\[8, 8, 3\]"):
        run(loaded, small, suites=("clean",))


@pytest.mark.parametrize("wrap", [lambda x: {"logits": x}, lambda x: [x, x]])
def test_several_outputs(model, wrap):
    many = keras.Model(model.inputs, wrap(model.outputs[0]))
    with pytest.raises(UsageError, match="expected one tensor") as caught:
        run(many, suites=("clean",))
    assert "\n" not in str(caught.value)
