"""The one writer of sets: claims a directory, makes what it lacks, tells it."""

import abc
import contextlib
import io
import json
from collections.abc import Iterable

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import claimed, write_atomically, write_json
from noisymix_tf.lazy import tf
from noisymix_tf.progress import Progress
from noisymix_tf.workers import Workers

MANIFEST = "manifest.json"
_ROWS = 6


class SetFolder:
    """A directory of sets, see `claimed_folder`, and what is finished there.

    `manifest.json` holds the settings, an entry for every finished file and,
    in a part, those that are `wanted`.
    """

    def __init__(self, path, settings, before, wanted):
        self.path, self.files = path, before.get("files", {})
        self._content = {"settings": settings, "files": self.files}
        wanted = dict.fromkeys([*before.get("wanted", ()), *wanted])
        if wanted:
            self._content["wanted"] = list(wanted)
        self._write()

    def record(self, name, entry) -> None:
        """Enters a finished file in the manifest."""
        if self.files.get(name) != entry:
            self.files[name] = entry
            self._write()

    def _write(self):
        write_json(self.path / MANIFEST, self._content)


@contextlib.contextmanager
def claimed_folder(path, settings, what="corrupted sets", wanted=()):
    """The `SetFolder` of one choice of settings, which decide the pixels.

    They are JSON values. A `UsageError` is that of `files.claimed`, or says
    that the directory was made with other settings.
    """
    settings, before = json.loads(json.dumps(settings)), {}

    def check(folder):
        before.update(read_manifest(folder))
        if wrong := differences(settings, before["settings"]):
            raise UsageError(
                f"--output_dir={folder} holds {what} of other settings: "
                f"{wrong}. Name another directory, or give the same flags."
            )

    with claimed(path, what, MANIFEST, check) as folder:
        yield SetFolder(folder, settings, before, wanted)


def read_manifest(path) -> dict:
    """What the manifest in a directory holds."""
    try:
        content = json.loads((path / MANIFEST).read_text())
        return content | {k: dict(content[k]) for k in ("settings", "files")}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path / MANIFEST} is damaged; name another --output_dir."
        ) from error


def differences(now, then) -> str:
    """In which settings two manifests differ, in words; `""` for none."""
    return "; ".join(
        f"{key} {now.get(key)} (was {then.get(key)})"
        for key in {**then, **now}
        if now.get(key) != then.get(key)
    )


class Part(abc.ABC):
    """Files of a set that belong together."""

    name = ""
    entries = ()  # What it adds to the manifest in the end.
    total = 0  # Images, for the progress.

    def done(self, folder) -> int:
        """How many images are known to be there."""
        return self.total if {*self.entries} <= {*folder.files} else 0

    @abc.abstractmethod
    def write(self, folder, workers) -> Iterable[int]:
        """Makes what is missing; an iterable of how many images are there."""


def write(folder, parts, num_workers=0, progress=True) -> None:
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
                "command again: it goes on where it stopped."
            ) from error
    bar.end()


def few(number) -> np.ndarray:
    """Places of a few of so many images, evenly spaced, int `[6]` or less."""
    places = np.linspace(0, number - 1, min(_ROWS, number))
    return np.unique(places.astype(int))


def contact_sheet(views, gap=2, least_side=96):
    """Images `[B, V, H, W, C]`, pixels 0..255, as one uint8 picture.

    It has B rows of V images; of those whose sides are below `least_side` the
    pixels are repeated.
    """
    zoom = max(1, least_side // max(views.shape[2:4]))
    views = np.clip(np.round(views), 0, 255).astype(np.uint8)
    views = views.repeat(zoom, axis=2).repeat(zoom, axis=3)
    before, white = (gap, 0), {"constant_values": 255}
    views = np.pad(views, [(0, 0), (0, 0), before, before, (0, 0)], **white)
    rows, _, height, _, channels = views.shape
    sheet = views.swapaxes(1, 2).reshape(rows * height, -1, channels)
    return np.pad(sheet, [(0, gap), (0, gap), (0, 0)], **white)


def write_sheet(path, columns) -> None:
    """A picture to look at: images side by side, `[B, H, W, C]` a column."""
    sheet = contact_sheet(np.stack(columns, axis=1))
    write_atomically(path, tf.io.encode_png(sheet).numpy())
