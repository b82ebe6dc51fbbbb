"""The one writer of sets: claims a directory, makes what it lacks, tells it."""

import abc
import contextlib
import io
import json

import numpy as np

from noisymix_tf.contact_sheet import contact_sheet
from noisymix_tf.errors import UsageError
from noisymix_tf.files import claimed, write_atomically
from noisymix_tf.progress import Progress
from noisymix_tf.workers import Workers

MANIFEST = "manifest.json"
_ROWS = 6


class SetFolder:
    """A directory of sets, see `claimed_folder`, and what is finished there.

    `manifest.json` holds the settings, an entry for every finished file and,
    in a part, those that are `wanted`.
    """

    def __init__(self, path, content, before, wanted):
        self.path, self.files = path, content["files"]
        self._content = content
        self.files.update(before.get("files", ()))
        wanted = dict.fromkeys([*before.get("wanted", ()), *wanted])
        if wanted:
            content["wanted"] = list(wanted)
        self._write()

    def record(self, name, entry):
        """Enters a finished file in the manifest."""
        if self.files.get(name) != entry:
            self.files[name] = entry
            self._write()

    def _write(self):
        text = json.dumps(self._content, indent=1) + "\n"
        write_atomically(self.path / MANIFEST, text)


@contextlib.contextmanager
def claimed_folder(path, settings, what="corrupted sets", wanted=()):
    """The `SetFolder` of one choice of settings, which decide the pixels.

    They are JSON values. A `UsageError` is that of `files.claimed`, or says
    that the directory was made with other settings.
    """
    settings = json.loads(json.dumps(settings))
    content = {"settings": settings, "files": {}}

    def check(folder):
        wrong = differences(content, read_manifest(folder))
        if wrong:
            raise UsageError(
                f"--output_dir={folder} holds {what} of other settings: "
                f"{wrong}. Name another directory, or give the same flags."
            )

    with claimed(path, what, MANIFEST, check) as folder:
        is_there = (folder / MANIFEST).exists()
        before = read_manifest(folder) if is_there else {}
        yield SetFolder(folder, content, before, wanted)


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
