"""The ways to call a served classifier, each of one argument and dtype."""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from noisymix_tf.serving import image_bytes

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
# Where a tf.train.Example has the image, as in the files of TF-Slim.
IMAGE_FEATURE = "image/encoded"
# What stands in the outputs for an image that cannot be used.
_NOTHING = {tf.float32: math.nan, tf.int32: -1, tf.string: ""}


class Signature(typing.NamedTuple):
    """One way to call a served classifier, with a batch of any size.

    `compute` makes a dict of outputs of a `ServedClassifier` and `argument`,
    which is pixels or, of strings, encoded images; `takes` says it to people.
    """

    compute: Callable
    argument: str
    dtype: tf.DType
    takes: str
    method: str = PREDICT

    @property
    def encoded(self):
        """Whether clients send encoded images."""
        return self.dtype == tf.string

    def build(self, served):
        """The concrete function of a `ServedClassifier`."""
        shape = [None] if self.encoded else [None, *served.image_shape]
        spec = tf.TensorSpec(shape, self.dtype, name=self.argument)

        @tf.function(input_signature=[spec])
        def call(argument):
            # Servers call a SavedModel through a session, which does not look
            # at shapes: pixels of another size would be classified, or end the
            # process in a kernel. The optimisers believe the signature and
            # would drop a check that by its word cannot fail; what comes out of
            # a placeholder has any shape to them.
            unknown = tf.raw_ops.PlaceholderWithDefault(
                input=argument, shape=tf.TensorShape(None), name=spec.name
            )
            return self.compute(served, tf.ensure_shape(unknown, spec.shape))

        return call.get_concrete_function()

    def encode(self, images, files):
        """The argument by its name, an array: uint8 images or encoded ones."""
        if self.method == CLASSIFY:
            files = map(_example, files)
        sent = files if self.encoded else images
        return {self.argument: np.array([*sent], self.dtype.as_numpy_dtype)}


def of(served):
    """Dict from the name of each signature of a classifier to its function."""
    return {
        name: signature.build(served)
        for name, signature in SIGNATURES.items()
        if (served.preprocess is not None or not signature.encoded)
        and (served.features is not None or signature.compute is not _features)
    }


def encoded(images, preprocess):
    """PNG and JPEG files of images; with margins where they come to size."""
    if preprocess is None:
        return []
    if preprocess.side is not None:
        rows, columns = (side // 4 for side in images.shape[1:3])
        margins = [(0, 0), (rows, rows), (columns, 2 * columns), (0, 0)]
        images = np.pad(images, margins, mode="symmetric")
    writers = (tf.io.encode_png, tf.io.encode_jpeg)
    return [writers[i % 2](image).numpy() for i, image in enumerate(images)]


def _pixels(served, images):
    return served.classify(tf.cast(images, tf.float32))


def _features(served, images):
    return {"features": served.features(tf.cast(images, tf.float32))}


def _files(served, contents, image_of=lambda content: content):
    """Outputs of encoded images: one that cannot be used spoils no other."""
    pixels, status = image_bytes.read(
        contents, image_of, served.preprocess, served.image_shape
    )
    is_good = (status == image_bytes.STATUS[0])[:, None]
    results = {
        name: tf.where(is_good, output, _NOTHING[output.dtype])
        for name, output in _pixels(served, pixels).items()
    }
    return {**results, "status": status}


def _examples(served, protos):
    # Where the feature is missing the image is empty.
    feature = tf.io.FixedLenFeature([], tf.string, default_value="")
    features = {IMAGE_FEATURE: feature}

    def image_of(proto):
        return tf.io.parse_single_example(proto, features)[IMAGE_FEATURE]

    results = _files(served, protos, image_of)
    # TensorFlow Serving wants names as strings, and nothing else.
    names = results.get("labels", tf.as_string(results["classes"]))
    status = results["status"][:, None]
    names = tf.where(status == image_bytes.STATUS[0], names, status)
    return {"classes": names, "scores": results["scores"]}


def _example(file):
    example = tf.train.Example()
    example.features.feature[IMAGE_FEATURE].bytes_list.value.append(file)
    return example.SerializeToString()


_WHOLE = "pixels 0..255, as whole numbers"
_PARTS = "pixels 0..255, which may have fractions"
_ENCODED = "JPEG or PNG files, each of any size"
_IN_EXAMPLES = f"tf.train.Example, serialised, with a file in {IMAGE_FEATURE!r}"
# By name; further ones may be added.
SIGNATURES = {
    "serving_default": Signature(_pixels, "images", tf.uint8, _WHOLE),
    "serving_float": Signature(_pixels, "images", tf.float32, _PARTS),
    "features": Signature(_features, "images", tf.uint8, _WHOLE),
    "serving_bytes": Signature(_files, "image_bytes", tf.string, _ENCODED),
    "tf_example": Signature(
        _examples, "inputs", tf.string, _IN_EXAMPLES, CLASSIFY
    ),
}
