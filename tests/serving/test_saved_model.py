"""What is written gives what the Keras model gives, or nothing is written."""

import errno
import functools
import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl as loader

from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.files import UNFINISHED
from noisymix_tf.serving import reload, saved_model, signatures
from noisymix_tf.serving.classifier import difference
from noisymix_tf.serving.reload import ExportMismatch
from noisymix_tf.serving.signatures import SIGNATURES, Signature
from support.fit_models import two_replicas
from support.released_sets import noise
from support.served import NAMES, PREPROCESS, classifier
from support.usage import assert_usage_error

# A new process takes seconds; the session's export has it.
export = functools.partial(saved_model.export, fresh_process=False)


def call(done, images, signature="serving_default"):
    loaded = tf.saved_model.load(str(done.path))
    results = loaded.signatures[signature](images=tf.constant(images))
    return {key: value.numpy() for key, value in results.items()}


def everything_in(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("shift", [np.uint8(0), np.float32(0.4)])
def test_outputs_equal_the_keras_models(model, served, shift, batch):
    signature = "serving_float" if shift else "serving_default"
    images = noise(batch, 32, 32, 3) + shift
    results = call(served, images, signature)
    logits = model(images, training=False).numpy()
    probabilities = tf.nn.softmax(logits).numpy()
    assert probabilities.max() > 0.2  # else all classes are near 1/C
    order = np.argsort(-probabilities, axis=-1)[:, :5]
    np.testing.assert_allclose(results["logits"], logits, atol=1e-4)
    found = results["probabilities"]
    np.testing.assert_allclose(found, probabilities, atol=1e-5)
    np.testing.assert_array_equal(results["classes"], order)
    best = np.take_along_axis(found, order, axis=-1)
    np.testing.assert_array_equal(results["scores"], best)
    labels = [[name.decode() for name in row] for row in results["labels"]]
    assert labels == [[NAMES[c] for c in row] for row in order]
    # Features are what the last layer gets.
    if signature == "serving_default":
        features = call(served, images, "features")["features"]
        kernel, bias = model.layers[-1].get_weights()
        np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-4)


def test_what_is_in_the_folder_and_what_clients_see(model, served, loaded):
    """Another layout than a server reads, weights twice, constants not told."""
    # A new process without this package has compared every signature.
    assert set(served.differences) == set(SIGNATURES)
    assert os.listdir(served.path.parent) == [str(served.version)] == ["1"]
    stored = served.path / "variables" / "variables.data-00000-of-00001"
    assert stored.stat().st_size < 4 * model.count_params() + 20_000
    plain = served.path / "plain"
    plain.mkdir()
    assert served.path.stat().st_mode == plain.stat().st_mode
    plain.rmdir()
    extra = served.path / "assets.extra"
    labels = (extra / "labels.txt").read_text(encoding="utf-8")
    assert labels.splitlines() == NAMES
    constants = json.loads((extra / "preprocessing.json").read_text())
    (normalisation,) = constants["normalisation"]
    assert normalisation["layer"] == "normalize"
    assert normalisation["scale"] == [pytest.approx(1 / 127.5)]
    assert normalisation["offset"] == [-1.0]
    assert constants["encoded_images"]["preprocess"] == PREPROCESS
    # What TensorFlow Serving goes by, which no loader of Python reads.
    (graph,) = loader.parse_saved_model(str(served.path)).meta_graphs
    described = json.loads((extra / "signatures.json").read_text())
    assert set(described) == set(loaded.signatures) == set(SIGNATURES)
    for name, signature in loaded.signatures.items():
        method = SIGNATURES[name].method
        assert graph.signature_def[name].method_name == method
        assert described[name]["method"] == method
        sent, given = signature.structured_input_signature[1], signature
        sides = {"inputs": sent, "outputs": given.structured_outputs}
        for side, those in sides.items():
            entries = described[name][side].items()
            kinds = {key: spec.dtype.name for key, spec in those.items()}
            assert {k: e["dtype"] for k, e in entries if e["what"]} == kinds
    named = {"classes": ([5], tf.string), "scores": ([5], tf.float32)}
    outputs = {key: ([10], tf.float32) for key in ("logits", "probabilities")}
    outputs |= {"classes": ([5], tf.int32), "labels": ([5], tf.string)}
    outputs["scores"] = ([5], tf.float32)
    pixels, last = [None, 32, 32, 3], {"features": ([16], tf.float32)}
    told = outputs | {"status": ([], tf.string)}
    for name, shape, dtype, argument, expected in (
        ("serving_default", pixels, tf.uint8, "images", outputs),
        ("serving_float", pixels, tf.float32, "images", outputs),
        ("serving_bytes", [None], tf.string, "image_bytes", told),
        ("tf_example", [None], tf.string, "inputs", named),
        ("features", pixels, tf.uint8, "images", last),
    ):
        signature = loaded.signatures[name]
        (spec,) = signature.structured_input_signature[1].values()
        assert spec == tf.TensorSpec(shape, dtype, name=argument)
        found = signature.structured_outputs.items()
        assert expected == {k: (s.shape[1:], s.dtype) for k, s in found}


