"""What a version holds beside the model: `assets.extra`, for people and tools.

TensorFlow Serving hands none of it out and reads only the warm-up requests.
"""

import json
import pathlib
import shutil

import keras
import numpy as np

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.serving.classifier import TOP
from noisymix_tf.serving.image_bytes import MAX_PIXELS, MAX_RESIZED_PIXELS
from noisymix_tf.serving.signatures import SIGNATURES

FOLDER = "assets.extra"
BATCHING = "batching_params.pbtxt"
_REPORT = "report.json"
_REPORTS = (_REPORT, "report.md", "report.html", "report.png")
_OUTPUTS = {
    "logits": "outputs of the last layer, before softmax",
    "probabilities": "of all classes",
    "classes": f"numbers of the {TOP} most probable classes, falling",
    "scores": "their probabilities",
    "labels": "their names",
    "features": "what the last layer with weights gets",
}
# x * scale + offset, and (x - mean) / sqrt(variance).
_CONSTANTS = {
    "Rescaling": ("scale", "offset"),
    "Normalization": ("mean", "variance"),
}
_EXAMPLE_CLASSES = "names of the classes (numbers where they have none)"


def write(folder, served, functions, card, weights):
    """Writes labels, card, preprocessing and signatures.

    Args:
        folder: `pathlib.Path` of the version.
        served: `ServedClassifier`.
        functions: Dict from signature to concrete function.
        card: The model's card, a dict.
        weights: How kernels are stored.
    """
    extra = folder / FOLDER
    extra.mkdir(exist_ok=True)
    text = model_card.as_text(card)
    (folder / model_card.IN_SAVED_MODEL).write_text(text, encoding="utf-8")
    if served.labels is not None:
        lines = "".join(f"{label}\n" for label in served.labels)
        (extra / "labels.txt").write_text(lines, encoding="utf-8")
    _write_json(extra / "preprocessing.json", _preprocessing(served, weights))
    _write_json(
        extra / "signatures.json",
        {name: _signature(name, f) for name, f in functions.items()},
    )


def check_report(report, card):
    """Checks that a report is about the model of a card.

    Args:
        report: Directory of the report.
        card: The model's card, a dict.

    Raises:
        UsageError: If there is none, or it is about another model.
    """
    place = pathlib.Path(report) / _REPORT
    try:
        measured = json.loads(place.read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{place} is no report: give a directory that "
            f"noisymix_tf.evaluate wrote."
        ) from error
    described = card.get("model", {}).get("fingerprint")
    if described not in (None, measured):
        raise UsageError(
            f"The report in {report} is about the model {measured}, not about "
            f"{described}: give the report of this model."
        )


def write_report(folder, report):
    """Copies the report of an evaluation, its example images included.

    Args:
        folder: `pathlib.Path` of the version.
        report: Directory of the report.
    """
    target = folder / FOLDER / "robustness"
    target.mkdir(parents=True)
    for name in _REPORTS:
        file = pathlib.Path(report) / name
        if file.is_file():
            shutil.copyfile(file, target / name)


def write_batching(folder, batch_sizes):
    """Writes TensorFlow Serving's parameters of batching for this model."""
    lines = [f"max_batch_size {{ value: {max(batch_sizes)} }}"]
    lines += [f"allowed_batch_sizes: {size}" for size in sorted(batch_sizes)]
    (folder / BATCHING).write_text("\n".join(lines) + "\n")


def normalisation(model):
    """Constants of the layers that bring pixels to units of the model.

    Args:
        model: A Keras model.

    Returns:
        List of dicts, one for each such layer; empty where there is none.
    """
    found = []
    for layer in model._flatten_layers(include_self=False):
        kind = type(layer).__name__
        names = _CONSTANTS.get(kind, ())
        if names:
            constants = {
                name: np.asarray(getattr(layer, name)).ravel().tolist()
                for name in names
            }
            found.append({"layer": layer.name, "class": kind, **constants})
    return found


def _preprocessing(served, weights):
    encoded = None
    if served.preprocess is not None:
        encoded = {
            "preprocess": str(served.preprocess),
            "resampling": "bilinear, antialiased, rounded to whole levels",
            "jpeg": "accurate inverse DCT; EXIF orientation is ignored",
            "colours": "RGB; alpha is dropped, of 16 bits the upper 8 are kept",
            "max_pixels": MAX_PIXELS,
            "max_pixels_while_resizing": MAX_RESIZED_PIXELS,
        }
    return {
        "image_shape": list(served.image_shape),
        "pixels": "RGB, 0..255; the model normalises them itself",
        "normalisation": normalisation(served.model),
        "encoded_images": encoded,
        "weights": weights,
        "keras": keras.__version__,
    }


def _signature(name, function):
    signature = SIGNATURES.get(name)
    (taken,) = function.structured_input_signature[0]
    outputs = function.structured_outputs
    words = dict(_OUTPUTS)
    if set(outputs) == {"classes", "scores"}:
        words["classes"] = _EXAMPLE_CLASSES
    return {
        "method": signature.method,
        "inputs": {taken.name: _spec(taken, signature.takes)},
        "outputs": {
            key: _spec(spec, words[key]) for key, spec in outputs.items()
        },
    }


def _spec(spec, words):
    shape = [-1 if side is None else side for side in spec.shape]
    return {"dtype": spec.dtype.name, "shape": str(shape), "what": words}


def _write_json(place, value):
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    place.write_text(text, encoding="utf-8")
