"""Model cards: the provenance of a saved model, in a file beside it.

`model.keras` has `model.card.json`: what the model is, how and on what it was
trained, with which versions and on which machine, what was measured, and the
SHA-256 of the file that all this is about. A SavedModel carries the same in its
`assets.extra`.
"""

import collections.abc
import datetime
import importlib.metadata
import json
import numbers
import os
import pathlib
import platform

import numpy as np

from noisymix_tf import __version__, provenance
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest, flush_folder, write_atomically
from noisymix_tf.lazy import keras, tf
from noisymix_tf.models import classifier as classifier_files
from noisymix_tf.models import taps
from noisymix_tf.models.graph import Graph
from noisymix_tf.models.unwrap import (
    classifier_of,
    evaluation_weights,
    model_fingerprint,
    step_of,
)
from noisymix_tf.places import at_home, check_local
from noisymix_tf.private import is_graph

FORMAT = 1
IN_SAVED_MODEL = f"{classifier_files.EXTRA}/model_card.json"
_FIXED = ("format", "created", "file", "model", "training")
_FIXED += ("versions", "machine")
# More class names than this would be most of a card.
_MAX_CLASS_NAMES = 1000
# What `get_config` says of every Keras layer.
_OF_ANY_LAYER = ("model", "name", "trainable", "dtype")
# Constants of layers: x * scale + offset, (x - mean) / sqrt(variance).
_NORMALIZING = {
    "Rescaling": ("scale", "offset"),
    "Normalization": ("mean", "variance"),
}


def save(
    model, path, *, flags=None, dataset=None, metrics=None, **more
) -> dict:
    """Saves a classifier as `.keras`, together with its card.

    Either the old file and card stand there or the new ones, even if the
    process is killed in between. The same model gives the same bytes.

    Args:
        model: A built Keras model; of a `NoisyMix`, the classifier is saved,
            with the averaged weights where those are evaluated.
        path: File to write, `*.keras`.
        flags, dataset, metrics, **more: Fields of the card; see `write`.

    Returns the card; a `UsageError` if the model or the path cannot be used.
    Example: `nm.save(trainer, "robust.keras", dataset=digits)`.
    """
    path = checked_path(path)
    partial = path.with_name(f".{path.stem}.partial.keras")
    with evaluation_weights(model):
        fields = _fields(model, flags, dataset, metrics, more)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            classifier_files.write(classifier_of(model), partial)
            card = _merged(path, partial, fields, metrics)
            # The new card waits beside the old pair: whoever reads takes the
            # one of the two cards that belongs to the file.
            write_atomically(_pending(path), as_text(card))
            os.replace(partial, path)
            os.replace(_pending(path), card_path(path))
            flush_folder(path.parent)
        except OSError as error:
            raise UsageError(
                f"Cannot save to {str(path)!r} ({error.strerror or error}): "
                f"give a file in a folder that can be written."
            ) from error
        finally:
            if partial.is_file():
                partial.unlink()
    return card


def checked_path(path) -> pathlib.Path:
    """A path on this machine that a model can be saved to, or `UsageError`."""
    check_local(path=path)
    path = pathlib.Path(at_home(path))
    if path.suffix != ".keras":
        raise UsageError(f"Cannot save to {str(path)!r}: give a name *.keras.")
    return path


def write(
    path, model=None, *, flags=None, dataset=None, metrics=None, **more
) -> dict:
    """Writes the card of a file that is there already, and returns it.

    What is not given stays as it is in the card of the same file, so that a
    card can be completed: `write("model.keras", metrics=results)`.

    Args:
        path: File of the model.
        model: The Keras model or `NoisyMix` in it: for the sections on the
            model and its training.
        flags: List or dict of the run's flags, or its `Config`.
        dataset: `noisymix_tf.data.Dataset`, a name, or a dict.
        metrics: `Results` of `noisymix_tf.evaluate`, or a dict.
        **more: Further fields, anything that JSON can hold.

    A `UsageError` if there is no such file, the metrics are those of another
    model, or a field has a reserved name.
    """
    path = pathlib.Path(at_home(path))
    if not path.is_file():
        raise UsageError(f"{str(path)!r} is no file: save the model first.")
    fields = _fields(model, flags, dataset, metrics, more)
    card = _merged(path, path, fields, metrics)
    write_atomically(card_path(path), as_text(card))
    _pending(path).unlink(missing_ok=True)
    return card


