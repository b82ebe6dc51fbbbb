"""Image files to RGB pixels, inside of a pipeline."""

import numpy as np
import tensorflow as tf


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


def _decode_lossless(content, has_bmp):
    def decode():
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    if not has_bmp:
        return decode()
    # TensorFlow takes the indices of a palette BMP for grey levels and knows
    # no 1-bit BMP; Pillow reads both. Python code ties a pipeline to this
    # process, so it is there only where it is needed.
    return tf.cond(
        tf.strings.substr(content, 0, 2) == b"BM",
        lambda: tf.numpy_function(_decode_bmp, [content], tf.uint8),
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
