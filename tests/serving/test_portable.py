"""What is written for LiteRT and ONNX gives what the Keras model gives."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.serving import export, portable


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10),
        ]
    )
    rng = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.2, weight.shape).astype(np.float32))
    return model


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (60, 4, 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def probabilities(model, images):
    return tf.nn.softmax(model(images, training=False)).numpy()


def test_a_quantised_model(model, images, probabilities, tmp_path):
    done = export(
        model,
        tmp_path / "m",
        weights="bfloat16",
        quantize=True,
        check_images=images,
        check_labels=probabilities.argmax(-1),
        fresh_process=False,
    )
    found = done.quantized
    assert (found.measure, found.before, found.n) == ("accuracy", 60, 60)
    assert found.is_written and 59 <= found.after <= 60
    place = done.path / "assets.extra" / portable.QUANTIZED
    run = tf.lite.Interpreter(str(place)).get_signature_runner()
    for batch in (1, 3):
        found = run(images=images[:batch])["probabilities"]
        np.testing.assert_allclose(found, probabilities[:batch], atol=0.05)
        assert found.argmax(-1).tolist() == (
            probabilities[:batch].argmax(-1).tolist()
        )


@pytest.mark.parametrize(("lost", "is_written"), [(1, True), (2, False)])
def test_a_quantised_model_that_loses_too_much_is_left_out(
    model, images, probabilities, tmp_path, monkeypatch, lost, is_written
):
    """One image of sixty was more than a point, and the export was refused.

    What is measured without labels is no accuracy.
    """
    wrong = probabilities.copy()
    wrong[:lost] = np.roll(wrong[:lost], 1, axis=-1)
    monkeypatch.setattr(portable, "_run_tflite", lambda place, images: [wrong])
    done = export(
        model,
        tmp_path / "m",
        quantize=True,
        check_images=images,
        fresh_process=False,
    )
    assert done.quantized == portable.Quantized(
        "agreement", before=60, after=60 - lost, n=60, is_written=is_written
    )
    place = done.path / "assets.extra" / portable.QUANTIZED
    assert place.exists() == is_written
    assert (done.path / "saved_model.pb").is_file()


def test_what_litert_cannot_compute_is_told_first(model, tmp_path):
    """The converter's own error was a traceback of a hundred lines."""
    half = keras.Sequential([model, keras.layers.Softmax(dtype="bfloat16")])
    with pytest.raises(UsageError, match="compute in bfloat16"):
        export(half, tmp_path / "m", quantize=True)
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_model(model, images, probabilities, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="extra onnx is missing")
    pytest.importorskip("tf2onnx", reason="extra onnx is missing")
    done = export(
        model,
        tmp_path / "m",
        onnx=True,
        check_images=images,
        fresh_process=False,
    )
    assert done.onnx_difference <= 1e-5
    session = runtime.InferenceSession(
        str(done.path / "assets.extra" / portable.ONNX)
    )
    (image,) = session.get_inputs()
    assert (image.name, image.type) == ("images", "tensor(uint8)")
    for batch in (1, 3):
        (found,) = session.run(["probabilities"], {"images": images[:batch]})
        np.testing.assert_allclose(found, probabilities[:batch], atol=1e-5)


def test_onnx_that_is_not_installed(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UsageError, match=r"noisymix_tf\[onnx\]"):
        export(model, tmp_path / "m", onnx=True)
    assert list(tmp_path.iterdir()) == []