def read(path) -> dict:
    """The card of a model file, or of the folder of a SavedModel's version.

    A `UsageError` where there is no card, or it is about another file. Example:
    `nm.model_card.read("run/model.keras")["metrics"]["clean"]["accuracy"]`.
    """
    path = pathlib.Path(at_home(path))
    place = path / IN_SAVED_MODEL if path.is_dir() else card_path(path)
    card = _load(place) if path.is_dir() else _card_of(path, path)
    if card is None:
        state = "does not exist"
        if place.exists():
            state = f"is not the card of {path.name} as it is now"
        raise UsageError(
            f"{str(path)!r} has no model card ({place} {state}): save with "
            "noisymix_tf.save, or write one with noisymix_tf.model_card.write."
        )
    if card["format"] > FORMAT:
        raise UsageError(
            f"{place} has format {card['format']}, this version reads up to "
            f"{FORMAT}: update noisymix_tf."
        )
    return card


def found(path) -> dict:
    """As `read`; an empty dict where there is no card that it can read."""
    try:
        return read(path)
    except UsageError:
        return {}


def describe(model) -> dict:
    """The card of a model or `NoisyMix` that is in no file."""
    return _present(_new() | _fields(model, None, None, None, {}))


def card_path(path) -> pathlib.Path:
    """Where the card of a model file lies: `model.card.json`."""
    return pathlib.Path(path).with_suffix(".card.json")


