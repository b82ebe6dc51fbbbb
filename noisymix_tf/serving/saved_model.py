"""Writes a classifier as a SavedModel of plain TensorFlow functions.

It is written under a name that a server ignores, loaded by a process without
this package, compared with the Keras model, and only then renamed.
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import shutil
import typing
import uuid

import tensorflow as tf

from noisymix_tf import files, model_card
from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import EXTRA, is_version
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights
from noisymix_tf.places import at_home, check_local
from noisymix_tf.probabilities import AUTO, SIGMOID, ending, gives_logits
from noisymix_tf.serving import arguments, extra, portable, signatures
from noisymix_tf.serving.classifier import (
    TOLERANCES,
    ServedClassifier,
    differences,
    outputs_of,
)
from noisymix_tf.serving.signatures import SIGNATURES

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
    def max_abs_difference(self) -> float:
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
    temperature=1.0,
    tolerance=None,
    check_images=None,
    check_labels=None,
    card=None,
    report=None,
    fresh_process=True,
) -> Exported:
    """Writes a classifier to `path/<next version>/`; see `noisymix_tf.serving`.

    Args:
        model: A Keras classifier of images `[N, H, W, C]`, pixels 0..255, or a
            `NoisyMix`, of which it writes the weights that it evaluates.
        path: Local folder of the served model, made if need be, to which one
            export at a time writes.
        class_names: K strings, not all different, or `None`.
        preprocess: Of encoded images, `"resizeS-cropS"`; `data.Preprocess`.
        outputs: What it gives: `"logits"`, `"probabilities"` or `"auto"`.
        weights: How kernels are stored: `"float32"`, `"float16"`, `"bfloat16"`.
        batch_sizes: Those that the server is to make and to warm up.
        quantize, onnx: Also write these; see `serving.portable`.
        temperature: Logits are divided by it; see `evaluation.temperature`.
        tolerance: Largest difference; 1e-5, of float16 1e-2, bfloat16 5e-2.
        check_images, check_labels: uint8 `[N, H, W, C]` to compare on, or
            noise, 16 of them but for `quantize`; int `[N]` for its accuracy.
        card: What `model_card.read` returns; by default a new one.
        report: Directory of a report on this model, to copy into the export.
        fresh_process: Whether a process without this package loads it back.

    A `UsageError` for what cannot be used, `OSError` on a full disk and
    `ExportMismatch` beyond the tolerance leave nothing behind.
    """
    _refuse(temperature, 1.0 if tolerance is None else tolerance)
    given = class_names, preprocess, outputs, weights, temperature
    with evaluation_weights(model):
        served, *checks = _served(model, *given, check_images, check_labels)
        sizes = arguments.batch_sizes(batch_sizes, len(SIGNATURES))
        portable.check(quantize, onnx, served.types)
        card = model_card.describe(model) if card is None else card
        extra.check_card(card, report)
        with new_version(path) as folder:
            functions = _save(served, folder)
            extra.write(folder, served, functions, card, sizes, report)
            extra.write_warmup(folder, served, functions, sizes or (1,), path)
            given = functions, checks[0][:_COMPARED], tolerance, fresh_process
            found = differences(served, folder, *given)
            others = _others(served, folder, *checks, tolerance, quantize, onnx)
            target = publish(folder)
    return Exported(target, int(target.name), found, *others)


def _refuse(temperature, tolerance):
    if tf.distribute.has_strategy():
        # A SavedModel loaded there could not be called to check it.
        raise UsageError(
            "export was called inside a tf.distribute strategy's scope; "
            "call it outside (the model may have been made inside)."
        )
    numbers = {"temperature": temperature, "tolerance": tolerance}
    for name, value in numbers.items():
        if not is_real(value) or not 0 < value < float("inf"):
            raise UsageError(
                f"{name}={value!r} must be a number greater than 0."
            )


def _served(
    model, names, preprocess, outputs, weights, temperature, images, labels
):
    """A `ServedClassifier`, and the images and labels to check it on."""
    classifier = classifier_of(model)
    shape, num_classes = arguments.shapes(classifier)
    names = arguments.labels(names, num_classes)
    rule, shape = arguments.preprocess(preprocess, shape)
    images, labels = arguments.check_images(images, labels, shape, num_classes)
    if weights not in TOLERANCES:
        known = ", ".join(TOLERANCES)
        raise UsageError(f"weights={weights!r} is not known: give {known}.")
    found = outputs_of(classifier, images[:_COMPARED])
    is_logits = gives_logits(classifier, found, outputs)
    if num_classes == 1 and is_logits:
        raise UsageError(
            f"Model {classifier.name!r} gives one number for an image, of "
            f"which no probabilities of classes can be made: end it in a "
            f"sigmoid or in one output for each class."
        )
    if temperature != 1 and (num_classes == 1 or ending(classifier) == SIGMOID):
        raise UsageError(
            f"temperature={temperature} is for the softmax of several classes, "
            f"and each output of {classifier.name!r} is a yes or no of its "
            f"own: leave it out."
        )
    served = ServedClassifier(
        classifier, shape, is_logits, names, rule, weights, temperature
    )
    return served, images, labels


@contextlib.contextmanager
def new_version(path):
    """A hidden folder in a local `path`, made if need be, to write to.

    Within the context, `publish` gives it a number; no other export writes
    there. A failure removes all traces; that of a path that cannot be used, or
    is in use, is a `UsageError`, that of a full disk an `OSError`.
    """
    check_local(path=path)
    base = pathlib.Path(at_home(path))
    # A server takes folders with integer names only. Not `tempfile`, whose
    # folders none but their owner can read.
    folder = base / f"{files.UNFINISHED}{uuid.uuid4().hex}"
    made = [p for p in (base, *base.parents) if not os.path.exists(p)]
    try:
        with files.claimed(base, "versions of a model"):
            files.remove_unfinished(base)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except tf.errors.ResourceExhaustedError as error:
        # What TensorFlow says of a full disk; else it is memory that is full.
        if folder.name not in error.message:
            raise
        words = os.strerror(errno.ENOSPC)
        raise OSError(errno.ENOSPC, words, str(base)) from error
    finally:
        for parent in made:
            with contextlib.suppress(OSError):  # It holds a version.
                parent.rmdir()


def publish(folder) -> pathlib.Path:
    """Renames a finished folder to the next free version beside it."""
    versions = [int(p.name) for p in folder.parent.iterdir() if is_version(p)]
    return folder.rename(folder.parent / str(max(versions, default=0) + 1))


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


def _others(served, folder, images, labels, tolerance, quantize, onnx):
    """What `Exported` says of the models in other forms, where asked for."""
    eight_bits, gap, place = None, None, folder / EXTRA
    if quantize or onnx:
        # Of the weights themselves, however they are stored here.
        served = dataclasses.replace(served, weights="float32")
    if quantize:
        eight_bits = portable.quantize(served, place, images, labels)
    if onnx:
        wanted = served.tolerance if tolerance is None else tolerance
        gap = portable.onnx(served, place, images[:_COMPARED], wanted)
    return eight_bits, gap
