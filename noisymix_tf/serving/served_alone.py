"""Script: calls a SavedModel where neither this package nor Keras is.

python served_alone.py SAVED_MODEL REQUESTS RESULTS

REQUESTS is a pickled dict from signature to arguments by name, RESULTS will be
one from signature to outputs by name. Run as a file, it imports nothing of the
package that it lies in.
"""

import pickle
import sys


def call(folder, requests):
    """Outputs of each signature of a SavedModel, as NumPy arrays."""
    import tensorflow as tf

    # It owns the variables: the signatures alone do not keep them.
    loaded = tf.saved_model.load(folder)
    results = {}
    for name, arguments in requests.items():
        # Some kernels give other roundings on an accelerator.
        with tf.device("CPU:0"):
            tensors = {k: tf.constant(v) for k, v in arguments.items()}
            outputs = loaded.signatures[name](**tensors)
        results[name] = {key: out.numpy() for key, out in outputs.items()}
    return results


def main(folder, requests, results):
    for absent in ("noisymix_tf", "keras"):
        sys.modules[absent] = None
    with open(requests, "rb") as file:
        arguments = pickle.load(file)
    outputs = call(folder, arguments)
    with open(results, "wb") as file:
        pickle.dump(outputs, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
