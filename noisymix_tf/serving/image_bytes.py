"""From encoded images to the pixels that an evaluation would see, in a graph.

The readers are those of `noisymix_tf.data`, so that a served model gets the
same pixels. What they do not say is which image of a batch they could not use,
and they would decode anything however large: both are added here.
"""

import tensorflow as tf

from noisymix_tf.data.decode import decode_image

# The most pixels of an image as it is stored, and of it while it is resized
# (in float32). A file of a few bytes can claim to hold billions.
MAX_PIXELS = 2**26
MAX_RESIZED_PIXELS = 2**24

_JPEG = b"\xff\xd8\xff"
# Its first chunk, of 13 bytes, has the size. The decoder would go past others
# until it finds that one.
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_GOOD, _EMPTY, _UNKNOWN, _LARGE, _MISFIT, _DAMAGED = range(6)


def read(contents, pixels_of, preprocess, image_shape):
    """Decodes a batch of images and brings them to the size of a model.

    JPEG and PNG; grey, palette and CMYK become RGB, alpha is dropped, of 16
    bits the upper 8 are taken, the orientation in EXIF is ignored: what
    `noisymix_tf.data.decode.decode_image` does. GIF is refused: its decoder
    unpacks all frames, whose sizes and number only a walk through the file
    would tell.

    Args:
        contents: string tensor `[N]`, any sizes.
        pixels_of: Function from a scalar string to the encoded image in it.
        preprocess: `noisymix_tf.data.Preprocess`.
        image_shape: `(H, W, 3)`, what comes out.

    Returns:
        uint8 tensor `[N, H, W, 3]`. When it is evaluated it is a
        `tf.errors.InvalidArgumentError` if an image cannot be used; its message
        names the position of the first such image, and why.
    """
    number = tf.size(contents, out_type=tf.int64)

    def one(index, content):
        image = pixels_of(content)
        state = _state(image, preprocess, image_shape)
        pixels = tf.cond(
            state == _GOOD,
            lambda: _pixels(image, preprocess, image_shape),
            lambda: tf.zeros(image_shape, tf.uint8),
        )
        return index, state, pixels

    # The decoders' errors end a computation without a word on which image it
    # was. A dataset goes on without the image, and its number is then missing.
    images = (
        tf.data.Dataset.from_tensor_slices(contents)
        .enumerate()
        .map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors()
    )
    # There is no empty batch, so that one more comes and is cut off again.
    end = tf.data.Dataset.from_tensors(
        (number, _GOOD, tf.zeros(image_shape, tf.uint8))
    )
    indices, states, pixels = (
        part[:-1]
        for part in images.concatenate(end)
        .batch(number + 1)
        .get_single_element()
    )
    found = tf.tensor_scatter_nd_update(
        tf.fill([number], _DAMAGED), indices[:, None], states
    )
    checks = [_assert_some(number), _assert_good(found, preprocess)]
    with tf.control_dependencies(checks):
        pixels = tf.identity(pixels)
    return tf.ensure_shape(pixels, [None, *image_shape])


def _pixels(content, preprocess, image_shape):
    image = preprocess.apply(decode_image(content))
    return tf.ensure_shape(image, image_shape)


def _state(content, preprocess, image_shape):
    """Whether an image can be used, as far as its first bytes tell."""

    def of_format(start):
        return tf.strings.substr(content, 0, len(start)) == start

    def by_size(size):
        def judge():
            return _judge(size(content), preprocess, image_shape)

        return judge

    return tf.case(
        [
            (of_format(_JPEG), by_size(_jpeg_size)),
            (of_format(_PNG), by_size(_png_size)),
            (tf.strings.length(content) == 0, lambda: _EMPTY),
        ],
        default=lambda: _UNKNOWN,
    )


def _jpeg_size(content):
    return tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64)


def _png_size(content):
    header = tf.strings.substr(content, 16, 8)
    size = tf.io.decode_raw(header, tf.int32, little_endian=False)
    return tf.cast(size[::-1], tf.int64)


def _judge(size, preprocess, image_shape):
    """The state of an image of a (height, width), int64 `[2]`."""
    resized = size
    if preprocess.resize is not None and preprocess.crop is None:
        resized = tf.fill([2], tf.constant(preprocess.resize, tf.int64))
    elif preprocess.resize is not None:
        shorter = tf.maximum(tf.reduce_min(size), 1)
        resized = size * preprocess.resize // shorter
    # Height is resized first: an image of the new height and the old width.
    on_the_way = resized[0] * tf.maximum(size[1], resized[1])
    is_large = tf.reduce_prod(size) > MAX_PIXELS
    if preprocess.resize is not None:
        is_large |= on_the_way > MAX_RESIZED_PIXELS
    if preprocess.side is None:
        fits = tf.reduce_all(size == tf.constant(image_shape[:2], tf.int64))
    else:
        fits = tf.reduce_min(resized) >= (preprocess.crop or 0)
    is_size = tf.reduce_min(size) >= 1
    return tf.where(
        is_size & ~is_large,
        tf.where(fits, _GOOD, _MISFIT),
        tf.where(is_large, _LARGE, _DAMAGED),
    )


def _assert_some(number):
    return tf.debugging.Assert(number > 0, ["There is no image in the batch"])


def _assert_good(states, preprocess):
    is_good = states == _GOOD
    number = tf.size(states)
    first = tf.argmin(tf.cast(tf.concat([is_good, [False]], 0), tf.int32))
    reasons = tf.constant(_reasons(preprocess))
    state = tf.concat([states, [_GOOD]], 0)[first]
    message = tf.strings.join(
        [
            "Image ",
            tf.strings.as_string(first),
            " of ",
            tf.strings.as_string(number),
            " (counted from 0) cannot be used: ",
            reasons[state],
        ]
    )
    return tf.debugging.Assert(tf.reduce_all(is_good), [message])


def _reasons(preprocess):
    """Why an image cannot be used, by state."""
    reasons = dict.fromkeys(range(_DAMAGED + 1), "")
    reasons[_EMPTY] = "it is empty"
    reasons[_UNKNOWN] = "it is no JPEG or PNG"
    reasons[_LARGE] = "it has too many pixels, or would have when resized"
    reasons[_MISFIT] = f"its size does not suit {preprocess}"
    reasons[_DAMAGED] = "it is damaged or cut short"
    return [reasons[state] for state in sorted(reasons)]
