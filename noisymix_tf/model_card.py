"""Model cards: the provenance of a saved model, in a file beside it.

`model.keras` has `model.card.json`: what the model is, how and on what it was
trained, with which versions, what was measured, and the SHA-256 of the file
that all this is about. A SavedModel carries the same in its `assets.extra`.
"""

import datetime
import json
import os
import pathlib

from noisymix_tf import provenance
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest, flush_folder, write_atomically
from noisymix_tf.models import keras_file
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights
from noisymix_tf.places import check_local

FORMAT = 1
IN_SAVED_MODEL = "assets.extra/model_card.json"

_FIXED = ("format", "created", "file", "versions", "model", "training")


def save(model, path, *, flags=None, dataset=None, metrics=None, **more):
    """Saves a classifier as `.keras`, together with its card.

    Either the old file and card stand there or the new ones, even if the
    process is killed in between. The same model gives the same bytes.

    Args:
        model: A built Keras model; of a `NoisyMix`, the classifier is saved,
            with the averaged weights where there are any to be evaluated.
        path: File to write, `*.keras`.
        flags, dataset, metrics, **more: Fields of the card; see `write`.

    Returns:
        The card, a dict.

    Raises:
        UsageError: The model or the path cannot be used.

    Example:

    >>> nm.save(trainer, "robust.keras", dataset=digits)
    """
    check_local(path=path)
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise UsageError(f"Cannot save to {str(path)!r}: give a name *.keras.")
    partial = path.with_name(f".{path.stem}.partial.keras")
    with evaluation_weights(model):
        fields = _fields(model, flags, dataset, metrics, more)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            keras_file.write(classifier_of(model), partial)
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


def write(path, model=None, *, flags=None, dataset=None, metrics=None, **more):
    """Writes the card of a file that is there already.

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

    Returns:
        The card, a dict.

    Raises:
        UsageError: There is no such file, the metrics are those of another
            model, or a field has a reserved name.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UsageError(f"{str(path)!r} is no file: save the model first.")
    fields = _fields(model, flags, dataset, metrics, more)
    card = _merged(path, path, fields, metrics)
    write_atomically(card_path(path), as_text(card))
    _pending(path).unlink(missing_ok=True)
    return card


def read(path):
    """The card of a model file, or of the folder of a SavedModel's version.

    Raises:
        UsageError: There is no card, or it is about another file.

    Example:

    >>> nm.model_card.read("run/model.keras")["metrics"]["clean"]["accuracy"]
    0.9861
    """
    path, place = pathlib.Path(path), card_path(path)
    if path.is_dir():
        place = path / IN_SAVED_MODEL
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


def describe(model):
    """The card, a dict, of a model or `NoisyMix` that is in no file."""
    return _present(_new() | _fields(model, None, None, None, {}))


def card_path(path):
    """Where the card of a model file lies: `model.card.json`."""
    return pathlib.Path(path).with_suffix(".card.json")


def as_text(card):
    """A card as it is written: sorted, one field a line."""
    return json.dumps(card, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _new():
    """What every new card begins with."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions = provenance.versions()
    return {"format": FORMAT, "created": now, "versions": versions}


def _fields(model, flags, dataset, metrics, more):
    """The parts of a card that are given; None takes one out."""
    for name in set(_FIXED) & more.keys():
        raise UsageError(
            f"A model card has its own field {name!r}: choose another name."
        )
    fields = {
        "flags": provenance.of_flags(flags),
        "dataset": provenance.of_dataset(dataset),
        "metrics": provenance.of_metrics(metrics),
        **{name: provenance.plain(value) for name, value in more.items()},
    }
    own = {} if model is None else provenance.of_model(model)
    return own | _present(fields)


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


def _pending(path):
    return path.with_name(f".{path.stem}.partial.card.json")
