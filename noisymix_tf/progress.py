"""What a command says: a line, or how far a long work is."""

import shutil
import sys
import time

_BAR = 12
# Seconds between two lines, and between two states of the bar.
_PAUSE, _REDRAW = 10.0, 0.2
_state = {"is_quiet": False}


def be_quiet() -> None:
    """From now on only `warn` says something."""
    _state["is_quiet"] = True


def is_quiet() -> bool:
    """Whether a command was given `--quiet`."""
    return _state["is_quiet"]


def say(words: str) -> None:
    """Prints a line on the standard error, at once, unless it is quiet."""
    if not is_quiet():
        warn(words)


def warn(words: str) -> None:
    """Prints a line that is wanted however quiet it is."""
    print(words, file=sys.stderr, flush=True)


class Progress:
    """Tells how much is done and how long the rest takes.

    It writes to `stream`, by default the standard error, and draws a `bar`, by
    default on terminals.

    >>> progress = Progress(sys.stdout)
    >>> progress.begin(total=1000, done=250, seconds=90)
     25 %  about 2 min
    """

    def __init__(self, stream=None, bar: bool | None = None):
        self._stream = stream or sys.stderr
        self._bar = self._stream.isatty() if bar is None else bar

    def begin(self, total: int, done: int = 0, seconds=None) -> None:
        """So much of a total is done; the rest takes `seconds`, if known."""
        self._total, self._found = total, done
        self._start = time.monotonic()
        self._tell(done, f"about {duration(seconds)}" if seconds else "")

    def advance(self, done: int, text: str = "") -> None:
        """So much of the total is done now; the text says what it was."""
        now, new = time.monotonic(), done - self._found
        if new and now - self._told >= (_REDRAW if self._bar else _PAUSE):
            rest = (now - self._start) * (self._total - done) / new
            self._tell(done, f"{duration(rest)} left", text)

    def end(self) -> None:
        """All is done."""
        spent = duration(time.monotonic() - self._start)
        self._tell(self._total, f"in {spent}", end="\n")

    def _tell(self, done, *words, end=""):
        self._told = time.monotonic()
        if is_quiet():
            return
        share = done / self._total if self._total else 1.0
        line = "  ".join(filter(None, (f"{int(100 * share):3} %", *words)))
        if self._bar:
            bar = "=" * int(_BAR * share)
            # A full line would wrap, and the next bar stand below it.
            width = shutil.get_terminal_size().columns - 1
            line = f"\r{f'[{bar:{_BAR}}] {line}'[:width]}\x1b[K"
        end = end if self._bar else "\n"
        print(line, end=end, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: `"1 h 05 min"`, `"3 min"`, `"12 s"`."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min" if seconds >= 59.5 else f"{round(seconds)} s"
