"""The classifiers of `keras.applications`, as networks of this package."""

import difflib
import sys
import warnings

from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import keras
from noisymix_tf.models.graph import head_of
from noisymix_tf.models.pretrained import (
    IMAGENET,
    NO_WEIGHTS,
    adapted,
    default_seeds,
)

PREFIX = "applications/"
# Classes of ImageNet, for which all of them are published.
_PUBLISHED = 1000
_CHANNELS = 3


def build(
    name,
    *,
    input_shape=(224, 224, _CHANNELS),
    num_classes=_PUBLISHED,
    width=1.0,
    dropout=None,
    seed=0,
    weights=NO_WEIGHTS,
) -> "keras.Model":
    """A classifier of `keras.applications`, from pixels 0..255 to logits.

    The network's own `preprocess_input` is inside. As
    `noisymix_tf.models.build`, it is a pure function of its arguments.

    Args:
        name: `"ResNet50"`, with or without `"applications/"` in front.
        input_shape: `(height, width, 3)`; a side may be `None` where the
            network pools over all of the image.
        num_classes, seed: See `noisymix_tf.models.build`.
        width, dropout: Of other networks; here they are refused.
        weights: `"imagenet"`; a file of weights of the network, with as many
            classes, with 1,000 or without its top; or `"none"`. What the
            weights are not for, a head for other classes, is new.
    """
    function = _function(name.removeprefix(PREFIX))
    for word, value, usual in (("width", width, 1), ("dropout", dropout, None)):
        if value not in (None, usual):
            raise UsageError(
                f"{word}={value} does nothing to {name!r}: leave it out."
            )
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] != _CHANNELS:
        raise UsageError(
            f"{name!r} takes colour images, not input_shape={shape}: give "
            f"images of {_CHANNELS} channels, or another model."
        )
    with default_seeds(seed):
        images = keras.Input(shape, name="images")
        prepare = sys.modules[function.__module__].preprocess_input
        pixels = prepare(images)
        if pixels is not images:
            # A model of its own has a name that can be said of a tap.
            pixels = keras.Model(images, pixels, name="preprocess")(images)
        network = _made(function, name, pixels, True, num_classes)
        if weights != NO_WEIGHTS:
            _set_weights(network, function, name, weights, pixels)
    return adapted(network, num_classes, seed=seed, name=name)


def _function(name):
    names = sorted(n for n in dir(keras.applications) if n[:1].isupper())
    if name in names:
        return getattr(keras.applications, name)
    close = difflib.get_close_matches(name, names, 3, 0.5) or names
    raise UsageError(
        f"keras.applications has no network {name!r}: give applications/ and "
        f"one of {', '.join(close)}."
    )


def _made(function, name, pixels, with_top, num_classes):
    """The network, new, of preprocessed pixels, a symbolic tensor."""
    options = {"weights": None, "input_tensor": pixels}
    options["include_top"] = with_top
    if with_top:
        options["classes"] = num_classes
    if None not in pixels.shape[1:]:
        # Else the smallest size would not be checked.
        options["input_shape"] = tuple(pixels.shape[1:])
    try:
        return function(**options)
    except Exception as error:  # Each has words of its own.
        height, width = pixels.shape[1:3]
        raise UsageError(
            f"{name} cannot be built for images of {height} x {width} pixels "
            f"({one_line(error)}): give images of another size."
        ) from error


def _set_weights(network, function, name, weights, pixels):
    """Gives a new network the weights that are for it."""
    if weights == IMAGENET:
        source = _downloaded(network, function)
    else:
        source = _read(network, function, name, weights, pixels)
    head = head_of(network)
    classes = [model.outputs[0].shape[-1] for model in (network, source)]
    pairs = ([x for x in m.layers if x.weights] for m in (network, source))
    try:
        # What a source without a top lacks stands behind all that it has.
        for mine, other in zip(*pairs):
            if mine is not head or classes[0] == classes[1]:
                mine.set_weights(other.get_weights())
    except ValueError as error:
        raise UsageError(
            f"--weights={weights} is for images of another size than "
            f"{name} is built for ({one_line(error)}): give images of the "
            f"size that it was trained on."
        ) from error


def _downloaded(network, function):
    with_top = network.outputs[0].shape[-1] == _PUBLISHED
    try:
        # Of the size of images, which is not needed.
        with warnings.catch_warnings(action="ignore"):
            return function(weights=IMAGENET, include_top=with_top)
    except Exception as error:  # Of the net, the disk, the file.
        raise UsageError(
            f"--weights={IMAGENET} cannot be had ({one_line(error)}): give "
            f"--weights=FILE of a copy, or put Keras' file in models/ of its "
            f"folder ~/.keras (KERAS_HOME)."
        ) from error


def _read(network, function, name, path, pixels):
    """The network in the form that a file of weights is for."""
    own = network.outputs[0].shape[-1]
    for with_top, classes in ((True, own), (True, _PUBLISHED), (False, None)):
        source = _made(function, name, pixels, with_top, classes)
        if _fits(source, path):
            return source
    raise UsageError(
        f"--weights={path} is no file of weights of {name} for {own} classes, "
        f"for {_PUBLISHED:,} or without its top: give a .weights.h5 or .h5 "
        f"file that model.save_weights wrote."
    )


def _fits(model, path):
    """Whether a file is of a model's weights, which are then loaded."""
    import h5py  # After Keras, which needs it.

    try:
        with warnings.catch_warnings(action="ignore"):
            model.load_weights(path)
        # That a file holds more, a top, Keras only says of the older form.
        names = []
        with h5py.File(path) as file:
            file.visit(names.append)
    except Exception:  # Whatever other files lead to.
        return False
    names = [name for name in names if "/vars/" in name and "seed" not in name]
    return len(names) in (0, len(model.weights))
