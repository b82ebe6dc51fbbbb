import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from noisymix_tf.serving import saved_model
from noisymix_tf.serving.saved_model import ExportMismatch, export

NAMES = [f"class {c}" for c in "αbcdefghij"]


def images_like(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def spread_out(model):
    """Makes the outputs of an untrained network differ between images."""
    model(images_like([16, 32, 32, 3]), training=True)
    layer = model.get_layer("logits")
    layer.kernel.assign(10 * layer.kernel)
    return model


@pytest.fixture(scope="module")
def model():
    return spread_out(models.wide_resnet(10, 1))


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """The export of `model` with class names, in a folder of its own."""
    path = tmp_path_factory.mktemp("served") / "digits"
    return export(model, path, class_names=NAMES)


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
def test_outputs_equal_the_keras_models(model, served, signature, dtype, batch):
    loaded = tf.saved_model.load(str(served.path))
    images = images_like([batch, 32, 32, 3])
    results = loaded.signatures[signature](
        images=tf.constant(images.astype(dtype))
    )
    logits = model(images, training=False).numpy()
    probabilities = tf.nn.softmax(logits).numpy()
    assert probabilities.max() > 0.2  # else all classes are near 1/C
    order = np.argsort(-probabilities, axis=-1)[:, :5]
    assert set(results) == {"logits", "probabilities", "classes", "labels"}
    np.testing.assert_allclose(results["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(
        results["probabilities"], probabilities, atol=1e-5
    )
    np.testing.assert_array_equal(results["classes"], order)
    labels = [[n.decode() for n in row] for row in results["labels"].numpy()]
    assert labels == [[NAMES[c] for c in row] for row in order]


def test_fractions_of_pixel_values_reach_the_model(model, served):
    images = images_like([2, 32, 32, 3]) + np.float32(0.4)
    loaded = tf.saved_model.load(str(served.path))
    results = loaded.signatures["serving_float"](images=tf.constant(images))
    np.testing.assert_allclose(results["logits"], model(images), atol=1e-4)


def test_result_and_layout(model, served):
    assert (served.version, served.path.name) == (1, "1")
    assert 0 <= served.max_abs_difference <= 1e-5
    files = everything_in(served.path.parent)
    assert {f.split("/")[0] for f in files} == {"1"}
    labels = served.path / "assets.extra" / "labels.txt"
    assert labels.read_text(encoding="utf-8").splitlines() == NAMES
    stored = served.path / "variables" / "variables.data-00000-of-00001"
    # Every weight once; the rest is the graph of objects.
    assert stored.stat().st_size < 4 * model.count_params() + 20_000


def test_the_folder_is_as_readable_as_any_other(served):
    plain = served.path.parent / "plain"
    plain.mkdir()
    modes = [p.stat().st_mode for p in (served.path, plain)]
    plain.rmdir()
    assert modes[0] == modes[1]


def test_a_new_process_needs_neither_this_package_nor_keras(
    model, served, tmp_path
):
    images = images_like([3, 32, 32, 3])
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "logits.npy", model(images))
    out = run(
        f"""
        import sys
        sys.modules["noisymix_tf"] = None
        sys.modules["keras"] = None
        import numpy as np
        import tensorflow as tf
        loaded = tf.saved_model.load({str(served.path)!r})
        images = np.load("images.npy")
        for name, dtype in ("serving_default", "u1"), ("serving_float", "f4"):
            x = tf.constant(images.astype(dtype))
            logits = loaded.signatures[name](images=x)["logits"]
            np.testing.assert_allclose(logits, np.load("logits.npy"), atol=1e-4)
        print("same")
        """,
        tmp_path,
    )
    assert out == "same\n"


def test_signatures_as_a_client_sees_them(served):
    loaded = tf.saved_model.load(str(served.path))
    for name, dtype in {
        "serving_default": tf.uint8,
        "serving_float": tf.float32,
    }.items():
        signature = loaded.signatures[name]
        (spec,) = signature.structured_input_signature[1].values()
        assert spec == tf.TensorSpec([None, 32, 32, 3], dtype, name="images")
        outputs = signature.structured_outputs
        assert {k: (v.shape[1:], v.dtype) for k, v in outputs.items()} == {
            "logits": ([10], tf.float32),
            "probabilities": ([10], tf.float32),
            "classes": ([5], tf.int32),
            "labels": ([5], tf.string),
        }


# Other models.


def small_classifier(*head, shape=(32, 32, 3)):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            *head,
        ]
    )


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
    assert set(results) == {"probabilities", "classes"}
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


@pytest.mark.parametrize("softmax", [False, True])
def test_mixed_precision(tmp_path, softmax):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.wide_resnet(10, 1)
        if softmax:
            outputs = keras.layers.Softmax()(model.output)
            model = keras.Model(model.input, outputs)
    finally:
        keras.config.set_dtype_policy("float32")
    done = export(model, tmp_path / "m", tolerance=1e-2)
    loaded = tf.saved_model.load(str(done.path))
    results = loaded.signatures["serving_default"].structured_outputs
    assert results["probabilities"].dtype == tf.float32
    assert ("logits" in results) == (not softmax)


