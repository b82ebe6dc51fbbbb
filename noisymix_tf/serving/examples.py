"""Images as clients send them, and the pixels that a model should see."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from noisymix_tf.data.decode import decode_image
from noisymix_tf.serving.signatures import IMAGE_FEATURE

_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Examples:
    """A few images in every form in which a signature takes them.

    Attributes:
        images: uint8 `[N, H, W, C]`, at the size of the model.
        contents: N encoded images of several sizes, or none where the model
            takes none.
    """

    images: np.ndarray
    contents: tuple = ()

    def first(self, number):
        """The first examples; from the beginning again where there are few."""
        chosen = np.arange(number) % len(self.images)
        contents = self.contents and tuple(self.contents[i] for i in chosen)
        return Examples(self.images[chosen], contents)

    def protos(self):
        """Serialised `tf.train.Example`, one for each encoded image."""
        return [_proto(content) for content in self.contents]

    def decoded(self, preprocess):
        """uint8 `[N, H, W, 3]`: what an evaluation makes of the contents."""
        return np.stack(
            [preprocess.apply(decode_image(c)).numpy() for c in self.contents]
        )


def of_images(images, preprocess):
    """Examples of images at the size of a model.

    Args:
        images: uint8 `[N, H, W, C]`.
        preprocess: `noisymix_tf.data.Preprocess` of encoded images, or None.

    Returns:
        `Examples`. By turns their contents are a PNG file, a JPEG file, and a
        JPEG file of another size (unless images are taken as stored).
    """
    if preprocess is None:
        return Examples(images)
    is_cut = preprocess.side is not None
    ways = [_png, _jpeg, functools.partial(_jpeg_in_frame, is_cut)]
    contents = [
        ways[index % len(ways)](image) for index, image in enumerate(images)
    ]
    return Examples(images, tuple(contents))


def _png(image):
    return tf.io.encode_png(image).numpy()


def _jpeg(image):
    return tf.io.encode_jpeg(image, quality=_QUALITY).numpy()


def _jpeg_in_frame(is_cut, image):
    if is_cut:
        rows, columns = (side // 4 for side in image.shape[:2])
        margins = [(rows, rows), (columns, 2 * columns), (0, 0)]
        image = np.pad(image, margins, mode="symmetric")
    return _jpeg(image)


def _proto(content):
    example = tf.train.Example()
    example.features.feature[IMAGE_FEATURE].bytes_list.value.append(content)
    return example.SerializeToString()
