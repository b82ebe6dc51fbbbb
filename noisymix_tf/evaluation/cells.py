"""One evaluation cell, one JSON line; finished lines survive a kill.

A line holds who was measured on what (the fields of `Cell`) and sums over the
images (see `metrics.Tally`), from which every figure of a report is computed:

{"dataset": "cifar10", "suite": "c", "corruption": "fog", "severity": 3,
 "source": "generated", "n": 10000, "seed": 0, "model": "4f0c...",
 "data": "9b1d2c33", "generator": "1-cifar", "correct": 8845,
 "nll_sum": 3712.4, "brier_sum": 1730.2, "bins": [[0, 0.0, 0], ...],
 "seconds": 4.1}
"""

import dataclasses
import json
import os
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one line is about. Equal cells are the same measurement.

    Attributes:
        dataset: Name of the dataset.
        suite: Name of the suite: `"clean"`, `"c"`, `"p"`...
        corruption: What was done to the images: a corruption, a perturbation;
            None for nothing.
        severity: 1 to 5, or the difficulty of a perturbation; 0 where there is
            none.
        source: `"original"` (the images as they are), `"generated"` (corrupted
            here) or `"released"` (read from published files).
        n: Number of images, or of sequences.
        model: Fingerprint of the model.
        data: Fingerprint of the images as they reach the model.
        seed: Seed of what was generated; None where nothing was.
        generator: Version of what generated; None where nothing did.
        setting: Whatever else was chosen, in words: `"linf eps=4/255"`.
        preprocess: What is done to images on reading, such as
            `"resize256-crop224"`.
    """

    dataset: str
    suite: str
    corruption: str | None
    severity: int
    source: str
    n: int
    model: str
    data: str
    seed: int | None = None
    generator: str | None = None
    setting: str | None = None
    preprocess: str = "as_stored"

    @property
    def name(self):
        """Short name for messages: `"cifar10/c/fog/3"`."""
        parts = [self.dataset, self.suite]
        if self.corruption is not None:
            parts += [self.corruption, str(self.severity)]
        if self.setting is not None:
            parts.append(self.setting)
        return "/".join(parts)


_FIELDS = tuple(field.name for field in dataclasses.fields(Cell))


class CellFile:
    """The JSON lines of finished cells.

    Args:
        path: The file; it need not exist.

    Example:

    >>> file = CellFile("run/cells.jsonl")
    >>> file.append(cell, tally.measurements())
    >>> file.read()[cell]["correct"]
    8845
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def read(self):
        """Returns `{cell: measurements}`, in the order of the lines.

        A kill in the middle of a write leaves a last line without its end: that
        line is dropped, and the file made whole again, so that the next line
        starts on its own. Of two lines about one cell the later counts.

        Raises:
            UsageError: If any other line is not one of ours.
        """
        if not self.path.exists():
            return {}
        *lines, tail = self.path.read_bytes().split(b"\n")
        if tail:
            try:
                _parse(tail)
                lines.append(tail)
            except (ValueError, KeyError, TypeError):
                pass
            write_atomically(
                self.path, b"".join(line + b"\n" for line in lines)
            )
        records = {}
        for number, line in enumerate(lines, start=1):
            try:
                cell, measurements = _parse(line)
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    f"{self.path}, line {number} is not an evaluation cell: "
                    "remove the line; its cell is then measured again."
                ) from error
            records[cell] = measurements
        return records

    def append(self, cell, measurements):
        """Adds one line, in one write that has reached the disk on return."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(
            {**dataclasses.asdict(cell), **measurements}, allow_nan=False
        )
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _parse(line):
    """Splits a JSON line into its cell and its measurements."""
    fields = dict(json.loads(line))
    cell = Cell(**{n: fields.pop(n) for n in _FIELDS if n in fields})
    return cell, fields
