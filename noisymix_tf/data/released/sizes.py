"""What is done to released images on reading, and whether they then fit."""

from noisymix_tf.data.dataset import size_text
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

PUBLISHED = Preprocess(resize=256, crop=224)
"""What the published tables of ImageNet-C and ImageNet-R were measured with."""


def chosen(preprocess):
    """What a user asked for as a `Preprocess`; None where it was left open."""
    return (
        None if preprocess in (None, "auto") else Preprocess.parse(preprocess)
    )


def published_or(rule, dataset):
    """`PUBLISHED` for images of 224 pixels, otherwise `rule(dataset)`."""
    is_224 = tuple(dataset.image_shape[:2]) == (224, 224)
    return PUBLISHED if is_224 else rule(dataset)


def own(dataset):
    """How the dataset's test images come to their size."""
    return getattr(dataset.test, "preprocess", Preprocess())


def square(dataset):
    """The dataset's own, or what brings any photograph to its square."""
    height, width = dataset.image_shape[:2]
    if own(dataset).side is None and height == width:
        return Preprocess(resize=height, crop=height)
    return own(dataset)


def output_shape(preprocess, stored):
    """Shape `(H, W, 3)` of stored images `(h, w, 3)` when they are read."""
    side = preprocess.side
    return tuple(stored) if side is None else (side, side, 3)


def check_fits(shape, dataset, what, preprocess):
    """Raises where images are of another size than the dataset's.

    Args:
        shape: `(H, W, 3)` of what is read.
        dataset: Whose model is to see them.
        what: The images, for the message.
        preprocess: What was done to them.
    """
    if tuple(shape) == tuple(dataset.image_shape):
        return
    height, width = dataset.image_shape[:2]
    word = f"resize{height}-crop{height}" if height == width else "as_stored"
    raise UsageError(
        f"{what} ({preprocess}) gives images of {size_text(shape)}, but those "
        f"of {dataset.name} are {size_text(dataset.image_shape)}: give another "
        f"preprocess, such as {word}."
    )
