"""What there is to measure, and what was measured of it.

A `Cell` is one measurement. Of a cell and a chunk of images there is a record:
a row for each image, and the seconds it took. They lie in `records.sqlite`, one
transaction for a chunk, so that whatever a process was killed at, its records
are whole.
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import sqlite3
import zlib

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError

FILE = "records.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    key TEXT, start INTEGER, number INTEGER, rows BLOB, seconds TEXT,
    PRIMARY KEY (key, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""


@dataclasses.dataclass(frozen=True)
class Cell:
    """Who is measured on what: equal cells are the same measurement."""

    dataset: str  # Its name.
    suite: str  # Its name: "clean", "c", "p"...
    # What was done to the images, or which ones they are: a corruption, a
    # perturbation, a shifted set; None for nothing.
    corruption: str | None
    # 1 to 5 or between, a perturbation's difficulty, or 0 for none.
    severity: int | float
    # "original" (as they are), "generated" (here) or "released" (read).
    source: str
    n: int  # Number of images, or of sequences.
    model: str  # Fingerprint of the model.
    data: str  # Identity of the images as they reach the model.
    outputs: str = ""  # What the model gives, "logits" or "probabilities".
    seed: int | None = None  # Of what was generated.
    generator: str | None = None  # Version of what generated.
    setting: str | None = None  # What else was chosen: "linf eps=4/255".
    preprocess: str = "as_stored"  # On reading: "resize256-crop224".
    available: int | None = None  # How many images n were taken of.
    adapt: str = ""  # How the model adapted to them.

    @property
    def name(self) -> str:
        """Short name for messages: `"cifar10/c/fog/3"`."""
        severity = self.severity or None
        parts = self.dataset, self.suite, self.corruption, severity
        more = self.setting, self.adapt or None
        return "/".join(str(p) for p in (*parts, *more) if p is not None)

    @property
    def key(self) -> str:
        """Hash of all fields, 16 hexadecimal digits."""
        return identity.short(*dataclasses.astuple(self))


class Records(contextlib.AbstractContextManager):
    """Records in a folder, or in memory.

    Args:
        folder: Where `records.sqlite` lies or is made; None for memory.

    Raises:
        UsageError: The file is damaged or none of ours, or cannot be written.

    >>> from noisymix_tf.evaluation import Cell, ImageScores
    >>> cell = Cell("flat", "clean", None, 0, "original", 1, "model", "data")
    >>> with Records() as records:
    ...     records.add([(cell, 0, ImageScores.of([[2.0, 1.0]], [0]), {})])
    ...     print(records.rows(cell, ImageScores.ROW)["right"])
    [ True]
    """

    def __init__(self, folder=None):
        self._path = pathlib.Path(folder, FILE) if folder else ":memory:"
        with self._told():
            # They are added by one thread and read by another.
            self._base = sqlite3.connect(self._path, check_same_thread=False)
            self._base.executescript(_TABLES)

    def close(self):
        self._base.close()

    def __exit__(self, *error):
        self.close()

    def add(self, measured):
        """Keeps what was measured of one chunk, all of it or nothing.

        Args:
            measured: List of `(cell, start, rows, seconds)`: a `Cell`, the
                place of the first row among its n, an array of a structured
                dtype, and a dict from the name of a cost to seconds.
        """
        with self._told(), self._base:
            for cell, start, rows, seconds in measured:
                blob = zlib.compress(np.ascontiguousarray(rows).tobytes(), 1)
                self._base.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                    (cell.key, start, len(rows), blob, json.dumps(seconds)),
                )

    def covered(self, cell) -> np.ndarray:
        """Which of the n rows of a cell are there: bool `[n]`."""
        there = np.zeros(cell.n, bool)
        query = "SELECT start, number FROM records WHERE key = ?"
        for start, number in self._all(query, cell.key):
            there[start : start + number] = True
        return there

    def rows(self, cell, dtype) -> np.ndarray:
        """All rows of a cell, `[n]` in the order of the images.

        Raises:
            UsageError: Some are missing.
        """
        missing = int(cell.n - self.covered(cell).sum())
        if missing:
            raise UsageError(
                f"The cell {cell.name} ({cell.source}) lacks {missing:,} of "
                f"{cell.n:,} rows: run the evaluation again to complete it."
            )
        rows = np.empty(cell.n, dtype)
        query = "SELECT start, number, rows FROM records WHERE key = ?"
        for start, number, blob in self._all(query, cell.key):
            with self._told():
                part = np.frombuffer(zlib.decompress(blob), dtype)
                rows[start : start + number] = part
        return rows

    def seconds(self, cells) -> dict[str, float]:
        """Seconds that some cells took, by the name of the cost."""
        sums = collections.Counter()
        query = "SELECT seconds FROM records WHERE key = ?"
        for cell in cells:
            for (text,) in self._all(query, cell.key):
                sums.update(json.loads(text))
        return dict(sums)

    def set_fact(self, name, value):
        """Keeps a JSON value by name, in place of another one."""
        text = json.dumps(value)
        if self.fact(name) != json.loads(text):  # Or the file would change.
            query = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
            with self._told(), self._base:
                self._base.execute(query, (name, text))

    def fact(self, name):
        """The value of a name; None where there is none."""
        query = "SELECT value FROM facts WHERE name = ?"
        found = self._all(query, name)
        return json.loads(found[0][0]) if found else None

    def take(self, folder):
        """Adds all records of another folder."""
        other = str(pathlib.Path(folder, FILE))
        with self._told():
            self._base.execute("ATTACH ? AS other", (other,))
            with self._base:
                self._base.execute(
                    "INSERT OR IGNORE INTO records SELECT * FROM other.records"
                )
            self._base.execute("DETACH other")

    def _all(self, query, *values):
        with self._told():
            return self._base.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _told(self):
        """Names the file where it fails."""
        try:
            yield
        except (sqlite3.Error, zlib.error, ValueError) as error:
            raise UsageError(
                f"{self._path} cannot be used ({error}): give another folder, "
                "or remove the file; all is then measured again."
            ) from error
