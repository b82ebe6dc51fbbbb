"""What an export is given: a model by its path, and checks of the rest."""

import contextlib
import dataclasses
import pathlib

import numpy as np

from noisymix_tf import command_line, model_card
from noisymix_tf.checks import is_whole
from noisymix_tf.config import Config
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import SavedModel, load_classifier
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder

# TensorFlow Serving refuses a model with more requests than this to warm up.
_MAX_WARMUPS = 1000
# Side and number of the images of noise, where none are given.
_ANY_SIDE, _NOISE_IMAGES = 64, 32


def load(path, weights="saved") -> tuple:
    """Loads a `.keras` file, or the `--weights` of a run, for export.

    Returns `(model, card, config)`: a Keras classifier, or the `NoisyMix`
    around it; its card and the `Config` of its run, where they are known. A
    `UsageError` says what is not there.
    """
    path = pathlib.Path(path)
    saved, best = path / "model.keras", path / "best.keras"
    needed = {"saved": (), "best": (saved, best)}.get(weights, (saved,))
    for file in needed:
        if not file.is_file():
            raise UsageError(
                f"--weights={weights} is for the directory of a finished run "
                f"(best, where a callbacks.BestCheckpoint wrote it), and "
                f"{str(path)!r} has no {file.name}: leave it out."
            )
    model = load_classifier(best if weights == "best" else path)
    if isinstance(model, SavedModel):
        raise UsageError(
            f"{str(path)!r} is a SavedModel already: give the .keras file or "
            f"the run that it was made of."
        )
    card, config = model_card.found(saved if saved.is_file() else path), None
    if isinstance(card.get("flags"), list):
        # Those of another program, or version, are not known.
        with contextlib.suppress(UsageError):
            config = command_line.parse_words(card["flags"], Config)
    if weights == "saved":
        return model, card or None, config
    # What a card says of a run, whichever its weights.
    told = {key: card[key] for key in ("flags", "dataset") if key in card}
    own = model_card.found(best) if weights == "best" else {}
    if weights != "best":
        model = _of_checkpoint(path, model, config, weights == "ema")
    return model, told | (own or model_card.describe(model)), config


def _of_checkpoint(run, model, config, ema):
    """A trainer with the state of the newest checkpoint of a run."""
    lacks = None if config else "known flags (see its model.card.json)"
    if config and ema and not config.ema:
        lacks = "average of its weights (--ema=0)"
    if not lacks:
        # They say how steps are carried out, not what a state consists of.
        config = dataclasses.replace(
            config, steps_per_execution=1, checkpoint_steps=0
        )
        trainer = setup.trainer(config, model, steps_per_epoch=1)
        step, _ = CheckpointFolder(run / "checkpoints").restore(trainer)
        trainer.tuning.leave()
        lacks = None if step else "checkpoint"
    if lacks:
        raise UsageError(f"The run {run} has no {lacks}: give --weights=saved.")
    trainer.evaluate_ema = ema
    return trainer


def shapes(model) -> tuple[tuple, int]:
    """Returns `(image_shape, num_classes)` of a classifier."""
    sides = [getattr(model, name, None) or () for name in ("inputs", "outputs")]
    found = [tuple(tensor.shape) for side in sides for tensor in side]
    ranks = [len(shape) for shape in found]
    if ranks != [4, 2] or None in (found[0][3], found[1][1]):
        raise UsageError(
            f"Model {getattr(model, 'name', model)!r} is no built Keras model "
            f"of one input and one output (it has {found}): "
            f"expected images (N, H, W, C), and of them logits or "
            f"probabilities (N, K)."
        )
    return found[0][1:], found[1][1]


def labels(class_names, num_classes) -> list[str] | None:
    """The class names as a list, or None; several classes may share one."""
    if class_names is None:
        return None
    names = list(class_names)
    if len(names) != num_classes:
        raise UsageError(
            f"class_names has {len(names)} names but the model "
            f"{num_classes} classes; give one name for each class."
        )
    for name in names:
        if not isinstance(name, str) or name.splitlines() != [name]:
            raise UsageError(f"Class name {name!r} is not a line of text.")
    return names


def preprocess(given, image_shape) -> tuple[Preprocess | None, tuple]:
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


def check_images(
    images, numbers, image_shape, num_classes
) -> tuple[np.ndarray, np.ndarray | None]:
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


def noise(image_shape) -> np.ndarray:
    """uint8 images of noise, always the same."""
    sides = [side or _ANY_SIDE for side in image_shape]
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (_NOISE_IMAGES, *sides), dtype=np.uint8)


def batch_sizes(given, num_signatures) -> tuple[int, ...]:
    """The sizes that clients are told to expect, sorted."""
    sizes = set(given) if np.iterable(given) else {f"{given}, no list"}
    most = _MAX_WARMUPS // num_signatures
    bad = [size for size in sizes if not is_whole(size) or size < 1]
    if bad or len(sizes) > most:
        raise UsageError(
            f"batch_sizes has {len(sizes)} sizes, wrong ones {bad}: give a "
            f"list of whole numbers of at least 1, at most {most}, for "
            f"TensorFlow Serving warms up with no more."
        )
    return tuple(sorted(map(int, sizes)))
