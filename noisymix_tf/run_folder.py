"""The directory of a run: who it belongs to, and what lies where in it."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil

from noisymix_tf import files, model_card
from noisymix_tf.data import folder
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import locate

# What is compared of the training data, in this order, and what it is called.
_OF_DATA = {
    "images": "number of images",
    "classes": "classes",
    "names": "names of files",
    "labels": "labels",
    "contents": "contents",
    "reading": "way of reading files",
    "times": "times of change of files",
}


class RunFolder:
    """What lies where in the directory of a run.

    Args:
        path: The directory.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.views = self.path / "views.png"
        self.model = self.path / "model.keras"
        self.evaluation = self.path / "evaluation"
        self.saved_model = self.path / "saved_model"

    def has_export(self, fingerprint):
        """Whether a SavedModel of the model has been written."""
        return any(
            model_card.read(entry)["model"]["fingerprint"] == fingerprint
            for entry in self.saved_model.glob("*")
            if entry.name.isdigit()
        )


@contextlib.contextmanager
def opened(config, dataset=None):
    """The `RunFolder` of one configuration, in which no other process writes.

    The effective flags are written to `flags.txt` when the directory is first
    used, and what the training data is to `data.json`; afterwards only the
    same configuration may continue there, on the same data.

    Args:
        config: The options of the run.
        dataset: The `noisymix_tf.data.Dataset` that is trained on, if any.

    Raises:
        UsageError: As `files.claimed`; or it belongs to a different
            configuration or to other data.

    Example:

    >>> with run_folder.opened(config) as folder:
    ...     noisymix_tf.save(model, folder.model)
    """
    with files.claimed(config.output_dir, *_claim(config)) as path:
        folder = RunFolder(path)
        try:
            _describe(path, config, dataset)
        except OSError as error:
            raise UsageError(
                f"--output_dir={path} cannot be written ({error.strerror}); "
                f"name a writable directory."
            ) from error
        for unfinished in folder.saved_model.glob(".tmp-*"):
            shutil.rmtree(unfinished)
        yield folder


def check(config):
    """Raises what `opened` would, as far as reading can tell."""
    files.check_claim(config.output_dir, *_claim(config))


def _claim(config):
    return "run", "flags.txt", lambda path: check_flags(path, config)


def _describe(path, config, dataset):
    data = None if dataset is None else checked_data(path, dataset)
    # Rewritten also for a continued run: it proves that the directory is
    # writable, and free flags may have changed.
    lines = [line for line in config.flags().values() if line is not None]
    files.write_atomically(path / "flags.txt", "\n".join(lines) + "\n")
    if data is not None:
        text = json.dumps(data, indent=1) + "\n"
        files.write_atomically(path / "data.json", text)


def check_flags(path, config):
    """Checks that a directory's run is of a configuration.

    Args:
        path: Directory of a run, which has its `flags.txt`.
        config: The `Config`; its free flags may differ, and with --extend it
            may have more epochs.

    Raises:
        UsageError: It holds a run of another configuration, or the file is
            damaged.
    """
    lines = flag_lines(pathlib.Path(path) / "flags.txt")
    # A flag that an older version did not have counts as its default.
    before = type(config)().flags()
    before |= {flag_name(line): line for line in lines if line}
    differing = {}
    for name, line in config.flags(with_free=False).items():
        if before.get(name) != line:
            old = before.get(name) or f"--{name} not set"
            differing[name] = f"{line or f'--{name} not set'} (was {old})"
    epochs = str(flag_value(before.get("epochs")))
    # A toy's run has epochs, but cannot be extended.
    grows = hasattr(config, "extend") and epochs.isdecimal()
    grows = grows and int(epochs) < config.epochs
    if grows and config.extend:
        differing.pop("epochs")
    if differing:
        hint = " --extend goes on with it." * (list(differing) == ["epochs"])
        raise UsageError(
            f"--output_dir={path} holds a run of another configuration: "
            f"{'; '.join(differing.values())}. Name another directory, or give "
            f"the same flags.{hint * grows}"
        )


