"""From encoded images to the pixels that an evaluation would see, in a graph.

The readers of `noisymix_tf.data` would decode anything however large, and an
image that they cannot read ends the whole batch: both are mended here.
"""

import tensorflow as tf

from noisymix_tf.data.preprocess import decode_image

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


def read(contents, image_of, preprocess, image_shape):
    """Decodes a batch of images and brings them to the size of a model.

    JPEG and PNG, as `noisymix_tf.data.preprocess.decode_image` does. GIF is
    refused: its decoder unpacks all frames, whose sizes and number only a walk
    through the file would tell.

    Args:
        contents: string tensor `[N]`; `image_of` finds the image in each.
        preprocess: `noisymix_tf.data.Preprocess`, to `image_shape`.

    Returns:
        `(pixels, status)`: uint8 `[N, H, W, 3]`, black where an image cannot
        be used, and string `[N]`, of each image a word of `STATUS`.
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
