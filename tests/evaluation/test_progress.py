"""What an evaluation says while it works."""

import io
import re

import pytest

from noisymix_tf.evaluation import progress as progress_lib
from noisymix_tf.evaluation.progress import Progress, duration, headline
from support.evaluation_toys import cell, flip_sums, sums


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Time passes by hand."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress_lib.time, "monotonic", lambda: self.now)


FOG = cell("c", "fog", 3)
TILT = cell("p", "tilt", 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59.4, "59 s"),
        (59.6, "1 min"),
        (91, "2 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_lines_now_and_then(monkeypatch):
    """The first, the last, and one every ten seconds."""
    clock = Clock(monkeypatch)
    stream = io.StringIO()
    progress = Progress(stream)
    cells = [cell("c", "fog", severity) for severity in range(1, 6)]
    progress.begin(cells)
    for done, now in enumerate(cells, start=6):  # Five were finished before.
        progress(now, sums(0.5), done, 10)
        clock.now += 6
    first, later, last = stream.getvalue().splitlines()
    assert first.startswith("[ 6/10] toy/c/fog/1 ")
    assert "accuracy  50.00 %" in first and "200 images/s" in first
    assert first.endswith("  4 s left")
    assert later.startswith("[ 8/10]") and later.endswith("  2 s left")
    assert last.startswith("[10/10]") and not last.endswith("left")
    progress(TILT, flip_sums(0.25), 10, 10)
    assert "flip probability  25.00 %" in stream.getvalue()
    assert "200 sequences/s" in stream.getvalue()
    assert headline(FOG, {"seconds": 1.0}) == "n = 200"  # A suite of one's own.


# Seconds of a cell of 200 images, by suite and corruption.
COSTS = {
    ("clean", None): 0.2,
    ("c", "gaussian_noise"): 0.2,
    ("c", "snow"): 0.5,
    ("c", "frost"): 0.3,
    ("p", "tilt"): 6.0,
    ("p", "spatter"): 9.0,
    ("fgsm", None): 4.0,
    ("pgd", None): 12.0,
}


def test_the_time_left_is_right_within_a_factor_of_two(monkeypatch):
    """Cells counted alike, though one of p takes as long as thirty of c.

    "4 s left" stood for a minute there, and frost's textures, for which the
    last cell of snow waits, made the rest look long.
    """
    clock = Clock(monkeypatch)
    names = ("gaussian_noise", "snow", "frost")
    cells = [
        cell("clean", None, 0),
        *(cell("c", name, k) for name in names for k in range(1, 6)),
        cell("p", "tilt", 1),
        cell("p", "spatter", 1),
        cell("fgsm", None, 0, setting="linf eps=4/255 log_odds"),
        cell("pgd", None, 0, setting="linf eps=1/255, 10 steps of 1, 1 search"),
    ]
    seconds = [COSTS[c.suite, c.corruption] for c in cells]
    seconds[cells.index(cell("c", "snow", 5))] += 8
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin(cells)
    for k, now in enumerate(cells):
        clock.now += 10
        progress(now, {**sums(0.5), "seconds": seconds[k]}, k + 1, len(cells))
    estimates = re.findall(r"  (\d+) s left", stream.getvalue())
    assert len(estimates) == len(cells) - 1
    for k, estimate in enumerate(map(int, estimates), start=1):
        left = sum(seconds[k:])
        assert left / 2 <= estimate <= 2 * left, (cells[k - 1].name, left)


def test_a_bar_on_a_terminal_is_one_line_of_80_columns():
    stream = Terminal()
    progress = Progress(stream)
    progress.begin([FOG, TILT])
    progress(FOG, sums(0.5), 2, 3)
    progress(TILT, flip_sums(0.5), 3, 3)
    drawn = stream.getvalue()
    # Drawn over, and cleared to its end.
    assert drawn.count("\n") == 1 and drawn.endswith("\x1b[K\n")
    one, last = drawn.split("\r")[1:]
    bar = f"[{'=' * 8}{' ' * 4}] 2/3  31 s left  toy/c/fog/3  accuracy"
    assert one.startswith(bar)
    assert last.startswith(f"[{'=' * 12}] 3/3  toy/p/tilt/1  flip")
    stream = Terminal()
    long = cell("pgd", None, 0, setting="linf eps=4/255 " + 20 * "words ")
    Progress(stream)(long, sums(0.5), 1, 2)
    assert len(stream.getvalue().strip("\r").removesuffix("\x1b[K")) < 80
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize("bar", [True, False])
def test_the_choice_is_the_users(bar):
    stream = io.StringIO() if bar else Terminal()
    Progress(stream, bar=bar)(FOG, sums(0.5), 1, 2)
    assert stream.getvalue().startswith("\r[" if bar else "[1/2]")
