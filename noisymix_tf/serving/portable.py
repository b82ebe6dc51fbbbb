"""The same classifier for runtimes other than TensorFlow: LiteRT and ONNX.

They take uint8 pixels `images` and give what a float model gives of them. Both
are compared with the Keras model before anything is published.
"""

import contextlib
import dataclasses
import logging
import os
import warnings

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.serving.reload import ExportMismatch

QUANTIZED = "model_dynamic_range.tflite"
ONNX = "model.onnx"
# One image of so many may be lost to quantisation, and one in any case: of
# fewer than a hundred images one is more than a point of accuracy.
_ONE_IN = 100
_BATCH = 32
_LOGGERS = ("absl", "tensorflow", "tf2onnx")
_OUTPUTS = ("logits", "probabilities")
# The newest that tf2onnx writes without experimental operators.
_OPSET = 18


@dataclasses.dataclass(frozen=True)
class Quantized:
    """How a model with 8-bit weights does on the check images.

    Attributes:
        measure: `"accuracy"`, or `"agreement"`: the share of images for which
            it names the class that the Keras model names.
        before, after: Number of images that the Keras model and the quantised
            one have right.
        n: Number of images.
        is_written: Whether it loses few enough and was written.
    """

    measure: str
    before: int
    after: int
    n: int
    is_written: bool


def module(classifier):
    """What is converted.

    Args:
        classifier: `ServedClassifier` with float32 weights.

    Returns:
        `tf.Module` with `call`, a `tf.function` of uint8 `images` to a dict
        with `"probabilities"` and, where there are such, `"logits"`.
    """
    pixels = [None, *classifier.image_shape]
    spec = tf.TensorSpec(pixels, tf.uint8, name="images")

    @tf.function(input_signature=[spec])
    def call(images):
        outputs = classifier.classify(tf.cast(images, tf.float32))
        return {name: outputs[name] for name in _OUTPUTS if name in outputs}

    result = tf.Module()
    result.call = call
    result.variables_of_model = classifier.variables
    return result


def quantize(converted, place, images, probabilities, labels=None):
    """Writes a LiteRT (TFLite) model with 8-bit weights.

    Matrices and kernels are stored in 8 bits, with a scale for each channel;
    activations are quantised as they come (dynamic range).

    Args:
        converted: What `module` returns.
        place: `pathlib.Path` of the file to write.
        images: uint8 `[N, H, W, C]` to measure on.
        probabilities: The Keras model's, `[N, K]`.
        labels: int `[N]`, or None: then the Keras model's classes count as
            right.

    Returns:
        `Quantized`. Where too many images are lost there is no file.
    """
    concrete = converted.call.get_concrete_function()
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [concrete], converted
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        place.write_bytes(converter.convert())
    predicted = np.concatenate(
        [out.argmax(-1) for out in _run_tflite(place, images)]
    )
    classes = probabilities.argmax(-1)
    measure = "agreement" if labels is None else "accuracy"
    labels = classes if labels is None else np.asarray(labels)
    before, after = (int((c == labels).sum()) for c in (classes, predicted))
    is_good = before - after <= max(1, len(labels) // _ONE_IN)
    if not is_good:
        place.unlink()
    return Quantized(measure, before, after, len(labels), is_good)


def require_float32(computed_in):
    """Raises the `UsageError` for a model that LiteRT cannot compute.

    Args:
        computed_in: Names of the dtypes in which its layers compute.
    """
    others = sorted(set(computed_in) & {"float16", "bfloat16"})
    if others:
        raise UsageError(
            f"Layers of the model compute in {others[0]}, for which LiteRT has "
            f"no operations: export without quantize."
        )


def require_onnx():
    """Imports what ONNX needs.

    Returns:
        The modules `(tf2onnx, onnxruntime)`.

    Raises:
        UsageError: If they are not installed.
    """
    try:
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise UsageError(
            f"ONNX needs the package {error.name}: pip install "
            '"noisymix_tf[onnx]", or export without it.'
        ) from error
    return tf2onnx, onnxruntime


def onnx(converted, place, images, probabilities, tolerance):
    """Writes an ONNX model.

    Args:
        converted, place, images, probabilities: As for `quantize`.
        tolerance: Largest accepted difference of a probability.

    Returns:
        The largest difference.

    Raises:
        UsageError: If the packages for it are not installed.
        ExportMismatch: If it is larger than `tolerance`.
    """
    tf2onnx, onnxruntime = require_onnx()
    with _quiet():
        tf2onnx.convert.from_function(
            converted.call,
            input_signature=converted.call.input_signature,
            opset=_OPSET,
            output_path=os.fspath(place),
        )
    session = onnxruntime.InferenceSession(
        os.fspath(place), providers=["CPUExecutionProvider"]
    )
    (outputs,) = session.run(["probabilities"], {"images": images})
    gap = float(np.abs(outputs - probabilities).max())
    if not gap <= tolerance:
        raise ExportMismatch(
            f"The ONNX model differs from the Keras model by {gap} in a "
            f"probability; tolerance is {tolerance}. Nothing written."
        )
    return gap


def _run_tflite(place, images):
    with _quiet():
        interpreter = tf.lite.Interpreter(os.fspath(place))
    run = interpreter.get_signature_runner()
    for start in range(0, len(images), _BATCH):
        yield run(images=images[start : start + _BATCH])["probabilities"]


@contextlib.contextmanager
def _quiet():
    """Without the converters' notes on what they do."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
