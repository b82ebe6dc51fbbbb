"""The directory of sets of images: what it holds and how that was made."""

import json
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically
from noisymix_tf.run_lock import RunLock

MANIFEST = "manifest.json"


class SetFolder:
    """A directory that belongs to one choice of settings.

    `manifest.json` holds the settings and an entry for every finished file.
    Use it in a `with` statement: meanwhile no other process may write there.

    Args:
        path: The directory; made where it is not there.
        settings: Dict of JSON values that decide the pixels of every file.
        what: What such a directory holds, for messages.

    Raises:
        UsageError: It cannot be written, holds something else, was made with
            other settings, or is in use.
    """

    def __init__(self, path, settings, what="corrupted sets"):
        if not path:
            raise UsageError(
                "--output_dir is missing: name a directory for the sets."
            )
        self._what = what
        self.path = pathlib.Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.files = {}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = RunLock(self.path)
            try:
                self._claim()
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            raise UsageError(
                f"--output_dir={self.path} cannot be written "
                f"({error.strerror}); name a writable directory."
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._lock.release()

    def record(self, name, entry):
        """Enters a finished file in the manifest."""
        self.files[name] = entry
        content = {"settings": self.settings, "files": self.files}
        write_atomically(
            self.path / MANIFEST, json.dumps(content, indent=1) + "\n"
        )

    def _claim(self):
        for leftover in self.path.glob(f".{MANIFEST}.*"):
            leftover.unlink()
        if (self.path / MANIFEST).exists():
            self._compare()
        elif any(p for p in self.path.iterdir() if p.name[0] != "."):
            raise UsageError(
                f"--output_dir={self.path} is not empty and holds no "
                f"{self._what}; name a new or empty directory."
            )
        content = {"settings": self.settings, "files": self.files}
        write_atomically(
            self.path / MANIFEST, json.dumps(content, indent=1) + "\n"
        )

    def _compare(self):
        try:
            content = json.loads((self.path / MANIFEST).read_text())
            before, self.files = content["settings"], content["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self.path / MANIFEST} is damaged; name another --output_dir."
            ) from error
        differing = [
            f"{key} {self.settings.get(key)} (was {before.get(key)})"
            for key in {**before, **self.settings}
            if self.settings.get(key) != before.get(key)
        ]
        if differing:
            raise UsageError(
                f"--output_dir={self.path} holds {self._what} of other "
                f"settings: {'; '.join(differing)}. Name another directory, or "
                f"give the same flags."
            )
