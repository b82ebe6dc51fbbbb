"""What is written for LiteRT and ONNX gives what the Keras model gives."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.serving import ExportMismatch, export, portable


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
    before, after = done.quantized
    assert before == 1.0 and 0.99 <= after <= 1.0
    place = done.path / "assets.extra" / portable.QUANTIZED
    run = tf.lite.Interpreter(str(place)).get_signature_runner()
    for batch in (1, 3):
        found = run(images=images[:batch])["probabilities"]
        np.testing.assert_allclose(found, probabilities[:batch], atol=0.05)
        assert found.argmax(-1).tolist() == (
            probabilities[:batch].argmax(-1).tolist()
        )


def test_a_quantised_model_that_loses_accuracy_is_not_written(
    model, images, tmp_path, monkeypatch
):
    run = portable._run_tflite

    def worse(place, images):
        for outputs in run(place, images):
            yield np.roll(outputs, 1, axis=-1)

    monkeypatch.setattr(portable, "_run_tflite", worse)
    with pytest.raises(ExportMismatch, match="With 8-bit weights 60 images"):
        export(
            model,
            tmp_path / "m",
            quantize=True,
            check_images=images,
            fresh_process=False,
        )
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