def test_dropout_and_batch_statistics_are_those_of_inference(tmp_path):
    model = spread_out(models.wide_resnet(10, 1, dropout=0.5))
    before = [v.numpy() for v in model.variables]
    export(model, tmp_path / "m")
    for old, variable in zip(before, model.variables):
        np.testing.assert_array_equal(old, variable)


# Versions.


def test_each_export_takes_the_next_version(tmp_path):
    model = small_classifier(keras.layers.Dense(3))
    path = tmp_path / "m"
    assert export(model, path).version == 1
    assert export(model, path).version == 2
    (path / "7").mkdir()
    (path / "notes").mkdir()
    assert export(model, path).version == 8
    assert sorted(os.listdir(path)) == ["1", "2", "7", "8", "notes"]


def test_a_version_taken_by_another_export_is_left_alone(tmp_path, monkeypatch):
    model = small_classifier(keras.layers.Dense(3))
    path = tmp_path / "m"
    export(model, path)
    rename = saved_model.pathlib.Path.rename

    def someone_is_faster(self, target):
        monkeypatch.undo()
        target.mkdir()
        (target / "saved_model.pb").write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(saved_model.pathlib.Path, "rename", someone_is_faster)
    assert export(model, path).version == 3
    assert (path / "2" / "saved_model.pb").read_text() == "theirs"
    assert sorted(os.listdir(path)) == ["1", "2", "3"]


# Nothing is published that was not checked.


def halved(classify, image_shape):
    return saved_model.SIGNATURES.get("serving_float").build(
        lambda images: classify(images / 2), image_shape
    )


def broken(classify, image_shape):
    return saved_model.SIGNATURES.get("serving_float").build(
        lambda images: {
            k: v * np.nan if k == "probabilities" else v
            for k, v in classify(images).items()
        },
        image_shape,
    )


@pytest.mark.parametrize("build", [halved, broken])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_signature_that_differs(model, tmp_path, monkeypatch, build, earlier):
    path = tmp_path / "new" / "m"
    if earlier:
        export(small_classifier(keras.layers.Dense(3)), path)
    before = everything_in(tmp_path)
    encode = saved_model.SIGNATURES.get("serving_float").encode
    monkeypatch.setitem(
        saved_model.SIGNATURES._entries,
        "serving_other",
        saved_model.Signature(build, encode),
    )
    with pytest.raises(ExportMismatch, match="tolerance is 1e-05"):
        export(model, path)
    assert everything_in(tmp_path) == before


def test_the_check_is_of_the_files_not_of_the_model(
    model, tmp_path, monkeypatch
):
    save = tf.saved_model.save

    def save_other_weights(module, folder, signatures):
        kept = [w.numpy() for w in module.weights]
        for w in module.weights:
            w.assign(0.9 * w)
        save(module, folder, signatures=signatures)
        for w, value in zip(module.weights, kept):
            w.assign(value)

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


def test_the_tolerance_decides(model, tmp_path, monkeypatch):
    encode = saved_model.SIGNATURES.get("serving_float").encode
    monkeypatch.setitem(
        saved_model.SIGNATURES._entries,
        "serving_other",
        saved_model.Signature(halved, encode),
    )
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


@pytest.mark.parametrize(
    "path, message",
    [
        ("file", "Not a directory"),
        ("file/m", "Not a directory"),
        ("new/" + 300 * "x", "File name too long"),
    ],
)
def test_paths_that_cannot_be_written(model, tmp_path, path, message):
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match=message) as error:
        export(model, tmp_path / path)
    assert "\n" not in str(error.value)
    assert everything_in(tmp_path) == ["file"]


def test_a_folder_without_permission(model, tmp_path, monkeypatch):
    def mkdir(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(saved_model.pathlib.Path, "mkdir", mkdir)
    with pytest.raises(UsageError, match="Permission denied"):
        export(model, tmp_path / "m")


def test_a_remote_path(model):
    with pytest.raises(UsageError, match="give a local folder"):
        export(model, "gs://bucket/m")


def test_a_model_trained_on_two_replicas(tmp_path):
    out = run(
        """
        import keras
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [half, half])

        from noisymix_tf import models
        from noisymix_tf.errors import UsageError
        from noisymix_tf.serving import export

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            model = models.wide_resnet(10, 1)
            try:
                export(model, "m")
            except UsageError as error:
                print(error)
        alone = models.wide_resnet(10, 1)
        for a, b in zip(model.weights, alone.weights):
            np.testing.assert_array_equal(a, b)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, [8, 32, 32, 3], dtype=np.uint8)
        model.fit(images, np.arange(8), batch_size=4, verbose=0)
        print(export(model, "m").max_abs_difference <= 1e-5)
        """,
        tmp_path,
    )
    refusal, same = out.splitlines()
    assert "strategy's scope" in refusal
    assert same == "True"
