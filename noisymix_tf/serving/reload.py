"""A written SavedModel against the Keras model that it was made of."""

import os
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np

from noisymix_tf.serving import served_alone
from noisymix_tf.serving.signatures import SIGNATURES

_SCRIPT = served_alone.__file__


class ExportMismatch(RuntimeError):
    """What was written does not compute what the Keras model does."""


def differences(folder, signatures, examples, expected, labels, fresh_process):
    """How far each signature is from the Keras model.

    Args:
        folder: Folder of the SavedModel.
        signatures: Names of those that it has.
        examples: `Examples` to send.
        expected: Function from whether the examples are encoded to the Keras
            model's values: a dict of `"probabilities"` and, where there are
            such, `"logits"` and `"features"`, float32 `[N, ...]`.
        labels: Names of the classes, or None.
        fresh_process: Whether the SavedModel is loaded by a new process without
            this package and without Keras.

    Returns:
        Dict from signature to the largest difference of any output: absolute
        for probabilities and scores, relative to the largest value for logits
        and features.

    Raises:
        ExportMismatch: If the SavedModel cannot be loaded or called.
    """
    requests = {
        name: {
            key: tensor.numpy()
            for key, tensor in SIGNATURES.get(name).encode(examples).items()
        }
        for name in signatures
    }
    call = _call_in_new_process if fresh_process else served_alone.call
    results = call(os.fspath(folder), requests)
    wanted = {
        is_encoded: expected(is_encoded) for is_encoded in _kinds(results)
    }
    return {
        name: difference(outputs, wanted[SIGNATURES.get(name).encoded], labels)
        for name, outputs in results.items()
    }


def difference(outputs, expected, labels=None):
    """The largest difference of the outputs of one signature.

    Args:
        outputs: Dict of arrays, as a signature gives.
        expected: The Keras model's, see `differences`.
        labels: Names of the classes, or None.

    Returns:
        A float; NaN where an output is.
    """
    gaps = []
    for name, wanted in expected.items():
        if name in outputs:
            scale = 1.0 if name == "probabilities" else np.abs(wanted).max()
            gaps.append(np.abs(outputs[name] - wanted).max() / (scale or 1.0))
    if "scores" in outputs:
        gaps += _gaps_of_scores(outputs, expected["probabilities"], labels)
    # `max` would pass over NaN.
    return float(np.max(gaps))


def _gaps_of_scores(outputs, probabilities, labels):
    """Of the top classes: what they should score, and what those named do."""
    scores = outputs["scores"]
    best = -np.sort(-probabilities, axis=-1)[:, : scores.shape[-1]]
    gaps = [np.abs(scores - best).max()]
    # Classes that are as likely may be named in any order.
    for name in ("classes", "labels"):
        if name in outputs:
            named = _numbers(outputs[name], labels)
            of_named = np.take_along_axis(probabilities, named, axis=-1)
            gaps.append(np.abs(scores - of_named).max())
    return gaps


def _numbers(classes, labels):
    """Class numbers of numbers, of names, or of numbers as names."""
    if classes.dtype != object:
        return classes
    if labels is None:
        return classes.astype(np.int64)
    numbers = {label.encode(): index for index, label in enumerate(labels)}
    return np.vectorize(numbers.__getitem__)(classes)


def _kinds(names):
    return {SIGNATURES.get(name).encoded for name in names}


def _call_in_new_process(folder, requests):
    with tempfile.TemporaryDirectory(prefix="noisymix-") as place:
        sent, received = (pathlib.Path(place) / n for n in ("sent", "received"))
        sent.write_bytes(pickle.dumps(requests))
        # -P: the modules that lie beside the script are not to be found.
        command = [sys.executable, "-P", _SCRIPT, folder, sent, received]
        done = subprocess.run(
            list(map(os.fspath, command)),
            # An accelerator is still held by this process.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise ExportMismatch(
                f"The SavedModel cannot be used by a new process, which ended "
                f"with status {done.returncode}: {lines[-1]}. Nothing written."
            )
        return pickle.loads(received.read_bytes())
