"""Writes a classifier as a SavedModel that TensorFlow Serving can load.

`path/<version>/` appears whole or not at all: it is written under a name that
a server ignores, loaded back, compared with the Keras model, and only then
renamed. What it holds are plain TensorFlow functions, so that serving needs
neither this package nor Keras.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

SIGNATURES = Registry("signature")

# How many of the most probable classes a signature names.
_TOP = 5
# Side of the check images where a model takes images of any size.
_ANY_SIDE = 64


class ExportMismatch(RuntimeError):
    """A written SavedModel does not compute what the Keras model does."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: Folder of the new version.
        version: Its number.
        max_abs_difference: Largest difference of a probability, over the
            check images and all signatures, from the Keras model's.
    """

    path: pathlib.Path
    version: int
    max_abs_difference: float


@dataclasses.dataclass(frozen=True)
class Signature:
    """One way to call a served classifier.

    Attributes:
        build: Function of `(classify, image_shape)`: `classify` maps float32
            pixels 0..255 `[N, H, W, C]` to a dict of outputs, `image_shape` is
            `(H, W, C)`. Returns a `tf.function` with an input signature.
        encode: Function from a uint8 batch to the arguments, by name, with
            which a client would send it.
    """

    build: Callable
    encode: Callable


def _of_images(dtype):
    def build(classify, image_shape):
        spec = tf.TensorSpec([None, *image_shape], dtype, name="images")

        @tf.function(input_signature=[spec])
        def serve(images):
            return classify(tf.cast(images, tf.float32))

        return serve

    def encode(images):
        return {"images": tf.constant(images, dtype)}

    return Signature(build, encode)


SIGNATURES.register("serving_default")(_of_images(tf.uint8))
SIGNATURES.register("serving_float")(_of_images(tf.float32))


def export(
    model,
    path,
    *,
    class_names=None,
    tolerance=1e-5,
    check_images=None,
    card=None,
):
    """Writes a classifier to `path/<next version>/` for TensorFlow Serving.

    Signatures, each for a batch of any size under the input name `"images"`:
    `serving_default` takes uint8 pixels, `serving_float` float32 pixels 0..255.
    Outputs: `probabilities` float32 `[N, C]`; `classes` int32 `[N, k]`, the
    k = min(5, C) most probable classes in falling order; `logits` float32
    `[N, C]` where the model puts out logits; `labels` string `[N, k]`, the
    names of `classes`, where `class_names` is given. The names are also
    written to `assets.extra/labels.txt`, one a line, and the provenance of the
    model to `assets.extra/model_card.json` (see `noisymix_tf.model_card`).

    Args:
        model: A Keras classifier of one image input `[N, H, W, C]`, pixels
            0..255, and one output `[N, C]`: logits, or probabilities.
        path: Local folder of the served model; made if it does not exist.
        class_names: C strings, or `None`.
        tolerance: Largest accepted difference of a probability between the
            Keras model and the SavedModel, loaded back.
        check_images: uint8 `[N, H, W, C]` to compare on; noise if `None`.
        card: Card of the saved model, as `model_card.read` returns; by
            default a new one of what the model itself tells.

    Returns:
        An `Exported`.

    Raises:
        UsageError: If an argument cannot be used or the path not written, or
            inside the scope of a `tf.distribute` strategy.
        ExportMismatch: If the loaded SavedModel differs by more than
            `tolerance`. Like every failure it leaves nothing behind.

    Example:

    >>> export(model, "serving/digits", class_names="0123456789").version
    1
    """
    if tf.distribute.has_strategy():
        # A SavedModel loaded there could not be called to check it.
        raise UsageError(
            "export was called inside a tf.distribute strategy's scope; "
            "call it outside (the model may have been made inside)."
        )
    image_shape, num_classes = _shapes(model)
    labels = _checked_labels(class_names, num_classes)
    images = _checked_images(check_images, image_shape)
    card = model_card.describe(model) if card is None else card
    if not isinstance(card, dict):
        raise UsageError(
            f"card is {card!r}; give the dict that model_card.read returns."
        )
    outputs = model(images.astype(np.float32), training=False)
    is_probability = _are_probabilities(outputs)
    outputs = tf.cast(outputs, tf.float32).numpy()
    expected = outputs if is_probability else tf.nn.softmax(outputs).numpy()

    classify = _classifier(model, is_probability, labels)
    signatures = {
        name: signature.build(classify, image_shape).get_concrete_function()
        for name, signature in SIGNATURES.items()
    }
    module = tf.Module()
    # The variables alone: tracking the Keras model would store some of its
    # bookkeeping, and each variable twice.
    module.weights = [w.value for w in model.weights]

    with _new_version(path) as folder:
        tf.saved_model.save(module, os.fspath(folder), signatures=signatures)
        _write_extra(folder, labels, card)
        difference = _max_difference(folder, images, expected)
        if not difference <= tolerance:  # true of NaN, too
            raise ExportMismatch(
                f"The SavedModel differs from the Keras model by {difference} "
                f"in a probability; tolerance is {tolerance}. Nothing written."
            )
        target = _publish(folder)
    return Exported(target, int(target.name), difference)


def _classifier(model, is_probability, labels):
    """Returns the function from float32 pixels to the dict of outputs."""

    def classify(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        if is_probability:
            probabilities, results = outputs, {}
        else:
            probabilities = tf.nn.softmax(outputs)
            results = {"logits": outputs}
        top = tf.math.top_k(probabilities, min(_TOP, outputs.shape[-1]))
        results |= {"probabilities": probabilities, "classes": top.indices}
        if labels is not None:
            results["labels"] = tf.gather(tf.constant(labels), top.indices)
        return results

    return classify


def _shapes(model):
    """Returns `(image_shape, num_classes)` of a classifier."""
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"Model {getattr(model, 'name', model)!r} is no built Keras model "
            "of one input and one output; give a functional or Sequential one."
        )
    image, output = tuple(inputs[0].shape), tuple(model.outputs[0].shape)
    if len(image) != 4 or image[3] is None:
        raise UsageError(
            f"Model {model.name!r} takes inputs {image}; "
            "expected images (N, H, W, C)."
        )
    if len(output) != 2 or not output[1]:
        raise UsageError(
            f"Model {model.name!r} puts out {output}; "
            "expected logits or probabilities (N, C)."
        )
    return image[1:], output[1]


def _are_probabilities(outputs):
    """Whether every row is a distribution, as far as its precision tells."""
    slack = 1e-4 if outputs.dtype.size >= 4 else 1e-2
    outputs = tf.cast(outputs, tf.float32).numpy()
    off = np.abs(outputs.sum(axis=-1) - 1)
    return bool(np.all(outputs >= 0) and np.all(off < slack))


def _checked_labels(class_names, num_classes):
    if class_names is None:
        return None
    labels = list(class_names)
    if len(labels) != num_classes:
        raise UsageError(
            f"class_names has {len(labels)} names but the model "
            f"{num_classes} classes; give one name for each class."
        )
    for label in labels:
        if not isinstance(label, str) or label.splitlines() != [label]:
            raise UsageError(
                f"Class name {label!r} is not a line of text; give strings "
                "without line breaks."
            )
    return labels


def _checked_images(images, image_shape):
    if images is None:
        sides = [side or _ANY_SIDE for side in image_shape]
        noise = np.random.default_rng(0)
        return noise.integers(0, 256, (8, *sides), dtype=np.uint8)
    images = np.asarray(images)
    fits = images.ndim == 4 and all(
        side in (None, actual)
        for side, actual in zip(image_shape, images.shape[1:])
    )
    if not fits or not len(images) or images.dtype != np.uint8:
        raise UsageError(
            f"check_images is {images.dtype} of shape {images.shape}; expected "
            f"uint8 (N, {', '.join(map(str, image_shape))}) with N >= 1."
        )
    return images


def _write_extra(folder, labels, card):
    place = folder / model_card.IN_SAVED_MODEL
    place.parent.mkdir()
    place.write_text(model_card.as_text(card), encoding="utf-8")
    if labels is not None:
        text = "".join(f"{label}\n" for label in labels)
        (place.parent / "labels.txt").write_text(text, encoding="utf-8")


def _max_difference(folder, images, expected):
    # `loaded` owns the variables: the signatures alone do not keep them.
    loaded = tf.saved_model.load(os.fspath(folder))
    differences = []
    for name, signature in SIGNATURES.items():
        results = loaded.signatures[name](**signature.encode(images))
        gap = np.abs(results["probabilities"].numpy() - expected)
        differences.append(gap.max())
    return float(np.max(differences))


@contextlib.contextmanager
def _new_version(path):
    """A hidden folder in `path` to write to; a failure removes all traces."""
    path = os.fspath(path)
    if "://" in path:
        raise UsageError(f"Cannot export to {path!r}; give a local folder.")
    base = pathlib.Path(path)
    # A server takes folders with integer names only. Not `tempfile`, whose
    # folders none but their owner can read.
    folder = base / f".tmp-{uuid.uuid4().hex}"
    made = []
    try:
        made = [p for p in (base, *base.parents) if not p.exists()]
        folder.mkdir(parents=True)
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise UsageError(
                f"Cannot export to {path!r} ({error.strerror or error}); "
                "give a folder that can be written."
            ) from error
        raise


def _publish(folder):
    """Renames a finished folder to the next free version beside it."""
    while True:
        names = [p.name for p in folder.parent.iterdir()]
        versions = [int(n) for n in names if n.isascii() and n.isdigit()]
        target = folder.parent / str(max(versions, default=0) + 1)
        try:
            return folder.rename(target)
        except OSError:
            # Another export took the number in the meantime.
            if not target.exists():
                raise
