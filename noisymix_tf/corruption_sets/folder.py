"""The directory of sets of images: what it holds and how that was made."""

import json
import pathlib

from noisymix_tf import places
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.run_lock import RunLock

MANIFEST = "manifest.json"


class SetFolder:
    """A directory that belongs to one choice of settings.

    `manifest.json` holds the settings, an entry for every finished file and,
    in a part, the entries that were asked for. Use it in a `with` statement:
    meanwhile no other process may write there.

    Args:
        path: The directory; made where it is not there.
        settings: Dict of JSON values that decide the pixels of every file.
        what: What such a directory holds, for messages.
        wanted: Names of the entries that a part will have.

    Raises:
        UsageError: It cannot be written, holds something else, was made with
            other settings, or is in use.
    """

    def __init__(self, path, settings, what="corrupted sets", wanted=()):
        places.check_writable(path, what)
        self.path = pathlib.Path(path)
        self.files = {}
        settings = json.loads(json.dumps(settings))
        self._content = {"settings": settings, "files": self.files}
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = RunLock(self.path)
        try:
            self._claim(what, wanted)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self):
        return self

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
            before = read(self.path)
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


def read(path):
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
