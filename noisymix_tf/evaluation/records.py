"""What was measured: a record for each cell and chunk of images.

A record holds a row for each image of the chunk, and the seconds it took. They
lie in a table in `records.sqlite`, one transaction for a chunk, so that
whatever a process was killed at, its records are whole.
"""

import contextlib
import dataclasses
import json
import pathlib
import sqlite3
import zlib

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.cells import Cell

FILE = "records.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, cell TEXT);
CREATE TABLE IF NOT EXISTS records (
    key TEXT, start INTEGER, number INTEGER, rows BLOB, seconds TEXT,
    PRIMARY KEY (key, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""


class Records:
    """Records in a folder, or in memory.

    Args:
        folder: Where `records.sqlite` lies or is made; None for memory.

    Raises:
        UsageError: The file is damaged or none of ours, or cannot be written.

    Example:

    >>> records = Records("run/evaluation")
    >>> records.add([(cell, 0, ImageScores.of(outputs, labels), {})])
    >>> records.rows(cell, ImageScores.ROW)["right"].mean()
    0.94
    """

    def __init__(self, folder=None):
        self._path = pathlib.Path(folder, FILE) if folder else ":memory:"
        with self._told():
            # They are added by one thread and read by another.
            self._base = sqlite3.connect(self._path, check_same_thread=False)
            self._base.executescript(_TABLES)

    def close(self):
        self._base.close()

    def __enter__(self):
        return self

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
                text = json.dumps(dataclasses.asdict(cell))
                self._base.execute(
                    "INSERT OR IGNORE INTO cells VALUES (?, ?)",
                    (cell.key, text),
                )
                blob = zlib.compress(np.ascontiguousarray(rows).tobytes(), 1)
                self._base.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                    (cell.key, start, len(rows), blob, json.dumps(seconds)),
                )

    def covered(self, cell):
        """Which of the n rows of a cell are there: bool `[n]`."""
        there = np.zeros(cell.n, bool)
        query = "SELECT start, number FROM records WHERE key = ?"
        for start, number in self._all(query, cell.key):
            there[start : start + number] = True
        return there

    def rows(self, cell, dtype):
        """All rows of a cell, an array `[n]` in the order of the images.

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

    def seconds(self, cells):
        """Seconds that some cells took, by the name of the cost."""
        sums = {}
        query = "SELECT seconds FROM records WHERE key = ?"
        for cell in cells:
            for (text,) in self._all(query, cell.key):
                for name, value in json.loads(text).items():
                    sums[name] = sums.get(name, 0.0) + value
        return sums

    def cells(self):
        """All cells of which there is a record, in the order of their names."""
        texts = self._all("SELECT cell FROM cells")
        with self._told():
            return [Cell(**json.loads(text)) for (text,) in texts]

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
        with self._told():
            self._base.execute(
                "ATTACH ? AS other", (str(pathlib.Path(folder, FILE)),)
            )
            with self._base:
                for table in ("cells", "records"):
                    self._base.execute(
                        f"INSERT OR IGNORE INTO {table} "
                        f"SELECT * FROM other.{table}"
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