def test_images_of_any_size_and_classes_of_equal_names(tmp_path):
    """Two classes called crane were taken for weights that differ."""
    model = classifier(shape=(None, None, 3))
    kinds = {"class_names": ["crane"] * 5 + ["owl"] * 5}
    sample = noise(2, 40, 24, 3)
    done = export(model, tmp_path / "m", check_images=sample, **kinds)
    for shape in ([1, 32, 32, 3], [2, 64, 48, 3]):
        images = noise(*shape)
        found = call(done, images)
        np.testing.assert_allclose(found["logits"], model(images), atol=1e-4)
        named = np.where(found["classes"] < 5, b"crane", b"owl")
        np.testing.assert_array_equal(found["labels"], named)
    labels = ["crane", "owl", "crane"]
    expected = {"probabilities": np.array([[0.5, 0.2, 0.3]])}
    scores = np.array([[0.5, 0.3, 0.2]])
    gaps = {"crane owl": 0.0, "owl crane": 0.1, "crane crane": 0.1}
    for named, gap in (gaps | {"crane emu": np.inf}).items():
        named = np.array([[b"crane", *named.encode().split()]], object)
        made = difference({"scores": scores, "labels": named}, expected, labels)
        np.testing.assert_allclose(made, gap)


@pytest.mark.usefixtures("pixels_only")
@pytest.mark.parametrize(
    ("policy", "ends", "classes", "is_probability"),
    [
        ("float32", ["softmax"], 3, True),
        ("mixed_bfloat16", ["relu"], 10, False),
        ("mixed_bfloat16", ["softmax", "linear"], 10, True),
        ("mixed_bfloat16", ["sigmoid"], 1, True),
    ],
)
def test_no_softmax_twice(tmp_path, policy, ends, classes, is_probability):
    """Softmax was applied to a softmax in bfloat16, and the check agreed."""
    keras.config.set_dtype_policy(policy)
    try:
        layers = [keras.layers.Dense(classes)]
        layers += [keras.layers.Activation(end) for end in ends[:-1]]
        # The last one brings all to float32, as is usual.
        layers.append(keras.layers.Activation(ends[-1], dtype="float32"))
        model = classifier(*layers)
    finally:
        keras.config.set_dtype_policy("float32")
    images = noise(4, 32, 32, 3)
    results = call(export(model, tmp_path / "m"), images)
    own = tf.cast(model(images), tf.float32).numpy()
    assert ("logits" in results) == (not is_probability)
    if not is_probability:
        np.testing.assert_allclose(results["logits"], own, rtol=2e-2, atol=0.1)
        own = tf.nn.softmax(own).numpy()
    # Else twice would be much the same.
    assert classes == 1 or own.max() > 0.5
    np.testing.assert_allclose(results["probabilities"], own, atol=5e-2)
    assert results["probabilities"].dtype == np.float32
    assert results["classes"].shape == (4, min(classes, 5))


