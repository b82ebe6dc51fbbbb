import functools
import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.serving import (
    SIGNATURES,
    ExportMismatch,
    Signature,
    examples,
    keras_model,
    reload,
    saved_model,
    versions,
)

# A new process takes seconds; one test has it.
export = functools.partial(saved_model.export, fresh_process=False)
NAMES = [f"class {c}" for c in "αbcdefghij"]


def images_like(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def small_classifier(*head, shape=(32, 32, 3)):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="normalize"),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalMaxPooling2D(),
            *head,
        ]
    )


def spread_out(model):
    """Makes the outputs of an untrained network differ between images."""
    rng = np.random.default_rng(5)
    for variable in model.weights:
        shape = variable.shape
        if len(shape) > 1:
            variable.assign(rng.normal(0, 0.5, shape).astype(np.float32))
        elif "moving_mean" in variable.path:
            variable.assign(rng.normal(1, 0.5, shape).astype(np.float32))
    return model


@pytest.fixture(scope="module")
def model():
    return spread_out(small_classifier(keras.layers.Dense(10)))


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """The export of `model` with class names, in a folder of its own."""
    path = tmp_path_factory.mktemp("served") / "digits"
    return export(model, path, class_names=NAMES)


@pytest.fixture(scope="module")
def loaded(served):
    return tf.saved_model.load(str(served.path))


