"""Calls a SavedModel, also where neither this package nor Keras is.

Run as a script, this file imports nothing of the package that it lies in.
Requests and results are dicts from signature to arrays by name.
"""

import os
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
    with tempfile.NamedTemporaryFile(prefix="noisymix-") as results:
        # -P: the modules that lie beside the script are not to be found.
        done = subprocess.run(
            [sys.executable, "-P", __file__, folder, results.name],
            input=pickle.dumps(requests),
            # An accelerator is still held by this process.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else "no message"
            raise ExportMismatch(
                f"The SavedModel cannot be used by a new process, which ended "
                f"with status {done.returncode}: {why}. Nothing written."
            )
        return pickle.load(results)


if __name__ == "__main__":
    sys.modules |= {"noisymix_tf": None, "keras": None}
    found = call(sys.argv[1], pickle.load(sys.stdin.buffer))
    with open(sys.argv[2], "wb") as file:
        pickle.dump(found, file)
