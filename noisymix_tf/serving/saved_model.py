"""Writes a classifier as a SavedModel that TensorFlow Serving can load.

`path/<version>/` appears whole or not at all: it is written under a name that
a server ignores, loaded by a process without this package, compared with the
Keras model, and only then renamed. What it holds are plain TensorFlow
functions, so that serving needs neither this package nor Keras.
"""

import dataclasses
import os
import pathlib

import numpy as np
import tensorflow as tf

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import AUTO, OUTPUTS
from noisymix_tf.serving import (
    arguments,
    examples,
    extra,
    portable,
    reload,
    versions,
    warmup,
)
from noisymix_tf.serving.classifier import ServedClassifier
from noisymix_tf.serving.keras_model import KerasModel
from noisymix_tf.serving.signatures import CLASSIFY, SIGNATURES
from noisymix_tf.training.unwrap import classifier_of, evaluation_weights

# Largest accepted difference by how kernels are stored and layers compute:
# rounding to 11 or 8 binary digits moves probabilities by about this much.
_TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# The reloaded model is compared on so many images.
_COMPARED = 16


@dataclasses.dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: Folder of the new version.
        version: Its number.
        differences: Dict from signature to its largest difference from the
            Keras model over the check images: absolute for probabilities and
            scores, relative to the largest value for logits and features.
        quantized: `portable.Quantized`, how the quantised model does and
            whether it was written; None where none was asked for.
        onnx_difference: Largest difference of a probability of the ONNX model;
            None where none was written.
    """

    path: pathlib.Path
    version: int
    differences: dict
    quantized: portable.Quantized | None = None
    onnx_difference: float | None = None

    @property
    def max_abs_difference(self):
        """The largest difference of all signatures."""
        # Not `max`, which would pass over NaN.
        return float(np.max([*self.differences.values()]))


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
):
    """Writes a classifier to `path/<next version>/` for TensorFlow Serving.

    Signatures, each for a batch of any size N. One signature takes one dtype:

    - `serving_default`: `images`, uint8 pixels `[N, H, W, C]`;
    - `serving_float`: `images`, float32 pixels 0..255 `[N, H, W, C]`;
    - `serving_bytes`: `image_bytes`, N strings: JPEG or PNG files of any size,
      which are decoded, resized and cropped as in an evaluation;
    - `tf_example`: `inputs`, N serialised `tf.train.Example` with such a file
      in the feature `image/encoded`, for TensorFlow Serving's method Classify;
    - `features`: `images`, as `serving_default`.

    Outputs: `logits` float32 `[N, K]`, where the model puts out logits;
    `probabilities` float32 `[N, K]`; `classes` int32 `[N, k]`, the
    k = min(5, K) most probable classes in falling order; `scores` float32
    `[N, k]`, their probabilities; `labels` string `[N, k]`, their names, where
    `class_names` is given. `tf_example` has `scores` and the names as
    `classes`, because Classify allows nothing else. `features` has `features`
    float32, what the last layer with weights gets; it is left out where not all
    paths through the model pass such a place. An image that cannot be decoded
    fails its request with a message that names its position.

    Folder `assets.extra` has `labels.txt`, `preprocessing.json`,
    `signatures.json`, the provenance `model_card.json` (see
    `noisymix_tf.model_card`) and the requests that TensorFlow Serving warms up
    with, which are noise: no check image gets into an export.

    Args:
        model: A Keras classifier of one image input `[N, H, W, C]`, pixels
            0..255, and one output `[N, K]`: logits, or probabilities. Of a
            `NoisyMix`, the classifier with the weights that it evaluates.
        path: Local folder of the served model; made if it does not exist.
        class_names: K strings, or `None`.
        preprocess: How encoded images come to size, a word of
            `noisymix_tf.data.Preprocess.parse` such as `"resize256-crop224"`;
            by default `"resizeS-cropS"` for a model of S x S pixels. Without
            it, a model of other images gets no signature for encoded ones.
        outputs: What the model gives: `"logits"`, `"probabilities"`, or
            `"auto"`: as an evaluation finds it, from how the model ends, else
            from its values.
        weights: How kernels are stored: `"float32"`, `"float16"` or
            `"bfloat16"`. Computed is in the model's own precision.
        batch_sizes: Sizes of batches that the server is to make: each is warmed
            up, and they are written to `batching_params.pbtxt`.
        quantize: Whether to write `assets.extra/model_dynamic_range.tflite`,
            too: kernels in 8 bits, for LiteRT. It is left out if it gets more
            than one in a hundred check images wrong that the model gets right
            (of fewer than a hundred: more than one).
        onnx: Whether to write `assets.extra/model.onnx`, too (needs the extra
            `onnx`).
        tolerance: Largest accepted difference between the Keras model and the
            SavedModel, loaded back; by default 1e-5, or 1e-2 where kernels are
            stored or layers compute in float16, and 5e-2 in bfloat16.
        check_images: uint8 `[N, H, W, C]` to compare on; noise if `None`. All
            are used for `quantize`, 16 for the rest.
        check_labels: int `[N]`, their classes, for the accuracy of a quantised
            model; without them its agreement with the Keras model is measured.
        card: Card of the saved model, as `model_card.read` returns; by
            default a new one of what the model itself tells.
        report: Directory of a report of `noisymix_tf.evaluate` on this model,
            copied to `assets.extra/robustness`, with the test images in it.
        fresh_process: Whether the SavedModel is loaded back by a new process
            without this package, which takes some seconds; else by this one.

    Returns:
        An `Exported`.

    Raises:
        UsageError: If an argument cannot be used or the path not written, or
            inside the scope of a `tf.distribute` strategy.
        OSError: If the disk is full.
        ExportMismatch: If the loaded SavedModel or the ONNX model differs by
            more than the tolerance. Like every failure it leaves nothing
            behind.

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
        image_shape, num_classes = arguments.shapes(classifier)
        names = arguments.labels(class_names, num_classes)
        preprocess, image_shape = arguments.preprocess(preprocess, image_shape)
        images = arguments.check_images(check_images, image_shape)
        labels = arguments.check_labels(check_labels, len(images), num_classes)
        sizes = arguments.batch_sizes(batch_sizes, len(SIGNATURES.names()))
        weights = arguments.one_of("weights", weights, arguments.WEIGHTS)
        arguments.one_of("outputs", outputs, OUTPUTS)
        computed_in = {p.compute_dtype for p in classifier._flatten_layers()}
        if quantize:
            portable.require_float32(computed_in)
        if onnx:
            portable.require_onnx()
        card = _card(model, card, report)
        if tolerance is None:
            types = computed_in | {weights}
            tolerance = max(_TOLERANCES.get(dtype, 0.0) for dtype in types)
        keras_model = KerasModel(classifier, images[:_COMPARED], outputs)

        def serve(weights):
            return ServedClassifier(
                classifier,
                image_shape,
                keras_model.is_probability,
                names,
                preprocess,
                weights,
            )

        served = serve(weights)
        with versions.new_version(path) as folder:
            functions = _save(served, folder)
            some = examples.of_images(images[:_COMPARED], preprocess)
            extra.write(folder, served, functions, card, weights)
            if report is not None:
                extra.write_report(folder, report)
            name = pathlib.Path(path).resolve().name
            noise = arguments.noise(images[:_COMPARED].shape)
            filling = examples.of_images(noise, preprocess)
            warmup.write(folder, functions, filling, sizes or (1,), name)
            if sizes:
                extra.write_batching(folder, sizes)
            found = reload.differences(
                *(folder, functions, some, keras_model, served),
                tolerance=tolerance,
                fresh_process=fresh_process,
            )
            more = {}
            if quantize or onnx:
                # Of the weights themselves, however they are stored here.
                full = served if weights == "float32" else serve("float32")
                more = _portable(
                    folder, full, images, labels, keras_model, quantize, onnx
                )
            target = versions.publish(folder)
    return Exported(target, int(target.name), found, **more)


