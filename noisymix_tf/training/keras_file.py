"""`.keras` files that depend on nothing but the model."""

import contextlib
import json
import pathlib
import shutil
import zipfile

from noisymix_tf.training.checkpoint_files import flush

# Earliest date that a zip file can hold.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_NO_DATE_TEXT = "1980-01-01@00:00:00"


def write(model, path):
    """Saves a Keras model so that equal models give equal bytes.

    Keras' own files also hold the date, and identities of Python objects,
    which differ from process to process. Here the date is a constant and shared
    objects are numbered as they appear; apart from that it is Keras' file, and
    `keras.models.load_model` reads it. It has reached the disk on return.

    Args:
        model: A built Keras model.
        path: File to write.
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
        with contextlib.suppress(OSError):
            raw.unlink()


def _copy(source, entry, target):
    copied = zipfile.ZipInfo(entry.filename, _NO_DATE)
    copied.external_attr = 0o600 << 16
    content = {"config.json": _config, "metadata.json": _metadata}.get(
        entry.filename
    )
    if content is not None:
        text = json.dumps(content(json.loads(source.read(entry))))
        target.writestr(copied, text)
        return
    copied.file_size = entry.file_size
    with source.open(entry) as reader, target.open(copied, "w") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def _metadata(metadata):
    return {**metadata, "date_saved": _NO_DATE_TEXT}


def _config(config):
    """Numbers shared objects in the order of their appearance."""
    numbers = {}

    def renumber(value):
        if isinstance(value, list):
            return [renumber(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: numbers.setdefault(item, len(numbers))
            if key == "shared_object_id"
            else renumber(item)
            for key, item in value.items()
        }

    return renumber(config)