def test_versions_are_whole_without_test_images(model, tmp_path, monkeypatch):
    """They were sent along as the requests that a server warms up with."""
    images = noise(3, 32, 32, 3, seed=7)
    publish, path = saved_model.publish, tmp_path / "m"

    def watched(folder):
        assert not any(name.isdigit() for name in os.listdir(path))
        assert (folder / "assets.extra" / "model_card.json").is_file()
        return publish(folder)

    monkeypatch.setattr(saved_model, "publish", watched)
    kinds = {"batch_sizes": (1, 3), "quantize": True}
    done = export(model, path, check_images=images, **kinds)
    assert os.listdir(path) == ["1"]
    rows = images.reshape(-1, 32 * 3)
    parts = [row.tobytes() for row in rows]
    parts += [row.astype(np.float32).tobytes() for row in rows]
    # Past the headers, which all files share.
    sent = signatures.encoded(images, Preprocess(32, 32))
    parts += [file[len(file) // 2 :][:64] for file in sent]
    assert (done.path / "assets.extra/tf_serving_warmup_requests").is_file()
    for file in filter(os.path.isfile, done.path.rglob("*")):
        content = file.read_bytes()
        assert not any(part in content for part in parts), file


@pytest.mark.usefixtures("pixels_only")
def test_a_model_trained_on_two_replicas(tmp_path):
    with two_replicas().scope():
        model = classifier(keras.layers.Dropout(0.5), keras.layers.Dense(10))
        before = [v.numpy() for v in model.variables]
        call = functools.partial(export, model, tmp_path / "m")
        assert_usage_error(call, "strategy's scope")
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(noise(4, 32, 32, 3), np.arange(4), verbose=0)
    trained = [v.numpy() for v in model.variables]
    assert any((a != b).any() for a, b in zip(before, trained))
    assert call().max_abs_difference <= 1e-5
    for old, variable in zip(trained, model.variables):
        np.testing.assert_array_equal(old, variable)


CHANGES = {"logits": lambda found: found + 0.5}
CHANGES["probabilities"] = lambda found: found * np.nan
CHANGES["classes"] = lambda found: (found + 1) % 10


@pytest.mark.usefixtures("pixels_only")
@pytest.mark.parametrize("key", CHANGES)
def test_a_signature_that_differs(model, tmp_path, monkeypatch, key):
    path = tmp_path / "m"
    (path / "1").mkdir(parents=True)  # An earlier version.

    def compute(served, images):
        results = served.classify(images)
        return {**results, key: CHANGES[key](results[key])}

    other = Signature(compute, "images", tf.float32, "pixels")
    monkeypatch.setitem(SIGNATURES, "serving_other", other)
    with pytest.raises(ExportMismatch, match="tolerance is 1e-05"):
        export(model, path)
    assert everything_in(tmp_path) == ["m", "m/1"]
    if key == "logits":
        assert 1e-2 < export(model, path, tolerance=1.0).max_abs_difference < 1


@pytest.mark.usefixtures("pixels_only")
def test_other_files_or_failures_leave_nothing(model, tmp_path, monkeypatch):
    save = tf.saved_model.save

    def save_other_weights(module, folder, signatures):
        for w in module.variables_of_model:
            w.assign(0.9 * w)
        save(module, folder, signatures=signatures)

    def interrupted(folder):
        raise KeyboardInterrupt

    for name, function, error in (
        ("save", save_other_weights, ExportMismatch),
        ("load", interrupted, KeyboardInterrupt),
    ):
        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(tf.saved_model, name, function)
            export(model, tmp_path / "new" / "m")
        assert everything_in(tmp_path) == []
    monkeypatch.setattr(reload, "__file__", tmp_path / "script.py")
    (tmp_path / "script.py").write_text("raise OSError('does not exist')")
    with pytest.raises(ExportMismatch, match=r"status 1: .*not exist"):
        reload.call_in_new_process(tmp_path, {})


def ending_in(layer, shape=(32, 32, 3)):
    x = keras.Input(shape)
    return keras.Model(x, layer(x))


@pytest.mark.parametrize(
    "given, words",
    [
        (lambda: ending_in(keras.layers.Conv2D(3, 3)), "probabilities (N, K)"),
        (lambda: ending_in(keras.layers.Flatten(), [8, 8, None]), "expected i"),
        (lambda: ending_in(lambda x: [x, x]), "one input and one output"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "no built Keras"),
        (lambda: classifier(keras.layers.Dense(1)), "end it in a sigmoid"),
        ({"class_names": NAMES[:9]}, "9 names but the model 10 classes"),
        ({"class_names": [*NAMES[:9], "a\nb"]}, "not a line of text"),
        ({"card": "model.card.json"}, "card is 'model.card.json'; give"),
        ({"outputs": "probabilities"}, "this model gives logits"),
        ({"check_images": np.zeros([2, 32, 32, 3])}, "float64 of shape"),
        ({"check_images": noise(2, 32, 31, 3)}, "expected uint8"),
        ({"check_images": noise(0, 32, 32, 3)}, "N >= 1"),
        ({"check_labels": [0, 10]}, "expected 32 class numbers from 0 to 9"),
        ({"weights": "int8"}, "give float32, float16, bfloat16"),
        (lambda: classifier(keras.layers.Dense(3, "sigmoid")), "a yes or no"),
        ({"tolerance": "x"}, "tolerance='x' must be a number greater than 0"),
        ({"batch_sizes": 8}, "wrong ones ['8, no list']: give a list"),
        ({"batch_sizes": range(1, 900)}, "899 sizes, wrong ones []"),
        ({"preprocess": "resize64-crop64"}, "the model takes 32 x 32"),
    ],
)
def test_bad_models_and_arguments(model, tmp_path, given, words):
    """One logit was served with a probability of one, whatever it was."""
    if callable(given):
        model, given = given(), {"temperature": 2.0}
    assert_usage_error(lambda: export(model, tmp_path / "m", **given), words)
    assert everything_in(tmp_path) == []


def written(path):
    with saved_model.new_version(path) as folder:
        (folder / "saved_model.pb").write_text("ours")
        return saved_model.publish(folder)


def test_each_export_takes_the_next_version_and_the_folder_for_itself(
    tmp_path, monkeypatch
):
    path = tmp_path / "m"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [written("~/m").name, written(path).name] == ["1", "2"]
    (path / "7").mkdir()
    (path / "notes").mkdir()
    (path / f"{UNFINISHED}by-one-that-was-killed").mkdir()
    (path / ".tmp-mine").mkdir()
    (path / f"{UNFINISHED}file").touch()
    assert written(path).name == "8"
    with saved_model.new_version(path):
        assert_usage_error(lambda: written(path), "by another process")
    names = f"1 2 7 8 notes .tmp-mine {UNFINISHED}file".split()
    assert {*os.listdir(path)} == {*names}


def test_paths_that_cannot_be_written_and_a_full_disk(tmp_path):
    assert_usage_error(lambda: written("gs://bucket/m"), "give a local folder")
    long = tmp_path / "new" / ("x" * 300)
    assert_usage_error(lambda: written(long), "File name too long")
    with pytest.raises(OSError, match="No space left") as error:
        with saved_model.new_version(tmp_path / "m") as folder:
            message = f"{folder}/saved_model.pb; No space left on device"
            raise tf.errors.ResourceExhaustedError(None, None, message)
    assert error.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []
