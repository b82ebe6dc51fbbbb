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

    Signatures, each of one argument, for a batch of any size N:

    - `serving_default`, `serving_float`: `images`, pixels 0..255
      `[N, H, W, C]`, uint8 or float32;
    - `serving_bytes`: `image_bytes`, N strings: JPEG or PNG files of any size,
      which are decoded, resized and cropped as in an evaluation;
    - `tf_example`: `inputs`, N serialised `tf.train.Example` with such a file
      in `image/encoded`, for TensorFlow Serving's method Classify;
    - `features`: `images`, uint8; gives what the last layer with weights gets,
      float32 `features`, if all paths through the model pass such a place.

    Outputs: float32 `logits`, where the model gives them, and `probabilities`
    `[N, K]`; of the k = min(5, K) most probable classes in falling order int32
    `classes`, float32 `scores` and string `labels` `[N, k]`. `serving_bytes`
    adds `status` string `[N]`: `"ok"`, or why an image cannot be used
    (`image_bytes.STATUS`), whose numbers are then NaN, its classes -1 and its
    labels empty; it spoils no other. `tf_example` has `scores`, and names, or
    else the status, as `classes`. Folder `assets.extra` describes the model.

    Args:
        model: A Keras classifier of one image input `[N, H, W, C]`, pixels
            0..255, and one output `[N, K]`: logits, or probabilities. Of a
            `NoisyMix`, the classifier with the weights that it evaluates.
        path: Local folder of the served model; made if it does not exist.
        class_names: K strings, not all different, or `None`.
        preprocess: How encoded images come to size, `"resizeS-cropS"` for a
            model of S x S pixels (see `noisymix_tf.data.Preprocess`); without
            it, a model of other images gets no signature for encoded ones.
        outputs: `"logits"` or `"probabilities"`, what the model gives, or
            `"auto"`; see `noisymix_tf.probabilities`.
        weights: How kernels are stored, not computed with: `"float32"`,
            `"float16"` or `"bfloat16"`.
        batch_sizes: Sizes of batches to warm up, written for the server to make
            to `batching_params.pbtxt`.
        quantize: Also write `assets.extra/model_dynamic_range.tflite`, kernels
            in 8 bits, for LiteRT, unless it gets more than one in a hundred
            check images wrong that the model gets right (and more than one).
        onnx: Also write `assets.extra/model.onnx` (needs the extra `onnx`).
        tolerance: Largest accepted difference; by default 1e-5, where kernels
            are stored or layers compute in float16 1e-2, in bfloat16 5e-2.
        check_images: uint8 `[N, H, W, C]` to compare on; noise if `None`. All
            are used for `quantize`, 16 for the rest. None gets into an export.
        check_labels: int `[N]`, their classes, for the accuracy of a quantised
            model; without them its agreement with the Keras model is measured.
        card: What `model_card.read` returns; by default a new one of the model.
        report: Directory of a report of `noisymix_tf.evaluate` on this model,
            to copy to `assets.extra/robustness`, with the test images in it.
        fresh_process: Whether a new process without this package loads it back,
            which takes some seconds; else this one does.

    Raises:
        UsageError: If an argument cannot be used or the path not written.
        OSError: If the disk is full.
        ExportMismatch: If the loaded SavedModel or the ONNX model differs by
            more than the tolerance. Every failure leaves nothing behind.

    Example:

    >>> export(model, "serving/digits", class_names="0123456789").version
    1
    """
    if tf.distribute.has_strategy():
        # A SavedModel loaded there could not be called to check it.
        raise UsageError(
            "export was called inside a tf.distribute strategy's scope; "
            "call it outside (the model may have been made inside)."
        )
    with evaluation_weights(model):
        classifier = classifier_of(model)
        shape, num_classes = arguments.shapes(classifier)
        names = arguments.labels(class_names, num_classes)
        preprocess, shape = arguments.preprocess(preprocess, shape)
        images, labels = arguments.check_images(
            check_images, check_labels, shape, num_classes
        )
        some = images[:_COMPARED]
        sizes = arguments.batch_sizes(batch_sizes, len(SIGNATURES))
        if weights not in _TOLERANCES:
            known = ", ".join(_TOLERANCES)
            raise UsageError(f"weights={weights!r} is not known: give {known}.")
        types = {p.compute_dtype for p in classifier._flatten_layers()}
        portable.check(quantize, onnx, types)
        card = model_card.describe(model) if card is None else card
        extra.check_card(card, report)
        if tolerance is None:
            stored = types | {weights}
            tolerance = max(_TOLERANCES.get(dtype, 0.0) for dtype in stored)
        from_logits = gives_logits(
            classifier, outputs_of(classifier, some), outputs
        )
        if num_classes == 1 and from_logits:
            raise UsageError(
                f"Model {classifier.name!r} gives one number for an image, of "
                f"which no probabilities of classes can be made: end it in a "
                f"sigmoid or in one output for each class."
            )
        served = ServedClassifier(
            classifier, shape, from_logits, names, preprocess, weights
        )
        with versions.new_version(path) as folder:
            functions = _save(served, folder)
            extra.write(folder, served, functions, card, sizes, report)
            name = pathlib.Path(path).resolve().name
            extra.write_warmup(folder, served, functions, sizes or (1,), name)
            found = differences(
                served, folder, functions, some, tolerance, fresh_process
            )
            if quantize or onnx:
                # Of the weights themselves, however they are stored here.
                served = dataclasses.replace(served, weights="float32")
            given, eight_bits, gap = (served, folder / extra.FOLDER), None, None
            if quantize:
                eight_bits = portable.quantize(*given, images, labels)
            if onnx:
                gap = portable.onnx(*given, some, _TOLERANCES["float32"])
            target = versions.publish(folder)
    return Exported(target, int(target.name), found, eight_bits, gap)


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
