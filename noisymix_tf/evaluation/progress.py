"""What an evaluation says while it works: a line per cell, or a bar."""

import sys
import time

_BAR = 24


class Progress:
    """Tells of finished cells and of the time that is left.

    On a terminal a bar is redrawn; elsewhere every cell gets a line.

    Args:
        stream: Where to write; by default the standard error.
        bar: Whether to draw a bar; by default on terminals.

    Example:

    >>> evaluate(model, dataset, progress=Progress(bar=True))
    """

    def __init__(self, stream=None, bar=None):
        self._stream = stream
        self._bar = bar
        self._start = time.monotonic()
        self._measured = 0

    def __call__(self, cell, measurements, done, total):
        """Tells of one cell, as `evaluate` calls it."""
        stream = self._stream or sys.stderr
        bar = stream.isatty() if self._bar is None else self._bar
        self._measured += 1
        left = self._left(done, total)
        if not bar:
            place = f"[{done:>{len(str(total))}}/{total}]"
            print(
                f"{place} {_line(cell, measurements)}{left}",
                file=stream,
                flush=True,
            )
            return
        full = _BAR * done // total
        text = (
            f"\r[{'=' * full}{' ' * (_BAR - full)}] {done}/{total}{left}  "
            f"{cell.name}  {headline(cell, measurements)}"
        )
        # Cut to one line of the terminal, cleared to its end.
        stream.write(f"{text[:110]}\x1b[K{chr(10) if done == total else ''}")
        stream.flush()

    def _left(self, done, total):
        """The estimate: the cells to come take as long as those so far."""
        if done == total:
            return ""
        elapsed = time.monotonic() - self._start
        seconds = elapsed / self._measured * (total - done)
        return f"  {duration(seconds)} left"


def print_progress(cell, measurements, done, total):
    """Writes one line per finished cell to the standard error."""
    place = f"[{done:>{len(str(total))}}/{total}]"
    print(f"{place} {_line(cell, measurements)}", file=sys.stderr, flush=True)


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
