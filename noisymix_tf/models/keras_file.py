"""Keras' files: read with clear errors, written the same for the same model."""

import json
import pathlib
import shutil
import zipfile

from noisymix_tf.errors import UsageError
from noisymix_tf.files import flush

# Earliest date that a zip file can hold.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_DAMAGED = "the file is damaged or cut short"


def read(path):
    """Loads a Keras model, not compiled, out of a `.keras` or `.h5` file.

    Raises:
        UsageError: If it cannot be loaded.
    """
    import keras

    # Registers the layers that a model of ours may hold.
    from noisymix_tf import layers  # noqa: F401

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Whatever a damaged or foreign file leads to.
        why, advice = reason(path, error), "write it anew"
        if why != _DAMAGED:
            advice += ", or import the module of its own layers first"
        raise UsageError(
            f"The model {str(path)!r} cannot be loaded ({why}): {advice}."
        ) from error


def reason(path, error):
    """Why a Keras file could not be loaded, in one line."""
    path = pathlib.Path(path)
    # Of a file that was cut short Keras says that there is none.
    if path.suffix == ".keras" and path.is_file():
        try:
            with zipfile.ZipFile(path) as file:
                is_damaged = file.testzip() is not None
        except Exception:  # Whatever damage leads to.
            is_damaged = True
        if is_damaged:
            return _DAMAGED
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


def write(model, path):
    """Saves a Keras model so that equal models give equal bytes.

    Keras' own files also hold the date, and identities of Python objects,
    which differ from process to process. Here the date is a constant and shared
    objects are numbered as they appear; apart from that it is Keras' file, and
    `keras.models.load_model` reads it. It has reached the disk on return.
    """
    path = pathlib.Path(path)
    raw = path.with_name(f".{path.stem}.raw.keras")
    try:
        model.save(raw)
        with zipfile.ZipFile(raw) as source, open(path, "wb") as file:
            with zipfile.ZipFile(file, "w") as target:
                for entry in source.infolist():
                    _copy(source, entry, target)
            flush(file)
    finally:
        raw.unlink(missing_ok=True)


def _copy(source, entry, target):
    copied = zipfile.ZipInfo(entry.filename, _NO_DATE)
    copied.external_attr = 0o600 << 16
    if entry.filename in ("config.json", "metadata.json"):
        content = _same(json.loads(source.read(entry)), {})
        if "date_saved" in content:
            content["date_saved"] = "1980-01-01@00:00:00"
        target.writestr(copied, json.dumps(content))
        return
    copied.file_size = entry.file_size
    with source.open(entry) as reader, target.open(copied, "w") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def _same(value, numbers):
    """JSON with shared objects numbered as they appear."""
    if isinstance(value, list):
        return [_same(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    same = {}
    for key, item in value.items():
        if key == "shared_object_id":
            same[key] = numbers.setdefault(item, len(numbers))
        else:
            same[key] = _same(item, numbers)
    return same
