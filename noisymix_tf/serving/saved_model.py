"""Writes a classifier as a SavedModel of plain TensorFlow functions.

It is written under a name that a server ignores, loaded by a process without
this package, compared with the Keras model, and only then renamed.
"""

import dataclasses
import os
import pathlib
import typing

import tensorflow as tf

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights
from noisymix_tf.probabilities import AUTO, gives_logits
from noisymix_tf.serving import arguments, extra, portable, signatures, versions
from noisymix_tf.serving.classifier import (
    ServedClassifier,
    differences,
    outputs_of,
)
from noisymix_tf.serving.signatures import SIGNATURES

# Largest accepted difference by how kernels are stored and layers compute:
# rounding to 11 or 8 binary digits moves probabilities by about this much.
_TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# The reloaded model is compared on so many images.
_COMPARED = 16


class Exported(typing.NamedTuple):
    """What `export` wrote: a new version, its folder and its number.

    Attributes:
        differences: Dict from signature to its largest difference from the
            Keras model over the check images; see `classifier.difference`.
        quantized, onnx_difference: How those models do, where asked for.
    """

    path: pathlib.Path
    version: int
    differences: dict
    quantized: portable.Quantized | None = None
    onnx_difference: float | None = None

    @property
    def max_abs_difference(self):
        """The largest difference of all signatures."""
        return max(self.differences.values())


def export(
    model,
    path,
    *,
    class_names=None,
    preprocess=None,
    outputs=AUTO,
    weights="float32",
    batch_sizes=(),
    quantize=False,
    onnx=False,
    tolerance=None,
    check_images=None,
    check_labels=None,
    card=None,
    report=None,
    fresh_process=True,
) -> Exported:
    """Writes a classifier to `path/<next version>/` for TensorFlow Serving.

    `noisymix_tf.serving` tells its signatures and their outputs.

    Args:
        model: A Keras classifier of images `[N, H, W, C]`, pixels 0..255, or a
            `NoisyMix`, of which it writes the weights that it evaluates.
        path: Local folder of the served model; made if it does not exist.
        class_names: K strings, not all different, or `None`.
        preprocess: Of encoded images, `"resizeS-cropS"`; `data.Preprocess`.
        outputs: What it gives: `"logits"`, `"probabilities"` or `"auto"`.
        weights: How kernels are stored: `"float32"`, `"float16"`, `"bfloat16"`.
        batch_sizes: Those that the server is to make and to warm up.
        quantize, onnx: Also write these; see `serving.portable`.
        tolerance: Largest difference; 1e-5, of float16 1e-2, bfloat16 5e-2.
        check_images, check_labels: uint8 `[N, H, W, C]` to compare on, or
            noise, 16 of them but for `quantize`; int `[N]` for its accuracy.
        card: What `model_card.read` returns; by default a new one.
        report: Directory of a report on this model, to copy into the export.
        fresh_process: Whether a process without this package loads it back.

    Raises a `UsageError` for what cannot be used, `OSError` on a full disk and
    `ExportMismatch` beyond the tolerance. A failure leaves nothing behind.
    """
    given = class_names, preprocess, outputs, weights
    _refuse_scopes()
    with evaluation_weights(model):
        served, *checks = _served(model, *given, check_images, check_labels)
        sizes = arguments.batch_sizes(batch_sizes, len(SIGNATURES))
        portable.check(quantize, onnx, _types(served))
        card = model_card.describe(model) if card is None else card
        extra.check_card(card, report)
        how = _tolerance(served, tolerance), fresh_process
        with versions.new_version(path) as folder:
            functions = _save(served, folder)
            extra.write(folder, served, functions, card, sizes, report)
            extra.write_warmup(folder, served, functions, sizes or (1,), path)
            some = checks[0][:_COMPARED]
            found = differences(served, folder, functions, some, *how)
            others = _others(served, folder, *checks, quantize, onnx)
            target = versions.publish(folder)
    return Exported(target, int(target.name), found, *others)


def _refuse_scopes():
    if tf.distribute.has_strategy():
        # A SavedModel loaded there could not be called to check it.
        raise UsageError(
            "export was called inside a tf.distribute strategy's scope; "
            "call it outside (the model may have been made inside)."
        )


def _types(served):
    """What layers compute in."""
    return {layer.compute_dtype for layer in served.model._flatten_layers()}


def _tolerance(served, given):
    if given is not None:
        return given
    types = _types(served) | {served.weights}
    return max(_TOLERANCES.get(dtype, 0.0) for dtype in types)


def _served(model, names, preprocess, outputs, weights, images, labels):
    """A `ServedClassifier`, and the images and labels to check it on."""
    classifier = classifier_of(model)
    shape, num_classes = arguments.shapes(classifier)
    names = arguments.labels(names, num_classes)
    rule, shape = arguments.preprocess(preprocess, shape)
    images, labels = arguments.check_images(images, labels, shape, num_classes)
    if weights not in _TOLERANCES:
        known = ", ".join(_TOLERANCES)
        raise UsageError(f"weights={weights!r} is not known: give {known}.")
    found = outputs_of(classifier, images[:_COMPARED])
    is_logits = gives_logits(classifier, found, outputs)
    if num_classes == 1 and is_logits:
        raise UsageError(
            f"Model {classifier.name!r} gives one number for an image, of "
            f"which no probabilities of classes can be made: end it in a "
            f"sigmoid or in one output for each class."
        )
    served = ServedClassifier(
        classifier, shape, is_logits, names, rule, weights
    )
    return served, images, labels


def _others(served, folder, images, labels, quantize, onnx):
    """What `Exported` says of the models in other forms, where asked for."""
    eight_bits, gap, place = None, None, folder / extra.FOLDER
    if quantize or onnx:
        # Of the weights themselves, however they are stored here.
        served = dataclasses.replace(served, weights="float32")
    if quantize:
        eight_bits = portable.quantize(served, place, images, labels)
    if onnx:
        some, tolerance = images[:_COMPARED], _TOLERANCES["float32"]
        gap = portable.onnx(served, place, some, tolerance)
    return eight_bits, gap


def _save(served, folder):
    """Writes the SavedModel; returns its concrete functions by signature."""
    functions = signatures.of(served)
    module, place = tf.Module(), os.fspath(folder)
    module.variables_of_model = served.variables
    tf.saved_model.save(module, place, signatures=functions)
    # Says of each signature which of the server's methods it is for.
    utils = tf.compat.v1.saved_model.signature_def_utils
    updater = utils.MethodNameUpdater(place)
    for name in functions:
        updater.replace_method_name(name, SIGNATURES[name].method)
    updater.save()
    return functions