def _card(model, card, report):
    """The card of a model, which its report is to be about."""
    card = model_card.describe(model) if card is None else card
    if not isinstance(card, dict):
        raise UsageError(
            f"card is {card!r}; give the dict that model_card.read returns."
        )
    if report is not None:
        extra.check_report(report, card)
    return card


def _save(served, folder):
    """Writes the SavedModel; returns its concrete functions by signature."""
    functions = {}
    for name, signature in SIGNATURES.items():
        function = signature.build(served)
        if function is not None:
            functions[name] = function.get_concrete_function()
    module = tf.Module()
    module.variables_of_model = served.variables
    tf.saved_model.save(module, os.fspath(folder), signatures=functions)
    _name_methods(folder, functions)
    return functions


def _name_methods(folder, functions):
    """Says of each signature which of the server's methods it is for."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(
        os.fspath(folder)
    )
    for name in functions:
        if SIGNATURES.get(name).method == CLASSIFY:
            updater.replace_method_name(name, CLASSIFY)
    updater.save()


def _portable(folder, served, images, labels, keras_model, quantize, onnx):
    """Writes what other runtimes read; returns what `Exported` says of it."""
    converted = portable.module(served)
    place = folder / extra.FOLDER
    found = {}
    if quantize:
        found["quantized"] = portable.quantize(
            converted,
            place / portable.QUANTIZED,
            images,
            keras_model.probabilities(images),
            labels,
        )
    if onnx:
        some = images[:_COMPARED]
        found["onnx_difference"] = portable.onnx(
            converted,
            place / portable.ONNX,
            some,
            keras_model.probabilities(some),
            _TOLERANCES["float32"],
        )
    return found
