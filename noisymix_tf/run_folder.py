"""The directory of a run: who it belongs to, and what lies where in it."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator

from noisymix_tf import files, model_card, pictures
from noisymix_tf.data import folder, identity
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import is_version, locate
from noisymix_tf.places import unwritable

# What is compared of the training data, in this order, and what it is called.
_OF_DATA = {
    "images": "number of images",
    "classes": "classes",
    "names": "names of files",
    "labels": "labels",
    "contents": "contents",
    "reading": "way of reading files",
    "times": "times of change of files",
    "mixed_with": "pictures in --mixing_dir",
}


class RunFolder:
    """What lies where in the directory of a run."""

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.views = self.path / "views.png"
        self.model = self.path / "model.keras"
        self.evaluation = self.path / "evaluation"
        self.saved_model = self.path / "saved_model"

    def has_export(self, fingerprint: str) -> bool:
        """Whether a SavedModel of the model has been written."""
        return any(
            model_card.found(entry).get("model", {}).get("fingerprint")
            == fingerprint
            for entry in filter(is_version, self.saved_model.glob("*"))
        )


@contextlib.contextmanager
def opened(config, dataset=None, start=None) -> Iterator[RunFolder]:
    """The folder of one configuration, in which no other process writes.

    The effective flags are written to `flags.txt` when the directory is first
    used, what the training data is to `data.json`, and what training begins
    from to `init.json`; afterwards only the same configuration may continue
    there, on the same data.

    Args:
        config: The `Options` of the run.
        dataset: The `noisymix_tf.data.Dataset` that is trained on, if any.
        start: The facts of the file that training begins from, if of any; its
            `"sha256"` has to stay.

    A `UsageError` as of `files.claimed`; or if it belongs to a different
    configuration, to other data or to another start.
    """
    with files.claimed(config.output_dir, *_claim(config)) as path:
        own = RunFolder(path)
        try:
            data = None if dataset is None else _data(path, dataset, config)
            _check_start(path / "init.json", start)
            # Rewritten also for a continued run: it proves that the directory
            # is writable, and free flags may have changed.
            lines = filter(None, config.flags().values())
            text = "".join(f"{line}\n" for line in lines)
            files.write_atomically(path / "flags.txt", text)
            if data is not None:
                files.write_json(path / "data.json", data)
            if start is not None:
                files.write_json(path / "init.json", start)
        except OSError as error:
            raise unwritable(path, error) from error
        files.remove_unfinished(own.saved_model)
        yield own


def check(config) -> None:
    """Raises what `opened` would, as far as reading can tell."""
    files.check_claim(config.output_dir, *_claim(config))


def _claim(config):
    return "run", "flags.txt", lambda path: check_flags(path, config)


def check_flags(path: str | os.PathLike, config) -> None:
    """Checks that a directory with a `flags.txt` is of a configuration.

    Free flags may differ, and with --extend it may have more epochs. Another
    configuration, or a damaged file, is a `UsageError`.
    """
    # A flag that an older version did not have counts as its default.
    before, now = type(config)().flags(), config.flags(with_free=False)
    lines = flag_lines(pathlib.Path(path, "flags.txt"))
    before |= {flag_name(line): line for line in lines if line}
    changed = [
        n for n, line in now.items() if _home(before.get(n)) != _home(line)
    ]
    epochs = str(flag_value(before.get("epochs")))
    # A toy's run has epochs, but cannot be extended.
    grows = hasattr(config, "extend") and epochs.isdecimal()
    grows = grows and int(epochs) < config.epochs
    if grows and config.extend and "epochs" in changed:
        changed.remove("epochs")
    if changed:

        def said(lines, name):
            return lines.get(name) or f"--{name} not set"

        words = [f"{said(now, n)} (was {said(before, n)})" for n in changed]
        hint = " --extend goes on with it." * (changed == ["epochs"])
        raise UsageError(
            f"--output_dir={path} holds a run of another configuration: "
            f"{'; '.join(words)}. Name another directory, or give the same "
            f"flags.{hint * grows}"
        )


def _data(path, dataset, config):
    """What is kept of the data of a run, checked against what was kept.

    Files that differ in nothing but their times of change, as copies do, are
    the same data where all their bytes are: few files are read for this.
    """
    place, paths = path / "data.json", dataset.train.files
    found = {
        **dataclasses.asdict(dataset.train.identity),
        "classes": [str(name) for name in dataset.class_names],
        "mixed_with": None,
    }
    if mixing_dir := getattr(config, "mixing_dir", None):
        found["mixed_with"] = _pictures(mixing_dir)
    if not place.exists():
        known = paths and folder.few(paths)
        return {**found, "bytes": _bytes(paths) if known else None}
    advice = "remove it, if the data is the same as when the run began."
    before = files.read_json(place, advice)
    # What an older version did not keep counts as it is now.
    before.setdefault("mixed_with", found["mixed_with"])
    changed = [n for n in _OF_DATA if found[n] != before.get(n)]
    if not changed:
        return before
    advice = "."
    if changed == ["times"]:
        if before.get("bytes") is None:
            advice = f". If these are copies of the same files, remove {place}."
        elif _bytes(paths) == before["bytes"]:
            return {**found, "bytes": before["bytes"]}
        else:
            changed = ["contents"]
    raise UsageError(
        f"--output_dir={path} holds a run on other training data than there is "
        f"now: {_change(changed[0], found, before)}. Put the data back as it "
        f"was, or name another directory to train on what there is{advice}"
    )


def _pictures(mixing_dir):
    """Hash of pictures to mix with: of many, which are not read, of times."""
    paths = pictures.paths_in(mixing_dir, "picture to mix with", below=True)
    try:
        if folder.few(paths):
            return _bytes(paths)
        stats = [path.stat() for path in paths]
        return identity.short(*((s.st_size, s.st_mtime_ns) for s in stats))
    except OSError as error:
        raise UsageError(
            f"The picture to mix with {error.filename!r} cannot be read "
            f"({error.strerror}): replace or remove it."
        ) from error


def _check_start(place, start):
    """Checks that the file that a run began from is still that file."""
    if start is None or not place.exists():
        return
    advice = f"remove it, if {start['path']} is the same as when the run began."
    before = files.read_json(place, advice)
    if before.get("sha256") != start.get("sha256"):
        raise UsageError(
            f"--output_dir={place.parent} holds a run that began from another "
            f"{start['path']} than there is now: put that file back, or name "
            f"another directory to begin from this one."
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
    return f"other {_OF_DATA[name]}"


def _bytes(paths):
    """Hash of all that some files hold, which has to be read."""
    digests = map(bytes.fromhex, map(files.file_digest, paths))
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def flags_of_model(path: str | os.PathLike) -> dict[str, str]:
    """The flags that are set of the run that a model comes from, if of any.

    Values are as on a command line. The path is the directory of a run, or a
    model with a card; where no model is, it is a `UsageError`.
    """
    flagfile, model = pathlib.Path(path, "flags.txt"), locate(path)
    lines = model_card.found(model).get("flags")
    lines = flag_lines(flagfile) if flagfile.is_file() else lines
    if not isinstance(lines, list):
        return {}
    return {flag_name(line): flag_value(line) for line in lines if line}


def from_card(path: str | os.PathLike, section: str, name: str):
    """A field of a section in the card of a model, which is there, or None."""
    found = model_card.found(locate(path)).get(section)
    return found.get(name) if isinstance(found, dict) else None


def _home(line):
    """A flag's line as it is written now: older ones have `~/` as given."""
    home = os.path.expanduser("~/")
    return line and line.replace("=~/", f"={home}").replace(",~/", f",{home}")


def flag_lines(file: pathlib.Path) -> list[str]:
    """The lines of a run's flags.txt."""
    advice = (
        f"without it nothing tells which run {file.parent} holds: put it "
        f"back, or name another directory."
    )
    return files.read_text(file, str(file), advice).splitlines()


def flag_value(line: str | None) -> str | None:
    """`"3"` of `--epochs=3`, `"true"` of `--flip`; None of None."""
    if line is None:
        return None
    name, equals, value = line.removeprefix("--").partition("=")
    if equals:
        return value
    return "false" if name.startswith("no") else "true"


def flag_name(line: str) -> str:
    """The flag's name in `--name=value`, `--name` or `--noname`."""
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals else name.removeprefix("no")
