"""What is written for LiteRT and ONNX gives what the Keras model gives."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.serving import portable, saved_model
from support.usage import assert_usage_error

export = functools.partial(saved_model.export, fresh_process=False)
pytestmark = pytest.mark.usefixtures("pixels_only")


@pytest.fixture(scope="module")
def sample(model):
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    return images, tf.nn.softmax(model(images, training=False)).numpy()


def test_a_quantised_model(model, sample, tmp_path):
    images, probabilities = sample
    checked = {"check_images": images, "check_labels": probabilities.argmax(-1)}
    checked |= {"weights": "bfloat16", "quantize": True}
    found = (done := export(model, tmp_path / "m", **checked)).quantized
    assert (found.measure, found.before, found.n) == ("accuracy", 60, 60)
    assert found.is_written and 59 <= found.after <= 60
    place = done.path / "assets.extra" / portable.QUANTIZED
    run = tf.lite.Interpreter(str(place)).get_signature_runner()
    for batch in (1, 3):
        found = run(images=images[:batch])["probabilities"]
        np.testing.assert_allclose(found, probabilities[:batch], atol=0.1)


@pytest.mark.parametrize("lost, gained", [(1, 0), (2, 0), (2, 2)])
def test_a_lossy_one_is_left_out(
    model, sample, tmp_path, monkeypatch, lost, gained
):
    """As many that were gained made up for those that were lost."""
    images, own = sample[0], sample[1].argmax(-1)
    wrong, labels = own.copy(), own.copy()
    wrong[: lost + gained] = (own[: lost + gained] + 1) % 10
    labels[lost : lost + gained] = wrong[lost : lost + gained]
    # No network of a few weights loses that much by itself.
    monkeypatch.setattr(portable, "_predictions", lambda *_: wrong)
    monkeypatch.setattr(portable, "check", lambda *_: None)
    monkeypatch.setattr(portable, "onnx", lambda *given: given[-1])
    # Of the weights as they are, however the SavedModel stores them.
    stored, make = [], portable._module
    noted = lambda own: stored.append(own.weights) or make(own)  # noqa: E731
    monkeypatch.setattr(portable, "_module", noted)
    kinds = {"weights": "float16", "quantize": True, "onnx": True}
    kinds |= {"check_labels": labels, "tolerance": 0.1} if gained else {}
    done = export(model, tmp_path / "m", check_images=images, **kinds)
    assert stored == ["float32"]
    assert done.onnx_difference == (0.1 if gained else 1e-5)
    measure = "accuracy" if gained else "agreement"
    counts = 60 - gained, 60 - lost, 60
    assert done.quantized == (measure, *counts, lost == 1)
    # Of one output the larger of one was the first, whatever it was.
    assert portable._classes(np.array([[0.2], [0.7]])).tolist() == [0, 1]
    files = {file.name for file in done.path.rglob("*")}
    assert "saved_model.pb" in files
    assert (portable.QUANTIZED in files) == (lost == 1)


def test_an_onnx_model(model, sample, tmp_path):
    images, probabilities = sample
    runtime = pytest.importorskip("onnxruntime", reason="extra onnx is missing")
    pytest.importorskip("tf2onnx", reason="extra onnx is missing")
    done = export(model, tmp_path / "m", onnx=True, check_images=images)
    assert done.onnx_difference <= 1e-5
    place = done.path / "assets.extra" / portable.ONNX
    session = runtime.InferenceSession(str(place))
    (image,) = session.get_inputs()
    assert (image.name, image.type) == ("images", "tensor(uint8)")
    for batch in (1, 3):
        (found,) = session.run(["probabilities"], {"images": images[:batch]})
        np.testing.assert_allclose(found, probabilities[:batch], atol=1e-5)


def test_what_cannot_be_converted_is_told_first(model, tmp_path, monkeypatch):
    """LiteRT's own error was a traceback of a hundred lines."""
    half = keras.Sequential([model, keras.layers.Softmax(dtype="bfloat16")])
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    path = tmp_path / "m"
    assert_usage_error(lambda: export(half, path, quantize=True), "in bfloat16")
    assert_usage_error(lambda: export(model, path, onnx=True), "_tf[onnx]")
    assert list(tmp_path.iterdir()) == []