def checked_data(path, dataset):
    """What is kept of the data of a run, checked against what was kept.

    Files that differ in nothing but their times of change, as copies do, are
    the same data where all their bytes are: few files are read for this.

    Args:
        path: Directory of the run.
        dataset: The `noisymix_tf.data.Dataset` that is trained on.

    Returns:
        Dict of JSON values for `data.json`.

    Raises:
        UsageError: The run has been trained on other data.
    """
    place, paths = pathlib.Path(path) / "data.json", dataset.train.files
    found = {
        **dataclasses.asdict(dataset.train.identity),
        "classes": [str(name) for name in dataset.class_names],
    }
    if not place.exists():
        known = paths and folder.few(paths)
        return {**found, "bytes": _bytes(paths) if known else None}
    try:
        before = dict(json.loads(place.read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{place} is damaged: remove it, if the data is the same as when "
            f"the run began."
        ) from error
    changed = [n for n in _OF_DATA if found[n] != before.get(n)]
    if not changed:
        return before
    same = changed == ["times"] and before.get("bytes") is not None
    if same and _bytes(paths) == before["bytes"]:
        return {**found, "bytes": before["bytes"]}
    raise UsageError(
        f"--output_dir={path} holds a run on other training data than there is "
        f"now: {_change(changed[0], found, before)}. Put the data back as it "
        f"was, or name another directory to train on what there is."
        + (
            f" If these are copies of the same files, remove {place}."
            if changed == ["times"] and before.get("bytes") is None
            else ""
        )
    )


def _change(name, found, before):
    """What has changed in words, with both values where they are short."""
    now, then = found[name], before.get(name)
    if name == "images":
        return f"{now} training images (was {then})"
    if name == "classes" and isinstance(then, list):
        new = [c for c in now if c not in then] or now
        old = [c for c in then if c not in now] or then
        return f"classes {', '.join(new[:5])} (was {', '.join(old[:5])})"
    if name == "times" and before.get("bytes") is not None:
        name = "contents"
    return f"other {_OF_DATA[name]}"


def flags_of_model(path):
    """The flags of the run that a model comes from.

    Args:
        path: Directory of a run, or a model with a card.

    Returns:
        `{name: value}` of those that are set, values as on a command line; an
        empty dict where there is no such run.

    Raises:
        UsageError: There is no model there.
    """
    flagfile, card = pathlib.Path(path) / "flags.txt", _card(path)
    lines = flag_lines(flagfile) if flagfile.is_file() else card.get("flags")
    if not isinstance(lines, list):
        return {}
    return {flag_name(line): flag_value(line) for line in lines if line}


def classes_of_model(path):
    """Names of the classes that a model knows by its card; None without.

    Args:
        path: Directory of a run, or a model.

    Raises:
        UsageError: There is no model there.
    """
    dataset = _card(path).get("dataset")
    return dataset.get("class_names") if isinstance(dataset, dict) else None


def _card(path):
    """The card of a model, which has to be there; an empty dict without."""
    place = locate(path)
    try:
        return model_card.read(place)
    except UsageError:
        return {}


def flag_lines(file):
    """The lines of a run's flags.txt."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"{file} cannot be read ({reason}), so that nothing tells which "
            f"run {file.parent} holds: put the file back, or name another "
            f"directory."
        ) from error


def flag_value(line):
    """`"3"` of `--epochs=3`, `"true"` of `--flip`; None of None."""
    if line is None:
        return None
    name, equals, value = line.removeprefix("--").partition("=")
    if equals:
        return value
    return "false" if name.startswith("no") else "true"


def flag_name(line):
    """The flag's name in `--name=value`, `--name` or `--noname`."""
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals or not name.startswith("no") else name[2:]


def _bytes(files):
    """Hash of all that some files hold, which has to be read."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