def run(script, cwd):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything_in(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


# What is served.


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize(
    "signature, dtype",
    [("serving_default", np.uint8), ("serving_float", np.float32)],
)
def test_outputs_equal_the_keras_models(model, loaded, signature, dtype, batch):
    images = images_like([batch, 32, 32, 3])
    results = loaded.signatures[signature](
        images=tf.constant(images.astype(dtype))
    )
    logits = model(images, training=False).numpy()
    probabilities = tf.nn.softmax(logits).numpy()
    assert probabilities.max() > 0.2  # else all classes are near 1/C
    order = np.argsort(-probabilities, axis=-1)[:, :5]
    np.testing.assert_allclose(results["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(
        results["probabilities"], probabilities, atol=1e-5
    )
    np.testing.assert_array_equal(results["classes"], order)
    np.testing.assert_array_equal(
        results["scores"],
        np.take_along_axis(results["probabilities"].numpy(), order, axis=-1),
    )
    labels = [[n.decode() for n in row] for row in results["labels"].numpy()]
    assert labels == [[NAMES[c] for c in row] for row in order]


def test_fractions_of_pixel_values_reach_the_model(model, loaded):
    images = images_like([2, 32, 32, 3]) + np.float32(0.4)
    results = loaded.signatures["serving_float"](images=tf.constant(images))
    np.testing.assert_allclose(results["logits"], model(images), atol=1e-4)


def test_features_are_what_the_last_layer_gets(model, loaded):
    images = images_like([3, 32, 32, 3])
    results = loaded.signatures["features"](images=tf.constant(images))
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(
        results["features"].numpy() @ kernel + bias, model(images), atol=1e-4
    )


def test_result_and_layout(model, served):
    assert (served.version, served.path.name) == (1, "1")
    assert set(served.differences) == set(SIGNATURES.names())
    assert 0 <= served.max_abs_difference <= 1e-5
    files = everything_in(served.path.parent)
    assert {f.split("/")[0] for f in files} == {"1"}
    stored = served.path / "variables" / "variables.data-00000-of-00001"
    # Every weight once; the rest is the graph of objects.
    assert stored.stat().st_size < 4 * model.count_params() + 20_000


def test_what_lies_beside_the_model(model, served):
    extra = served.path / "assets.extra"
    labels = (extra / "labels.txt").read_text(encoding="utf-8")
    assert labels.splitlines() == NAMES
    constants = json.loads((extra / "preprocessing.json").read_text())
    assert constants["normalisation"] == [
        {
            "layer": "normalize",
            "class": "Rescaling",
            "scale": [pytest.approx(1 / 127.5)],
            "offset": [-1.0],
        }
    ]
    assert constants["encoded_images"]["preprocess"] == "resize32-crop32"
    described = json.loads((extra / "signatures.json").read_text())
    loaded = tf.saved_model.load(str(served.path))
    assert set(described) == set(loaded.signatures) == set(SIGNATURES.names())
    for name, signature in loaded.signatures.items():
        taken = signature.structured_input_signature[1]
        for side, specs in (
            ("inputs", taken),
            ("outputs", signature.structured_outputs),
        ):
            entries = described[name][side]
            assert {k: e["dtype"] for k, e in entries.items()} == {
                k: spec.dtype.name for k, spec in specs.items()
            }
            assert all(e["what"] for e in entries.values())


def test_the_folder_is_as_readable_as_any_other(served):
    plain = served.path.parent / "plain"
    plain.mkdir()
    modes = [p.stat().st_mode for p in (served.path, plain)]
    plain.rmdir()
    assert modes[0] == modes[1]


def test_signatures_as_a_client_sees_them(loaded):
    outputs = {
        "logits": ([10], tf.float32),
        "probabilities": ([10], tf.float32),
        "classes": ([5], tf.int32),
        "scores": ([5], tf.float32),
        "labels": ([5], tf.string),
    }
    pixels = [None, 32, 32, 3]
    for name, shape, dtype, argument, expected in (
        ("serving_default", pixels, tf.uint8, "images", outputs),
        ("serving_float", pixels, tf.float32, "images", outputs),
        ("serving_bytes", [None], tf.string, "image_bytes", outputs),
        (
            "tf_example",
            [None],
            tf.string,
            "inputs",
            {"classes": ([5], tf.string), "scores": ([5], tf.float32)},
        ),
        ("features", pixels, tf.uint8, "images", {"features": ([16],)}),
    ):
        signature = loaded.signatures[name]
        (spec,) = signature.structured_input_signature[1].values()
        assert spec == tf.TensorSpec(shape, dtype, name=argument)
        found = signature.structured_outputs
        assert set(found) == set(expected)
        for key, facts in expected.items():
            assert (found[key].shape[1:], found[key].dtype)[
                : len(facts)
            ] == facts


# Other models.


@pytest.mark.parametrize(
    "head",
    [
        [keras.layers.Dense(3, activation="softmax")],
        [keras.layers.Dense(3), keras.layers.Softmax()],
    ],
)
def test_probabilities_stay_probabilities(tmp_path, head):
    model = small_classifier(*head)
    done = export(model, tmp_path / "m")
    loaded = tf.saved_model.load(str(done.path))
    images = images_like([4, 32, 32, 3])
    results = loaded.signatures["serving_default"](images=tf.constant(images))
    assert set(results) == {"probabilities", "classes", "scores"}
    assert results["classes"].shape == (4, 3)
    np.testing.assert_allclose(
        results["probabilities"], model(images), atol=1e-6
    )


def test_images_of_any_size(tmp_path):
    model = models.build(
        "preact_resnet18", width=0.0625, input_shape=(None, None, 3)
    )
    done = export(
        model, tmp_path / "m", check_images=images_like([2, 40, 24, 3])
    )
    serve = tf.saved_model.load(str(done.path))
    for shape in ([1, 32, 32, 3], [2, 64, 48, 3]):
        images = images_like(shape)
        results = serve.signatures["serving_default"](
            images=tf.constant(images)
        )
        np.testing.assert_allclose(results["logits"], model(images), atol=1e-4)


@pytest.mark.parametrize(
    ("policy", "ends", "classes", "is_probability"),
    [
        ("mixed_bfloat16", ["linear"], 10, False),
        ("mixed_bfloat16", ["relu"], 10, False),
        ("mixed_bfloat16", ["softmax", "linear"], 10, True),
        ("mixed_float16", ["softmax", "linear"], 10, True),
        ("mixed_bfloat16", ["sigmoid"], 10, True),
        ("mixed_bfloat16", ["sigmoid"], 1, True),
    ],
)
def test_what_a_model_gives_is_served_once(
    tmp_path, policy, ends, classes, is_probability
):
    """Softmax was applied to the outputs of a softmax in bfloat16.

    The check shared the mistake. And no model in bfloat16 was within the
    tolerance of one in float32.
    """
    keras.config.set_dtype_policy(policy)
    try:
        layers = [keras.layers.Dense(classes)]
        layers += [keras.layers.Activation(end) for end in ends[:-1]]
        # The last one brings all to float32, as is usual.
        layers.append(keras.layers.Activation(ends[-1], dtype="float32"))
        model = spread_out(small_classifier(*layers))
    finally:
        keras.config.set_dtype_policy("float32")
    done = export(model, tmp_path / "m")
    loaded = tf.saved_model.load(str(done.path))
    images = images_like([4, 32, 32, 3])
    results = loaded.signatures["serving_default"](images=tf.constant(images))
    own = tf.cast(model(images), tf.float32).numpy()
    if is_probability:
        assert "logits" not in results
    else:
        np.testing.assert_allclose(results["logits"], own, rtol=2e-2, atol=0.1)
        own = tf.nn.softmax(own).numpy()
    assert own.max() > 0.5  # else twice would be much the same
    np.testing.assert_allclose(results["probabilities"], own, atol=5e-2)
    assert results["probabilities"].dtype == tf.float32


def test_one_logit_is_no_classifier(tmp_path):
    """It was served with a probability of one, whatever it was."""
    with pytest.raises(UsageError, match="end it in a sigmoid"):
        export(small_classifier(keras.layers.Dense(1)), tmp_path / "m")
    assert everything_in(tmp_path) == []


def test_classes_of_one_name(model, tmp_path):
    """ImageNet has two cranes; the export blamed the weights."""
    names = ["crane", "owl"] * 5
    done = export(model, tmp_path / "m", class_names=names)
    labels = done.path / "assets.extra" / "labels.txt"
    assert labels.read_text().splitlines() == names
    loaded = tf.saved_model.load(str(done.path))
    images = images_like([4, 32, 32, 3])
    results = loaded.signatures["serving_default"](images=tf.constant(images))
    named = np.array(names)[results["classes"].numpy()]
    assert (results["labels"].numpy().astype(str) == named).all()


def test_names_of_other_classes_are_a_difference():
    """Where names are shared, too, each is to have its own probability."""
    labels = ["crane", "owl", "crane"]
    expected = {"probabilities": np.array([[0.5, 0.2, 0.3]])}
    scores = np.array([[0.5, 0.3, 0.2]])
    for named, gap in (
        (["crane", "crane", "owl"], 0.0),
        (["crane", "owl", "crane"], 0.1),
        (["crane", "crane", "crane"], np.nan),
        (["crane", "crane", "emu"], np.nan),
    ):
        named = np.array([[name.encode() for name in named]], object)
        outputs = {"scores": scores, "labels": named}
        found = reload.difference(outputs, expected, labels)
        np.testing.assert_allclose(found, gap)


def test_no_test_image_is_in_an_export(model, tmp_path):
    """They were sent along as the requests that a server warms up with."""
    images = images_like([3, 32, 32, 3], seed=7)
    done = export(
        model,
        tmp_path / "m",
        check_images=images,
        batch_sizes=(1, 3),
        quantize=True,
    )
    sent = examples.of_images(images, Preprocess(32, 32)).contents
    parts = [image[row].tobytes() for image in images for row in range(32)]
    parts += [
        image[row].astype(np.float32).tobytes()
        for image in images
        for row in range(32)
    ]
    # Past the headers, which all files share.
    parts += [file[len(file) // 2 :][:64] for file in sent]
    files = [p for p in done.path.rglob("*") if p.is_file()]
    assert any(p.name == "tf_serving_warmup_requests" for p in files)
    for file in files:
        content = file.read_bytes()
        assert not any(part in content for part in parts), file


def test_dropout_and_batch_statistics_are_those_of_inference(tmp_path):
    model = small_classifier(keras.layers.Dropout(0.5), keras.layers.Dense(10))
    before = [v.numpy() for v in model.variables]
    export(model, tmp_path / "m")
    for old, variable in zip(before, model.variables):
        np.testing.assert_array_equal(old, variable)


# Versions.


def test_a_watcher_sees_whole_versions_only(model, tmp_path, monkeypatch):
    """Until all is written and compared, no folder has a number."""
    path = tmp_path / "m"
    seen = []
    publish = versions.publish

    def watched(folder):
        seen.append([name.isdigit() for name in os.listdir(path)])
        assert (folder / "assets.extra" / "model_card.json").is_file()
        return publish(folder)

    monkeypatch.setattr(versions, "publish", watched)
    export(model, path)
    assert seen == [[False]]
    assert os.listdir(path) == ["1"]


# Nothing is published that was not checked.


def other(change):
    """Files one more signature, which changes what there is."""
    own = SIGNATURES.get("serving_float")

    def build(served):
        @tf.function(
            input_signature=[tf.TensorSpec([None, 32, 32, 3], name="images")]
        )
        def function(images):
            return change(served.classify, images)

        return function

    return Signature(build, own.encode, own.takes)


def halved(classify, images):
    return classify(images / 2)


def broken(classify, images):
    return {
        k: v * np.nan if k == "probabilities" else v
        for k, v in classify(images).items()
    }


def names_shifted(classify, images):
    results = classify(images)
    return {**results, "classes": (results["classes"] + 1) % 10}


@pytest.mark.parametrize(
    "change, earlier",
    [(halved, False), (broken, True), (names_shifted, True)],
)
def test_a_signature_that_differs(
    model, tmp_path, monkeypatch, change, earlier
):
    path = tmp_path / "new" / "m"
    if earlier:
        (path / "1").mkdir(parents=True)
    before = everything_in(tmp_path)
    monkeypatch.setitem(SIGNATURES._entries, "serving_other", other(change))
    with pytest.raises(ExportMismatch, match="tolerance is 1e-05"):
        export(model, path)
    assert everything_in(tmp_path) == before


def test_the_check_is_of_the_files_not_of_the_model(
    model, tmp_path, monkeypatch
):
    save = tf.saved_model.save

    def save_other_weights(module, folder, signatures):
        for w in module.variables_of_model:
            w.assign(0.9 * w)
        save(module, folder, signatures=signatures)

    monkeypatch.setattr(tf.saved_model, "save", save_other_weights)
    with pytest.raises(ExportMismatch):
        export(model, tmp_path / "m")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(model, tmp_path, monkeypatch, error):
    def load(folder):
        raise error

    monkeypatch.setattr(tf.saved_model, "load", load)
    with pytest.raises(error):
        export(model, tmp_path / "new" / "m")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("activation", "taken_for_logits", "words"),
    [
        ("softmax", True, "are not the model's outputs, which sum to one"),
        ("linear", False, "are negative or do not sum to one"),
    ],
)
def test_the_check_does_not_share_a_mistaken_meaning(
    tmp_path, monkeypatch, activation, taken_for_logits, words
):
    """What is compared was made by the same decision, and so agreed."""
    monkeypatch.setattr(
        keras_model, "gives_logits", lambda *_: taken_for_logits
    )
    model = small_classifier(keras.layers.Dense(10, activation))
    with pytest.raises(ExportMismatch, match=f"{words}.*outputs='logits' or"):
        export(spread_out(model), tmp_path / "m")
    assert everything_in(tmp_path) == []


def test_the_tolerance_decides(model, tmp_path, monkeypatch):
    monkeypatch.setitem(SIGNATURES._entries, "serving_other", other(halved))
    done = export(model, tmp_path / "m", tolerance=1.0)
    assert 1e-3 < done.max_abs_difference < 1


# Arguments that cannot be used.


def no_images():
    x = keras.Input([5])
    return keras.Model(x, keras.layers.Dense(3)(x))


def no_classes():
    x = keras.Input([32, 32, 3])
    return keras.Model(x, keras.layers.Conv2D(3, 3)(x))


def two_outputs():
    x = keras.Input([32, 32, 3])
    y = keras.layers.Flatten()(x)
    return keras.Model(x, [y, keras.layers.Dense(3)(y)])


@pytest.mark.parametrize(
    "make, message",
    [
        (no_images, "expected images"),
        (no_classes, "expected logits or probabilities"),
        (two_outputs, "one input and one output"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "no built Keras"),
        (lambda: "model.keras", "'model.keras' is no built Keras model"),
    ],
)
def test_models_that_are_no_image_classifiers(tmp_path, make, message):
    with pytest.raises(UsageError, match=message) as error:
        export(make(), tmp_path / "m")
    assert "\n" not in str(error.value)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"class_names": NAMES[:9]}, "9 names but the model 10 classes"),
        ({"class_names": [*NAMES[:9], "a\nb"]}, "not a line of text"),
        ({"class_names": [*NAMES[:9], ""]}, "not a line of text"),
        ({"class_names": range(10)}, "Class name 0 is not"),
        ({"card": "model.card.json"}, "card is 'model.card.json'; give"),
        ({"outputs": "log"}, "outputs='log' is not known: give auto, logits"),
        ({"outputs": "probabilities"}, "this model gives logits"),
        ({"check_images": np.zeros([2, 32, 32, 3])}, "float64 of shape"),
        ({"check_images": images_like([2, 32, 31, 3])}, "expected uint8"),
        ({"check_images": images_like([32, 32, 3])}, "expected uint8"),
        ({"check_images": images_like([0, 32, 32, 3])}, "N >= 1"),
    ],
)
def test_bad_arguments(model, tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message) as error:
        export(model, tmp_path / "m", **arguments)
    assert "\n" not in str(error.value)
    assert everything_in(tmp_path) == []


def test_a_model_trained_on_two_replicas(tmp_path):
    out = run(
        """
        import keras
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [half, half])

        from noisymix_tf.errors import UsageError
        from noisymix_tf.serving import export

        def make():
            keras.utils.set_random_seed(1)
            layers = [
                keras.Input([8, 8, 3]),
                keras.layers.Conv2D(4, 3),
                keras.layers.BatchNormalization(),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
            return keras.Sequential(layers)

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            model = make()
            try:
                export(model, "m")
            except UsageError as error:
                print(error)
        alone = make()
        for a, b in zip(model.weights, alone.weights):
            np.testing.assert_array_equal(a, b)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, [8, 8, 8, 3], dtype=np.uint8)
        model.fit(images, np.arange(8), batch_size=4, verbose=0)
        done = export(model, "m", fresh_process=False)
        print(done.max_abs_difference <= 1e-5)
        """,
        tmp_path,
    )
    refusal, same = out.splitlines()
    assert "strategy's scope" in refusal
    assert same == "True"
