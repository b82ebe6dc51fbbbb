"""The one writer of sets: claims a directory, makes what it lacks, tells it."""

import abc
import contextlib
import io
import json
import pathlib

import numpy as np

from noisymix_tf import places
from noisymix_tf.contact_sheet import contact_sheet
from noisymix_tf.errors import UsageError
from noisymix_tf.files import Lock, write_atomically
from noisymix_tf.progress import Progress
from noisymix_tf.workers import Workers

MANIFEST = "manifest.json"
_ROWS = 6


class SetFolder(contextlib.AbstractContextManager):
    """A directory that belongs to one choice of settings.

    `manifest.json` holds the settings, JSON values that decide the pixels, an
    entry for every finished file and, in a part, those that are wanted. In a
    `with` statement no other process may write there meanwhile. A `UsageError`
    says that it cannot be written, holds something else than `what`, was made
    with other settings, or is in use.
    """

    def __init__(self, path, settings, what="corrupted sets", wanted=()):
        places.check_writable(path, what)
        self.path = pathlib.Path(path)
        self.files = {}
        settings = json.loads(json.dumps(settings))
        self._content = {"settings": settings, "files": self.files}
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.path)
        try:
            self._claim(what, wanted)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *error):
        self._lock.release()

    def record(self, name, entry):
        """Enters a finished file in the manifest."""
        if self.files.get(name) != entry:
            self.files[name] = entry
            self._write()

    def _write(self):
        text = json.dumps(self._content, indent=1) + "\n"
        write_atomically(self.path / MANIFEST, text)

    def _claim(self, what, wanted):
        for leftover in self.path.glob(f".{MANIFEST}.*"):
            leftover.unlink()
        before = {}
        if (self.path / MANIFEST).exists():
            before = read_manifest(self.path)
            wrong = differences(self._content, before)
            if wrong:
                raise UsageError(
                    f"--output_dir={self.path} holds {what} of other settings: "
                    f"{wrong}. Name another directory, or give the same flags."
                )
            self.files.update(before["files"])
        elif any(p for p in self.path.iterdir() if p.name[0] != "."):
            raise UsageError(
                f"--output_dir={self.path} is not empty and holds no {what}; "
                f"name a new or empty directory."
            )
        wanted = dict.fromkeys([*before.get("wanted", ()), *wanted])
        if wanted:
            self._content["wanted"] = list(wanted)
        self._write()


def read_manifest(path):
    """What the manifest in a directory holds, a dict."""
    try:
        content = json.loads((path / MANIFEST).read_text())
        return content | {k: dict(content[k]) for k in ("settings", "files")}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path / MANIFEST} is damaged; name another --output_dir."
        ) from error


def differences(content, before):
    """In which settings two manifests differ, in words; `""` for none."""
    now, then = content["settings"], before["settings"]
    return "; ".join(
        f"{key} {now.get(key)} (was {then.get(key)})"
        for key in {**then, **now}
        if now.get(key) != then.get(key)
    )


class Part(abc.ABC):
    """Files of a set that belong together, `total` images, for the progress.

    `entries` are the names of what it adds to the manifest in the end.
    """

    name, entries, total = "", (), 0

    def done(self, folder):
        """How many images are known to be there."""
        return self.total if {*self.entries} <= {*folder.files} else 0

    @abc.abstractmethod
    def write(self, folder, workers):
        """Makes what is missing; an iterable of how many images are there."""


def write(folder, parts, num_workers=0, progress=True):
    """Writes a list of `Part` to a `SetFolder`, or says why it cannot."""
    done = {part: part.done(folder) for part in parts}
    bar = Progress(None if progress else io.StringIO())
    bar.begin(sum(part.total for part in parts), sum(done.values()))
    with Workers(num_workers) as workers:
        try:
            for part in parts:
                for there in part.write(folder, workers):
                    done[part] = max(done[part], there)
                    bar.advance(sum(done.values()), part.name)
        except OSError as error:
            raise UsageError(
                f"Cannot write to --output_dir={folder.path} "
                f"({error.strerror or error}); mend that and run the same "
                f"command again: it goes on where it stopped."
            ) from error
    bar.end()


def few(number):
    """Places of a few of so many images, evenly spaced, int `[6]` or less."""
    places = np.linspace(0, number - 1, min(_ROWS, number))
    return np.unique(places.astype(int))


def write_sheet(path, columns):
    """A picture to look at: images side by side, `[B, H, W, C]` a column."""
    import tensorflow as tf

    sheet = contact_sheet(np.stack(columns, axis=1))
    write_atomically(path, tf.io.encode_png(sheet).numpy())
