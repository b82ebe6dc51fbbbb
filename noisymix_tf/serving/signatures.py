"""The ways to call a served classifier, each of one argument and dtype.

The readers of `noisymix_tf.data` would decode anything however large, and an
image that they cannot read ends the whole batch: both are mended here.
"""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from noisymix_tf.data.preprocess import decode_image

CLASSIFY = "tensorflow/serving/classify"
# Where a tf.train.Example has the image, as in the files of TF-Slim.
IMAGE_FEATURE = "image/encoded"
# What stands in the outputs for an image that cannot be used.
_NOTHING = {tf.float32: math.nan, tf.int32: -1, tf.string: ""}
# The most pixels of an image as stored, and while it is resized (in float32).
MAX_PIXELS = 2**26
MAX_RESIZED_PIXELS = 2**24
# Each scan of a progressive JPEG, of a few bytes, costs as much as all pixels.
MAX_SCANS = 100
_JPEG, _SCAN = b"\xff\xd8\xff", b"\xff\xda"
# Its first chunk, of 13 bytes, has the size. The decoder would go past others
# until it finds that one.
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
STATUS = "ok,empty,not JPEG or PNG,too large,wrong size,damaged".split(",")
_OK, _EMPTY, _UNKNOWN, _LARGE, _MISFIT, _DAMAGED = range(len(STATUS))


class Signature(typing.NamedTuple):
    """One way to call a served classifier, with a batch of any size.

    `compute` makes a dict of outputs of a `ServedClassifier` and `argument`,
    which is pixels or, of strings, encoded images; `takes` says it to people.
    """

    compute: Callable
    argument: str
    dtype: tf.DType
    takes: str
    method: str = "tensorflow/serving/predict"

    @property
    def encoded(self) -> bool:
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

    def encode(self, images, files) -> dict[str, np.ndarray]:
        """The argument by its name, an array: uint8 images or encoded ones."""
        if self.method == CLASSIFY:
            files = map(_example, files)
        sent = files if self.encoded else images
        return {self.argument: np.array([*sent], self.dtype.as_numpy_dtype)}


def of(served) -> dict:
    """From the name of each signature of a classifier to its function."""
    return {
        name: signature.build(served)
        for name, signature in SIGNATURES.items()
        if (served.preprocess is not None or not signature.encoded)
        and (served.features is not None or signature.compute is not _features)
    }


def encoded(images, preprocess) -> list[bytes]:
    """PNG and JPEG files of images; with margins where they come to size."""
    if preprocess is None:
        return []
    if preprocess.side is not None:
        rows, columns = (side // 4 for side in images.shape[1:3])
        margins = [(0, 0), (rows, rows), (columns, 2 * columns), (0, 0)]
        images = np.pad(images, margins, mode="symmetric")
    writers = (tf.io.encode_png, tf.io.encode_jpeg)
    return [writers[i % 2](image).numpy() for i, image in enumerate(images)]


def _example(file):
    example = tf.train.Example()
    example.features.feature[IMAGE_FEATURE].bytes_list.value.append(file)
    return example.SerializeToString()


def _pixels(served, images):
    return served.classify(tf.cast(images, tf.float32))


def _features(served, images):
    return {"features": served.features(tf.cast(images, tf.float32))}


def _files(served, contents, image_of=lambda content: content):
    """Outputs of encoded images: one that cannot be used spoils no other."""
    pixels, status = read_images(
        contents, image_of, served.preprocess, served.image_shape
    )
    is_good = (status == STATUS[_OK])[:, None]
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
    names = tf.where(status == STATUS[_OK], names, status)
    return {"classes": names, "scores": results["scores"]}


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


def read_images(
    contents, image_of, preprocess, image_shape
) -> tuple[tf.Tensor, tf.Tensor]:
    """Images out of strings `[N]`, in each of which `image_of` finds one.

    GIF is refused: its decoder unpacks all frames, whose sizes and number only
    a walk through the file would tell.

    Returns `(pixels, status)`: uint8 `[N, H, W, 3]`, black where an image
    cannot be used, and string `[N]`, of each image a word of `STATUS`.
    """
    number = tf.size(contents, out_type=tf.int64)
    black = tf.zeros(image_shape, tf.uint8)
    some = tf.debugging.Assert(number > 0, ["There is no image in the batch"])
    with tf.control_dependencies([some]):
        contents = tf.identity(contents)

    def one(index, content):
        image = image_of(content)
        state = _state(image, preprocess, image_shape)

        def pixels():
            found = preprocess.apply(decode_image(image))
            return tf.ensure_shape(found, image_shape)

        return index, state, tf.cond(state == _OK, pixels, lambda: black)

    # The decoders' errors end a computation. A dataset goes on without the
    # image, and its number is then missing. There is no empty batch, so that
    # one more comes and is cut off again.
    images = tf.data.Dataset.from_tensor_slices(contents).enumerate()
    images = images.map(one, tf.data.AUTOTUNE).ignore_errors()
    end = tf.data.Dataset.from_tensors((number, _OK, black))
    found = images.concatenate(end).batch(number + 1).get_single_element()
    places, states, pixels = found[0][:, None], *found[1:]
    shape = tf.concat([[number + 1], tf.shape(black, tf.int64)], 0)
    pixels = tf.scatter_nd(places, pixels, shape)[:-1]
    unread = tf.fill([number + 1], _DAMAGED)
    states = tf.tensor_scatter_nd_update(unread, places, states)[:-1]
    pixels = tf.ensure_shape(pixels, [None, *image_shape])
    return pixels, tf.gather(tf.constant(STATUS), states)


def _state(content, preprocess, image_shape):
    """Whether an image can be used, as far as its first bytes tell."""

    def starts(word):
        return tf.strings.substr(content, 0, len(word)) == word

    def jpeg():
        size = tf.io.extract_jpeg_shape(content)[:2]
        scans = tf.size(tf.strings.split([content], _SCAN).values) - 1
        state = _judge(tf.cast(size, tf.int64), preprocess, image_shape)
        return tf.where(scans > MAX_SCANS, _LARGE, state)

    def png():
        header = tf.strings.substr(content, 16, 8)
        size = tf.io.decode_raw(header, tf.int32, little_endian=False)
        return _judge(tf.cast(size[::-1], tf.int64), preprocess, image_shape)

    is_empty = tf.strings.length(content) == 0
    return tf.case(
        [(starts(_JPEG), jpeg), (starts(_PNG), png)],
        default=lambda: tf.where(is_empty, _EMPTY, _UNKNOWN),
    )


def _judge(size, preprocess, image_shape):
    """The state of an image of a (height, width), int64 `[2]`."""
    resized, is_large = size, tf.reduce_prod(size) > MAX_PIXELS
    if preprocess.resize is not None:
        shorter = tf.maximum(tf.reduce_min(size), 1)
        resized = size * preprocess.resize // shorter
        if preprocess.crop is None:
            resized = tf.fill([2], tf.constant(preprocess.resize, tf.int64))
        # Height is resized first: the new height and the old width.
        on_the_way = resized[0] * tf.maximum(size[1], resized[1])
        is_large |= on_the_way > MAX_RESIZED_PIXELS
    fits = tf.reduce_min(resized) >= (preprocess.crop or 0)
    if preprocess.side is None:
        fits = tf.reduce_all(size == tf.constant(image_shape[:2], tf.int64))
    known = tf.where(is_large, _LARGE, tf.where(fits, _OK, _MISFIT))
    return tf.where(tf.reduce_min(size) >= 1, known, _DAMAGED)
