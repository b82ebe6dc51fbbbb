"""The ways to call a served classifier.

Each is a TensorFlow function of one argument with a batch of any size. A
signature takes one dtype, so that bytes and floats are two of them.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from noisymix_tf.registry import Registry
from noisymix_tf.serving import image_bytes

SIGNATURES = Registry("signature")

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
# Where a tf.train.Example has the image, as in the files of TF-Slim.
IMAGE_FEATURE = "image/encoded"


@dataclasses.dataclass(frozen=True)
class Signature:
    """One way to call a served classifier.

    Attributes:
        build: Function from a `ServedClassifier` to a `tf.function` with an
            input signature, or to None where that classifier has no such way.
        encode: Function from `Examples` to the argument, by name, with which a
            client would send them.
        takes: What the argument is, for people.
        method: Name of the method of TensorFlow Serving that it is for.
        encoded: Whether clients send encoded images.
    """

    build: Callable
    encode: Callable
    takes: str
    method: str = PREDICT
    encoded: bool = False


def checked(argument, spec):
    """An argument, which is an error in the graph if it has another shape.

    Servers call a SavedModel through a session, which does not look at shapes:
    pixels of another size would be classified, and those of another rank can
    end the process in a kernel. The optimisers believe the signature, too, and
    would drop a check that by its word cannot fail.
    """
    # What comes out of a placeholder has any shape, as far as they know.
    unknown = tf.raw_ops.PlaceholderWithDefault(
        input=argument, shape=tf.TensorShape(None), name=spec.name
    )
    return tf.ensure_shape(unknown, spec.shape)


def _of_images(dtype, takes):
    def build(served):
        spec = tf.TensorSpec([None, *served.image_shape], dtype, name="images")

        @tf.function(input_signature=[spec])
        def serve(images):
            images = checked(images, spec)
            return served.classify(tf.cast(images, tf.float32))

        return serve

    def encode(examples):
        return {"images": tf.constant(examples.images, dtype)}

    return Signature(build, encode, takes)


SIGNATURES.register("serving_default")(
    _of_images(tf.uint8, "pixels 0..255, as whole numbers")
)
SIGNATURES.register("serving_float")(
    _of_images(tf.float32, "pixels 0..255, which may have fractions")
)


def _features(served):
    if served.features is None:
        return None
    spec = tf.TensorSpec([None, *served.image_shape], tf.uint8, name="images")

    @tf.function(input_signature=[spec])
    def features(images):
        images = checked(images, spec)
        return {"features": served.features(tf.cast(images, tf.float32))}

    return features


SIGNATURES.register("features")(
    Signature(
        _features,
        SIGNATURES.get("serving_default").encode,
        SIGNATURES.get("serving_default").takes,
    )
)


def _serving_bytes(served):
    if served.preprocess is None:
        return None
    spec = tf.TensorSpec([None], tf.string, name="image_bytes")

    @tf.function(input_signature=[spec])
    def serve_bytes(image_bytes):
        contents = checked(image_bytes, spec)
        return served.classify(_read(served, contents, lambda image: image))

    return serve_bytes


SIGNATURES.register("serving_bytes")(
    Signature(
        _serving_bytes,
        lambda examples: {"image_bytes": tf.constant(examples.contents)},
        "JPEG or PNG files, each of any size",
        encoded=True,
    )
)


def _tf_example(served):
    if served.preprocess is None:
        return None
    spec = tf.TensorSpec([None], tf.string, name="inputs")

    @tf.function(input_signature=[spec])
    def classify_examples(inputs):
        protos = checked(inputs, spec)
        results = served.classify(_read(served, protos, _image_of_example))
        # TensorFlow Serving wants names as strings, and nothing else.
        names = results.get("labels", tf.as_string(results["classes"]))
        return {"classes": names, "scores": results["scores"]}

    return classify_examples


SIGNATURES.register("tf_example")(
    Signature(
        _tf_example,
        lambda examples: {"inputs": tf.constant(examples.protos())},
        f"serialised tf.train.Example with a JPEG or PNG file in the feature "
        f"{IMAGE_FEATURE!r}",
        method=CLASSIFY,
        encoded=True,
    )
)


def _read(served, contents, pixels_of):
    images = image_bytes.read(
        contents, pixels_of, served.preprocess, served.image_shape
    )
    return tf.cast(images, tf.float32)


def _image_of_example(proto):
    # Where the feature is missing the image is empty, which is an error that
    # names the example.
    feature = tf.io.FixedLenFeature([], tf.string, default_value="")
    found = tf.io.parse_single_example(proto, {IMAGE_FEATURE: feature})
    return found[IMAGE_FEATURE]
