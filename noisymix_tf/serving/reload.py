"""A written SavedModel against the Keras model that it was made of."""

import os
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np

from noisymix_tf.probabilities import are_probabilities
from noisymix_tf.serving import served_alone
from noisymix_tf.serving.signatures import SIGNATURES

_SCRIPT = served_alone.__file__


class ExportMismatch(RuntimeError):
    """What was written does not compute what the Keras model does."""


def differences(
    folder, signatures, examples, model, served, tolerance, fresh_process
):
    """How far each signature is from the Keras model.

    Args:
        folder: Folder of the SavedModel.
        signatures: Names of those that it has.
        examples: `Examples` to send.
        model: `KerasModel`.
        served: `ServedClassifier` that was saved.
        tolerance: Largest accepted difference.
        fresh_process: Whether the SavedModel is loaded by a new process without
            this package and without Keras.

    Returns:
        Dict from signature to the largest difference of any output: absolute
        for probabilities and scores, relative to the largest value for logits
        and features.

    Raises:
        ExportMismatch: If the SavedModel cannot be loaded or called, or one is
            larger; or if what it gives as probabilities cannot be such.
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
    wanted = {False: model.values(examples.images)}
    if examples.contents:
        wanted[True] = model.values(examples.decoded(served.preprocess))
    found = {}
    for name, outputs in results.items():
        values = wanted[SIGNATURES.get(name).encoded]
        found[name] = difference(outputs, values, served.labels)
        if not found[name] <= tolerance:  # true of NaN, too
            raise ExportMismatch(
                f"Signature {name} of the SavedModel differs from the Keras "
                f"model by {found[name]}; tolerance is {tolerance}. Nothing "
                f"written."
            )
        if "probabilities" in outputs and "outputs" in values:
            _check_meaning(
                name, outputs["probabilities"], values["outputs"], tolerance
            )
    return found


def difference(outputs, expected, labels=None):
    """The largest difference of the outputs of one signature.

    Args:
        outputs: Dict of arrays, as a signature gives.
        expected: The Keras model's, see `KerasModel.values`.
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
            of_named = _of_named(outputs[name], probabilities, labels)
            gaps.append(np.abs(scores - of_named).max())
    return gaps


def _of_named(named, probabilities, labels):
    """The Keras model's probabilities of the classes that were named.

    Args:
        named: `[N, k]`: class numbers, names, or numbers as names.
        probabilities: `[N, K]`.
        labels: Names of the classes, or None. Several classes may have one
            name: the most probable of them that is still free is meant.

    Returns:
        `[N, k]`; NaN where there is no such class.
    """
    if named.dtype != object or labels is None:
        return np.take_along_axis(probabilities, named.astype(np.int64), -1)
    names = np.array([label.encode() for label in labels], object)
    found = np.full(named.shape, np.nan)
    for row, own in enumerate(probabilities):
        free = {}
        for index in np.argsort(-own, kind="stable"):
            free.setdefault(names[index], []).append(own[index])
        for place, name in enumerate(named[row]):
            if free.get(name):
                found[row, place] = free[name].pop(0)
    return found


def _check_meaning(name, served, own, tolerance):
    """Judges probabilities by the model's own outputs alone.

    Args:
        name: Name of the signature.
        served: What it gives as probabilities, `[N, K]`.
        own: What the Keras model puts out, `[N, K]`.
        tolerance: Largest accepted difference.
    """
    if not are_probabilities(served):
        reason = "are negative or do not sum to one"
    elif are_probabilities(own) and np.abs(served - own).max() > tolerance:
        reason = "are not the model's outputs, which sum to one"
    else:
        return
    raise ExportMismatch(
        f"The probabilities of signature {name} {reason}: say what the model "
        f"gives, outputs='logits' or 'probabilities'. Nothing written."
    )


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
