"""What an evaluation says while it works: a bar, or a line now and then."""

import re
import statistics
import sys
import time

_BAR = 12
# Seconds between two lines.
_PAUSE = 10.0
# How often one image of a cell passes the network, by suite; elsewhere once. A
# sequence has mostly 31 frames; a gradient counts as two passes more.
_PASSES = {"p": 31, "fgsm": 4, "pgd": 4, "autoattack": 1000}
# Seconds before the first of an attack's images, in which it is traced.
_TRACING = {"fgsm": 3.0, "pgd": 3.0}


class Progress:
    """Tells of finished cells and of the time that is left.

    On a terminal a bar is redrawn; elsewhere there is a line for the first
    cell, for the last, and every ten seconds.

    Args:
        stream: Where to write; by default the standard error.
        bar: Whether to draw a bar; by default on terminals.

    Example:

    >>> evaluate(model, dataset, progress=Progress(bar=True))
    """

    def __init__(self, stream=None, bar=None):
        self._stream = stream
        self._bar = bar
        self._said = -_PAUSE
        self._pending = []
        # Seconds that a pass took, by suite and corruption.
        self._rates = {}

    def begin(self, cells):
        """Tells which cells will be measured, as `evaluate` calls it."""
        self._pending = list(cells)

    def __call__(self, cell, measurements, done, total):
        """Tells of one cell, as `evaluate` calls it."""
        stream = self._stream or sys.stderr
        bar = stream.isatty() if self._bar is None else self._bar
        left = self._left(cell, measurements)
        if bar:
            full = _BAR * done // total
            text = (
                f"\r[{'=' * full}{' ' * (_BAR - full)}] {done}/{total}{left}  "
                f"{cell.name}  {headline(cell, measurements)}"
            )
            # Cut to one line of a terminal of 80 columns, cleared to its end.
            end = "\n" if done == total else ""
            stream.write(f"{text[:80]}\x1b[K{end}")
            stream.flush()
        elif done == total or time.monotonic() - self._said >= _PAUSE:
            self._said = time.monotonic()
            place = f"[{done:>{len(str(total))}}/{total}]"
            print(
                f"{place} {_line(cell, measurements)}{left}",
                file=stream,
                flush=True,
            )

    def _left(self, cell, measurements):
        """The estimate, from the cells that were measured until now."""
        rates = self._rates.setdefault(_kind(cell), [])
        rates.append(measurements["seconds"] / (cell.n * _passes(cell)))
        self._pending = [c for c in self._pending if c != cell]
        if not self._pending:
            return ""
        return f"  {duration(sum(map(self._seconds, self._pending)))} left"

    def _seconds(self, cell):
        """How long a cell will take: as its kind, its suite, or all others.

        Medians, because some cells hold up the one before them, such as those
        of frost, whose textures are drawn once.
        """
        passes = cell.n * _passes(cell)
        kind = _kind(cell)
        if kind in self._rates:
            return passes * statistics.median(self._rates[kind])
        alike = [k for k in self._rates if k[0] == cell.suite]
        rates = [statistics.median(self._rates[k]) for k in alike]
        if rates:
            return passes * statistics.median(rates)
        rates = map(statistics.median, self._rates.values())
        return passes * statistics.median(rates) + _TRACING.get(cell.suite, 0)


def _kind(cell):
    """Cells of one kind take the same time for an image."""
    return cell.suite, cell.corruption


def _passes(cell):
    """How often an image of a cell passes the network, about."""
    passes = _PASSES.get(cell.suite, 1)
    for number in re.findall(r"(\d+) (?:steps|search)", cell.setting or ""):
        passes *= int(number)
    return passes


def headline(cell, measurements):
    """The figure that matters most: `"accuracy  94.10 %"`."""
    if "correct" in measurements:
        return f"accuracy {100 * measurements['correct'] / cell.n:6.2f} %"
    if "sums" not in measurements:  # A suite of one's own.
        return f"n = {cell.n:,}"
    flips = measurements["sums"]["flip_probability"] / cell.n
    return f"flip probability {100 * flips:6.2f} %"


def duration(seconds):
    """Seconds in words: `"1 h 05 min"`, `"3 min"`, `"12 s"`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _line(cell, measurements):
    rate = cell.n / max(measurements["seconds"], 1e-3)
    unit = "images" if "correct" in measurements else "sequences"
    return (
        f"{cell.name:<40} {headline(cell, measurements)}  {rate:7.0f} {unit}/s"
    )