def as_text(card) -> str:
    """A card as it is written: sorted, one field a line."""
    return json.dumps(card, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _pending(path):
    return path.with_name(f".{path.stem}.partial.card.json")


def _new():
    """What every new card begins with."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"format": FORMAT, "created": now, **_here()}


def _fields(model, flags, dataset, metrics, more):
    """The parts of a card that are given; None takes one out."""
    for name in set(_FIXED) & more.keys():
        raise UsageError(
            f"A model card has its own field {name!r}: choose another name."
        )
    if hasattr(flags, "flags"):
        flags = [line for line in flags.flags().values() if line is not None]
    given = {"flags": flags, "dataset": dataset_fields(dataset)}
    given |= {"metrics": _figures(metrics), **more}
    own = {} if model is None else _model_fields(model)
    return own | _present({name: plain(part) for name, part in given.items()})


def _present(fields):
    return {name: part for name, part in fields.items() if part is not None}


def _merged(path, content, fields, metrics):
    """The card of the bytes in `content`, which will lie at `path`."""
    card = _card_of(path, content)
    if card is None:
        digest = file_digest(content)
        card = _new() | {"file": {"name": path.name, "sha256": digest}}
    card = _present(card | fields)
    if hasattr(metrics, "report") and "model" in card:
        measured, described = metrics.report.model, card["model"]["fingerprint"]
        if measured != described:
            raise UsageError(
                f"The metrics are those of the model {measured}, the card is "
                f"about the model {described}: evaluate the saved model."
            )
    return card


def _card_of(path, content):
    """The card at `path` that is about the bytes in `content`, or `None`."""
    if content.is_file():
        digest = file_digest(content)
        for card in map(_load, (card_path(path), _pending(path))):
            if card and card.get("file", {}).get("sha256") == digest:
                return card
    return None


def _load(place):
    """A card's dict, or `None` where there is none."""
    try:
        card = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_card = isinstance(card, dict) and isinstance(card.get("format"), int)
    return card if is_card else None


def _here():
    """The machine, and versions of all that takes part, None for none."""
    found = {"noisymix_tf": __version__, "commit": provenance.commit()}
    found["python"] = platform.python_version()
    for module in (tf, keras, np):
        found[module.__name__] = module.__version__
    for name in ("keras-cv", "tensorflow-datasets"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {"versions": found, "machine": provenance.machine()}


def _model_fields(model):
    """What a built model or `NoisyMix` is, and how it was trained."""
    classifier = classifier_of(model)
    if not getattr(classifier, "built", False):
        raise UsageError(
            f"{getattr(model, 'name', model)!r} is no built Keras model: give "
            f"a model that has seen its first batch."
        )
    inputs = getattr(classifier, "inputs", None) or ()
    outputs = getattr(classifier, "outputs", None) or ()
    training = None
    if getattr(model, "compiled", False):
        training = {"optimizer": model.optimizer, "loss": model.loss}
        training["steps"] = step_of(model)
        if classifier is not model:
            config = model.get_config().items()
            config = {k: v for k, v in config if k not in _OF_ANY_LAYER}
            training |= {"method": "NoisyMix", "hyperparameters": config}
    words = (
        "Takes pixels 0..255 as they are; they are normalised inside the model."
    )
    if not normalises(classifier):
        words = "The model has no layer that normalises pixels."
    return {
        **_here(),
        "preprocessing": words,
        "training": plain(training),
        "model": {
            "name": classifier.name,
            "class": type(classifier).__name__,
            "input_shape": list(inputs[0].shape[1:]) if inputs else None,
            "num_classes": outputs[0].shape[-1] if outputs else None,
            "parameters": classifier.count_params(),
            "fingerprint": model_fingerprint(classifier),
        },
    }


def normalises(classifier) -> bool:
    """Whether a model normalises pixels, as far as it tells."""
    outputs = getattr(classifier, "outputs", None) or ()
    if normalisation(classifier) or len(outputs) != 1:
        return bool(normalisation(classifier))
    return is_graph(classifier) and taps.normalises(Graph(classifier))


def normalisation(classifier) -> list[dict]:
    """The layers that normalise pixels, each with its constants, as JSON."""
    return [
        {"layer": layer.name, "class": kind}
        | {
            name: np.asarray(getattr(layer, name)).ravel().tolist()
            for name in _NORMALIZING[kind]
        }
        for layer in classifier._flatten_layers(include_self=False)
        if (kind := type(layer).__name__) in _NORMALIZING
    ]


def dataset_fields(dataset):
    """What a card says of a `Dataset`, a name, or fields of the user's own."""
    if isinstance(dataset, str):
        return {"name": dataset}
    if dataset is None or isinstance(dataset, collections.abc.Mapping):
        return dataset
    fields = {
        "name": dataset.name,
        "train_examples": len(dataset.train),
        "test_examples": len(dataset.test),
        "image_shape": dataset.image_shape,
        "num_classes": dataset.num_classes,
    }
    if dataset.num_classes <= _MAX_CLASS_NAMES:
        fields["class_names"] = dataset.class_names
    rule = preprocess_of(dataset)
    return fields | ({"preprocess": str(rule)} if rule else {})


def preprocess_of(dataset):
    """How its test images came to size; None where they are as stored."""
    rule = getattr(dataset.test, "preprocess", None)
    return rule if rule and rule.side is not None else None


def _figures(metrics):
    """Figures of `Results` by section, with the images; of a dict itself."""
    if metrics is None or isinstance(metrics, collections.abc.Mapping):
        return metrics
    sections = {}
    for section in metrics.report.sections:
        # Seconds are about the machine, not the model.
        shown = {f.key: f.value for f in section.figures if f.kind != "seconds"}
        if shown:
            for name in ("n", "source", "origin"):
                shown[name] = getattr(section, name)
            notes = {"notes": section.notes} if section.notes else {}
            sections[section.name] = shown | notes
    return sections


def plain(value):
    """A value as JSON has it: Keras objects by class, inf and nan as words."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        value = float(value)
        if not np.isfinite(value):
            return str(value)
        # Without the digits that float32 put there.
        single = np.float32(value)
        return float(str(single)) if float(single) == value else value
    if isinstance(value, collections.abc.Mapping):
        if value.get("class_name") == "function":
            return value["config"]
        if {"class_name", "config"} <= value.keys():
            value = {"class": value["class_name"], **(value["config"] or {})}
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {"class": type(value).__name__, **plain(value.get_config())}
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    # Not `repr`, which may name an address.
    return getattr(value, "__name__", type(value).__name__)
