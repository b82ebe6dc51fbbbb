"""Checks of what an export is given."""

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

# TensorFlow Serving refuses a model with more requests than this to warm up.
_MAX_WARMUPS = 1000
# Side and number of the images of noise, where none are given.
_ANY_SIDE, _NOISE_IMAGES = 64, 32


def shapes(model):
    """Returns `(image_shape, num_classes)` of a classifier."""
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"Model {getattr(model, 'name', model)!r} is no built Keras model "
            "of one input and one output; give a functional or Sequential one."
        )
    image, output = tuple(inputs[0].shape), tuple(model.outputs[0].shape)
    if len(image) != 4 or not image[3] or len(output) != 2 or not output[1]:
        raise UsageError(
            f"Model {model.name!r} makes {output} of {image}; expected images "
            f"(N, H, W, C), and of them logits or probabilities (N, K)."
        )
    return image[1:], output[1]


def labels(class_names, num_classes):
    """The class names as a list, or None; several classes may share one."""
    names = None if class_names is None else list(class_names)
    if names is not None and len(names) != num_classes:
        raise UsageError(
            f"class_names has {len(names)} names but the model "
            f"{num_classes} classes; give one name for each class."
        )
    for name in names or ():
        if not isinstance(name, str) or name.splitlines() != [name]:
            raise UsageError(f"Class name {name!r} is not a line of text.")
    return names


def preprocess(given, image_shape):
    """`(Preprocess or None, image_shape)` of encoded images."""
    *sides, channels = image_shape
    if given is None:
        is_square = channels == 3 and sides[0] and sides[0] == sides[1]
        return Preprocess(*sides) if is_square else None, image_shape
    given = Preprocess.parse(given)
    wanted = (*(sides if given.side is None else [given.side] * 2), 3)
    if None in wanted:
        raise UsageError(
            f"preprocess={given} tells no size, and the model takes images "
            "of any size; give one such as resize256-crop224."
        )
    if not _fits(wanted, image_shape):
        raise UsageError(
            f"preprocess={given} gives images of {' x '.join(map(str, wanted))}"
            f", and the model takes {' x '.join(map(str, image_shape))}; give "
            f"one that does, or leave it out."
        )
    return given, wanted


def _fits(shape, image_shape):
    pairs = zip(image_shape, shape, strict=True)
    return all(side in (None, actual) for side, actual in pairs)


def check_images(images, numbers, image_shape, num_classes):
    """The given images, or noise; and their labels or None."""
    images = noise(image_shape) if images is None else np.asarray(images)
    fits = images.ndim == 4 and _fits(images.shape[1:], image_shape)
    if not fits or not len(images) or images.dtype != np.uint8:
        raise UsageError(
            f"check_images is {images.dtype} of shape {images.shape}; expected "
            f"uint8 (N, {', '.join(map(str, image_shape))}) with N >= 1."
        )
    if numbers is None:
        return images, None
    numbers = np.asarray(numbers)
    is_class = numbers.dtype.kind in "iu" and numbers.shape == images.shape[:1]
    if not is_class or numbers.min() < 0 or numbers.max() >= num_classes:
        raise UsageError(
            f"check_labels is {numbers.dtype} of shape {numbers.shape}; "
            f"expected {len(images)} class numbers from 0 to "
            f"{num_classes - 1}, one for each of check_images."
        )
    return images, numbers


def noise(image_shape):
    """uint8 images of noise, always the same."""
    sides = [side or _ANY_SIDE for side in image_shape]
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (_NOISE_IMAGES, *sides), dtype=np.uint8)


def batch_sizes(given, num_signatures):
    """Sorted tuple of the sizes that clients are told to expect."""
    sizes, most = set(given), _MAX_WARMUPS // num_signatures
    bad = [size for size in sizes if not is_whole(size) or size < 1]
    if bad or len(sizes) > most:
        raise UsageError(
            f"batch_sizes has {len(sizes)} sizes, wrong ones {bad}: give whole "
            f"numbers of at least 1, at most {most}, for TensorFlow Serving "
            f"warms up with no more."
        )
    return tuple(sorted(map(int, sizes)))
