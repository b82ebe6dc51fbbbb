"""How far the making of sets is, on the standard error."""

import sys
import time

# Seconds between two states of the bar.
_INTERVAL = 0.2
_BAR = 24


class Progress:
    """A line for every finished set; on a terminal also a bar.

    Args:
        total: Number of images of all sets.
        sets: Number of sets.
        shown: Whether to write anything.
    """

    def __init__(self, total, sets, shown=True):
        self._shown = shown
        self._is_terminal = sys.stderr.isatty()
        self._total = total
        self._sets = sets
        self._finished = 0
        self._before = 0
        self._found = 0
        self._start = time.monotonic()
        self._drawn = 0.0

    def begin(self, name):
        """A set begins."""
        self._name = name
        self._done = None
        self._set_start = time.monotonic()

    def advance(self, done):
        """So many images of the set are there; first called before any work."""
        if self._done is None:
            # What an earlier run left says nothing about this one's speed.
            self._found_here = done
            self._found += done
        self._done = done
        now = time.monotonic()
        if self._is_terminal and now - self._drawn > _INTERVAL:
            self._drawn = now
            self._write(f"\r{self._bar(now)}\x1b[K")

    def end(self):
        """The set is finished."""
        self._finished += 1
        self._before += self._done
        made = self._done - self._found_here
        seconds = time.monotonic() - self._set_start
        what = (
            f"{made:,} images in {seconds:.1f} s" if made else "there already"
        )
        clear = "\r\x1b[K" if self._is_terminal else ""
        width = len(str(self._sets))
        self._write(
            f"{clear}[{self._finished:>{width}}/{self._sets}] "
            f"{self._name:<20} {what}\n"
        )

    def _bar(self, now):
        done = self._before + self._done
        full = int(_BAR * done / self._total)
        rate = (done - self._found) / max(now - self._start, 1e-3)
        left = ""
        if rate:
            minutes, seconds = divmod(int((self._total - done) / rate), 60)
            left = f" {rate:,.0f} images/s, {minutes}:{seconds:02} left"
        return (
            f"[{'=' * full}{' ' * (_BAR - full)}] "
            f"{100 * done / self._total:3.0f} % {self._name}{left}"
        )

    def _write(self, text):
        if self._shown:
            print(text, end="", file=sys.stderr, flush=True)
