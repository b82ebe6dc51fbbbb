"""Handwritten digits that come with scikit-learn: real, and never downloaded.

1,797 images of 8 x 8 pixels with 17 grey levels, from the UCI "Optical
Recognition of Handwritten Digits" set (Alpaydin and Kaynak, 1998).
"""

import numpy as np

from noisymix_tf.data.dataset import ArraySplit, Dataset, refuse_resizing
from noisymix_tf.errors import UsageError

_SIZE = 32


def load(*, data_dir=None, image_size=None, preprocess=None):
    """Returns the digits as a `Dataset` of 32 x 32 RGB images.

    Every fifth image of each class is for testing. The file holds one writer
    after another, so that a split into a first and a last part would test on
    other handwritings than it trains on, and one in random order would need
    a seed; this one is fixed, balanced, and has every writer on both sides.

    Args:
        data_dir: None; nothing is read from a directory.
        image_size: None or 32.
        preprocess: None or `"as_stored"`.

    Raises:
        UsageError: If `data_dir`, another `image_size` or another
            `preprocess` is given.
    """
    from sklearn.datasets import load_digits

    shape = (_SIZE, _SIZE, 3)
    refuse_resizing("digits", image_size, preprocess, shape)
    if data_dir is not None:
        raise UsageError(
            f"--data_dir={data_dir}: digits is built in and reads no "
            "directory; leave the flag out, or give --dataset=folder to read "
            "your own images."
        )
    digits = load_digits()
    images = np.stack([_enlarge(image) for image in digits.images])
    labels = digits.target
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        is_test[np.flatnonzero(labels == label)[::5]] = True
    return Dataset(
        name="digits",
        train=ArraySplit(images[~is_test], labels[~is_test]),
        test=ArraySplit(images[is_test], labels[is_test]),
        class_names=tuple(map(str, range(10))),
        image_shape=shape,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        flip=False,
    )


def _enlarge(digit):
    """8 x 8 values 0..16 -> uint8 `[32, 32, 3]`, by bicubic interpolation."""
    from PIL import Image

    # Resizing in floating point rounds once, at the end.
    image = Image.fromarray((digit * (255 / 16)).astype(np.float32))
    image = np.asarray(image.resize((_SIZE, _SIZE), Image.Resampling.BICUBIC))
    grey = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
