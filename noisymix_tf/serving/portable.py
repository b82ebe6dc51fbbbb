"""The same classifier for LiteRT and ONNX: uint8 `images` to probabilities.

Both are compared with the Keras model before anything is published.
"""

import contextlib
import importlib.util
import logging
import os
import typing
import warnings

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.serving.reload import ExportMismatch

QUANTIZED, ONNX = "model_dynamic_range.tflite", "model.onnx"
# One image of so many may be lost to quantisation, and one in any case.
_ONE_IN = 100
# The newest that tf2onnx writes without experimental operators.
_OPSET = 18


class Quantized(typing.NamedTuple):
    """How a model with 8-bit weights does on n check images.

    The Keras model has `before` of them right, it has `after`; without labels
    (`measure` is then `"agreement"`, not `"accuracy"`) what the Keras model
    says is right. It is written if it loses few enough.
    """

    measure: str
    before: int
    after: int
    n: int
    is_written: bool


def check(quantize, onnx, computed_in) -> None:
    """Raises the `UsageError` for what cannot be, of layers of some dtypes."""
    others = computed_in & {"float16", "bfloat16"}
    if quantize and others:
        raise UsageError(
            f"Layers of the model compute in {min(others)}, for which LiteRT "
            f"has no operations: export without quantize."
        )
    for package in ("onnxruntime", "tf2onnx") if onnx else ():
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"ONNX needs the package {package}: pip install "
                '"noisymix_tf[onnx]", or export without it.'
            )


def quantize(served, folder, images, labels=None) -> Quantized:
    """Writes a LiteRT (TFLite) model; says how it does on some images.

    Matrices and kernels are stored in 8 bits, with a scale for each channel;
    activations are quantised as they come (dynamic range).
    """
    module, place = _module(served), folder / QUANTIZED
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [module.call.get_concrete_function()], module
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        place.write_bytes(converter.convert())
    predicted = _predictions(place, images)
    own = _classes(served.expected(images)["probabilities"])
    measure = "agreement" if labels is None else "accuracy"
    labels = own if labels is None else labels
    before, after = (int((c == labels).sum()) for c in (own, predicted))
    lost = ((own == labels) & (predicted != labels)).sum()
    is_good = bool(lost <= max(1, before // _ONE_IN))
    if not is_good:
        place.unlink()
    return Quantized(measure, before, after, len(labels), is_good)


def onnx(served, folder, images, tolerance) -> float:
    """Writes an ONNX model; returns its largest difference in a probability."""
    import onnxruntime
    import tf2onnx

    call, place = _module(served).call, os.fspath(folder / ONNX)
    shapes = {"input_signature": call.input_signature, "opset": _OPSET}
    with _quiet():
        tf2onnx.convert.from_function(call, **shapes, output_path=place)
    on_cpu = {"providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(place, **on_cpu)
    (found,) = session.run(["probabilities"], {"images": images})
    gap = np.abs(found - served.expected(images)["probabilities"]).max()
    if not gap <= tolerance:
        raise ExportMismatch(
            f"The ONNX model differs from the Keras model by {gap} in a "
            f"probability; tolerance is {tolerance}. Nothing written."
        )
    return float(gap)


def _module(served):
    """A `tf.Module` with `call`, from uint8 `images` to probabilities."""
    spec = tf.TensorSpec([None, *served.image_shape], tf.uint8, name="images")

    @tf.function(input_signature=[spec])
    def call(images):
        outputs = served.classify(tf.cast(images, tf.float32))
        kept = outputs.keys() & {"logits", "probabilities"}
        return {name: outputs[name] for name in sorted(kept)}

    module = tf.Module()
    module.call, module.variables_of_model = call, served.variables
    return module


def _predictions(place, images):
    """The classes that a LiteRT model finds, one image at a time."""
    with _quiet():
        run = tf.lite.Interpreter(os.fspath(place)).get_signature_runner()
    found = [run(images=image[None])["probabilities"] for image in images]
    return _classes(np.concatenate(found))


def _classes(probabilities):
    """The most probable classes; of one output, whether it is a yes."""
    is_one = probabilities.shape[-1] == 1
    return probabilities[:, 0] > 0.5 if is_one else probabilities.argmax(-1)


@contextlib.contextmanager
def _quiet():
    """Without the converters' notes on what they do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
