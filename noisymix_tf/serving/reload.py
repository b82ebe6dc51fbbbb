"""Calls a SavedModel, also where neither this package nor Keras is.

Run as a script, this file imports nothing of the package that it lies in.
Requests and results are dicts from signature to arrays by name.
"""

import os
import pathlib
import pickle
import subprocess
import sys
import tempfile


class ExportMismatch(RuntimeError):
    """What was written does not compute what the Keras model does."""


def call(folder, requests):
    """Outputs of each signature of a SavedModel, as NumPy arrays."""
    import tensorflow as tf

    # It owns the variables: the signatures alone do not keep them.
    loaded = tf.saved_model.load(os.fspath(folder))
    results = {}
    for name, arguments in requests.items():
        # Some kernels give other roundings on an accelerator.
        with tf.device("CPU:0"):
            tensors = {k: tf.constant(v) for k, v in arguments.items()}
            outputs = loaded.signatures[name](**tensors)
        results[name] = {key: out.numpy() for key, out in outputs.items()}
    return results


def call_in_new_process(folder, requests):
    """The same by a new process; an `ExportMismatch` if it fails."""
    with tempfile.TemporaryDirectory(prefix="noisymix-") as place:
        sent, received = (pathlib.Path(place) / n for n in ("sent", "received"))
        sent.write_bytes(pickle.dumps(requests))
        # -P: the modules that lie beside the script are not to be found.
        command = [sys.executable, "-P", __file__, folder, sent, received]
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


if __name__ == "__main__":
    for absent in ("noisymix_tf", "keras"):
        sys.modules[absent] = None
    folder, sent, received = map(pathlib.Path, sys.argv[1:])
    results = call(folder, pickle.loads(sent.read_bytes()))
    received.write_bytes(pickle.dumps(results))
