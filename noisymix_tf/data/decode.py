"""Image files to RGB pixels, inside of a pipeline."""

import numpy as np
import tensorflow as tf

# One pixel is what libjpeg's interpolation of colours looks at.
_MARGIN = 2


def decode_image(content, has_bmp=False):
    """Decodes JPEG, PNG, GIF (its first frame) or BMP to RGB.

    JPEG files are decoded with the accurate inverse DCT, which agrees with
    Pillow's pixels.

    Args:
        content: Scalar string tensor, what the file holds.
        has_bmp: Whether it may be a BMP.

    Returns:
        uint8 tensor `[h, w, 3]`.

    Raises:
        tf.errors.OpError: If it cannot be decoded.
    """
    image = tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(
            content, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: _decode_lossless(content, has_bmp),
    )
    image.set_shape([None, None, 3])
    return image


def decode_part(content, choose, has_bmp=False):
    """Decodes a part of an image that depends on the size of the whole.

    Of a JPEG no more than that part is decoded; the pixels are those of the
    whole image, cut.

    Args:
        content: Scalar string tensor, what the file holds.
        choose: Function from the (height, width) of the whole, scalar tensors,
            to int32 `[4]`: top, left, height and width of the part, inside of
            it.
        has_bmp: Whether it may be a BMP.

    Returns:
        uint8 tensor `[h, w, 3]`.

    Raises:
        tf.errors.OpError: If it cannot be decoded.
    """
    part = tf.cond(
        tf.io.is_jpeg(content),
        lambda: _jpeg_part(content, choose),
        lambda: _lossless_part(content, choose, has_bmp),
    )
    part.set_shape([None, None, 3])
    return part


def _jpeg_part(content, choose):
    whole = tf.io.extract_jpeg_shape(content)[:2]
    box = choose(whole[0], whole[1])
    start, size = box[:2], box[2:]
    # Where the decoder stops at the edge of the part, it has no neighbours to
    # interpolate colours from, and its outermost pixels would be others.
    window_start = tf.maximum(start - _MARGIN, 0)
    window_end = tf.minimum(start + size + _MARGIN, whole)
    window = tf.io.decode_and_crop_jpeg(
        content,
        tf.concat([window_start, window_end - window_start], 0),
        channels=3,
        dct_method="INTEGER_ACCURATE",
    )
    begin = tf.concat([start - window_start, [0]], 0)
    return tf.slice(window, begin, tf.concat([size, [3]], 0))


def _lossless_part(content, choose, has_bmp):
    image = _decode_lossless(content, has_bmp)
    shape = tf.shape(image)
    box = choose(shape[0], shape[1])
    return tf.slice(
        image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0)
    )


def _decode_lossless(content, has_bmp):
    def decode():
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    if not has_bmp:
        return decode()
    # TensorFlow takes the indices of a palette BMP for grey levels and knows
    # no 1-bit BMP; Pillow reads both. Python code ties a pipeline to this
    # process, so it is there only where it is needed. Stateless: tf.data would
    # not call it in parallel otherwise where operations are deterministic.
    return tf.cond(
        tf.strings.substr(content, 0, 2) == b"BM",
        lambda: tf.numpy_function(
            _decode_bmp, [content], tf.uint8, stateful=False
        ),
        decode,
    )


def _decode_bmp(content):
    import io

    from PIL import Image

    # Bytes from a graph, but an array of one object in eager mode.
    content = np.asarray(content, dtype=object).item()
    try:
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    except Exception as error:
        # From a graph this is the tf.errors.InvalidArgumentError that the
        # other decoders raise.
        raise ValueError("Invalid or truncated BMP data") from error
