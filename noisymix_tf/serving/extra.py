"""What a version holds beside the model: `assets.extra`, for people and tools.

TensorFlow Serving hands none of it out and reads only the warm-up requests.
"""

import json
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import EXTRA
from noisymix_tf.serving import arguments, signatures
from noisymix_tf.serving.classifier import TOP
from noisymix_tf.serving.signatures import CLASSIFY, SIGNATURES, encoded

_OUTPUTS = {
    "logits": "outputs of the last layer, before softmax",
    "probabilities": "of all classes",
    "classes": f"the {TOP} most probable classes, falling",
    "scores": "their probabilities",
    "labels": "their names",
    "features": "what the last layer with weights gets",
    "status": f"of each image; one of {', '.join(signatures.STATUS)}",
}
# Fields by number in tensorflow_serving/apis/*.proto: of a PredictionLog, of a
# request, of its ModelSpec, and of an entry of a map.
_CLASSIFY_LOG, _PREDICT_LOG, _MODEL_SPEC, _INPUTS = 2, 6, 1, 2
_NAME, _SIGNATURE_NAME, _KEY, _VALUE = 1, 3, 1, 2


def check_card(card, report) -> None:
    """Raises the `UsageError` for no card, or a report that is not about it."""
    if not isinstance(card, dict):
        raise UsageError(
            f"card is {card!r}; give the dict that model_card.read returns."
        )
    if report is None:
        return
    place = pathlib.Path(report) / "report.json"
    try:
        measured = json.loads(place.read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{place} is no report: give a directory that "
            f"python -m noisymix_tf evaluate wrote."
        ) from error
    described = card.get("model", {}).get("fingerprint")
    if described not in (None, measured):
        raise UsageError(
            f"The report in {report} is about the model {measured}, not about "
            f"{described}: give the report of this model."
        )


def write(folder, served, functions, card, batch_sizes, report) -> None:
    """Writes all but the warm-up requests.

    A report is copied with all that it shows, images included.
    """
    described = {name: _described(name, f) for name, f in functions.items()}
    files = {
        f"../{model_card.IN_SAVED_MODEL}": model_card.as_text(card),
        "preprocessing.json": _json(_preprocessing(served)),
        "signatures.json": _json(described),
    }
    if served.labels is not None:
        files["labels.txt"] = "\n".join([*served.labels, ""])
    if batch_sizes:
        lines = [f"max_batch_size {{ value: {batch_sizes[-1]} }}"]
        lines += [f"allowed_batch_sizes: {size}" for size in batch_sizes]
        files["../batching_params.pbtxt"] = "\n".join([*lines, ""])
    place = folder / EXTRA
    place.mkdir(exist_ok=True)
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    if report is not None:
        (place / "robustness").mkdir()
        for file in pathlib.Path(report).glob("report.*"):
            shutil.copyfile(file, place / "robustness" / file.name)


def _json(fields):
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def _preprocessing(served):
    encoded_images = served.preprocess and {
        "preprocess": str(served.preprocess),
        "resampling": "bilinear, antialiased, rounded to whole levels",
        "jpeg": "accurate inverse DCT; EXIF orientation is ignored",
        "colours": "RGB; alpha is dropped, of 16 bits the upper 8 are kept",
        "max_pixels": signatures.MAX_PIXELS,
        "max_pixels_while_resizing": signatures.MAX_RESIZED_PIXELS,
        "max_scans": signatures.MAX_SCANS,
    }
    return {
        "image_shape": list(served.image_shape),
        "pixels": "RGB, 0..255; the model normalises them itself",
        "normalisation": model_card.normalisation(served.model),
        "encoded_images": encoded_images,
        "weights": served.weights,
        "temperature": served.temperature,
    }


def _described(name, function):
    def described(spec, words):
        shape = str(spec.shape).replace("None", "-1")
        return {"dtype": spec.dtype.name, "shape": shape, "what": words}

    (taken,) = function.structured_input_signature[0]
    signature, outputs = SIGNATURES[name], function.structured_outputs
    return {
        "method": signature.method,
        "inputs": {signature.argument: described(taken, signature.takes)},
        "outputs": {k: described(s, _OUTPUTS[k]) for k, s in outputs.items()},
    }


def write_warmup(folder, served, names, batch_sizes, path) -> None:
    """Writes what TensorFlow Serving answers before it takes requests: noise.

    They are its `PredictionLog` protos, of which the few fields that are
    needed are written by their numbers: the package that has them is of use to
    a client only. There is one of each size for each signature.
    """
    images, model = arguments.noise(served.image_shape), pathlib.Path(path)
    files = encoded(images, served.preprocess)
    place = folder / EXTRA / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(os.fspath(place)) as writer:
        for name in names:
            ((key, array),) = SIGNATURES[name].encode(images, files).items()
            spec = _field(_NAME, model.resolve().name)
            spec += _field(_SIGNATURE_NAME, name)
            for size in batch_sizes:
                batch = np.take(array, range(size), axis=0, mode="wrap")
                if SIGNATURES[name].method == CLASSIFY:
                    # Examples in an ExampleList in an Input, all field 1.
                    sent = _field(1, b"".join(_field(1, x) for x in batch))
                    log = _CLASSIFY_LOG
                else:
                    value = tf.make_tensor_proto(batch).SerializeToString()
                    sent = _field(_KEY, key) + _field(_VALUE, value)
                    log = _PREDICT_LOG
                request = _field(_MODEL_SPEC, spec) + _field(_INPUTS, sent)
                writer.write(_field(log, _field(1, request)))


def _field(number, content):
    """A string, bytes or message as the field of a proto."""
    content = content.encode() if isinstance(content, str) else content
    # A proto of one such field, whose number is in its first byte.
    first = tf.train.BytesList(value=[content]).SerializeToString()
    return bytes([number << 3 | first[0] & 7]) + first[1:]
