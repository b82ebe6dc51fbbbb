"""What an evaluation says while it works."""

import io
import re

import pytest

from noisymix_tf.evaluation import progress as progress_lib
from noisymix_tf.evaluation.progress import Progress, duration, headline
from support.evaluation_toys import cell, flip_sums, sums

FOG = cell("c", "fog", 3)
TILT = cell("p", "tilt", 1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time passes by hand."""
    now = [100.0]
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: now[0])
    return now


def test_durations():
    words = {59.4: "59 s", 59.6: "1 min", 91: "2 min", 3569: "59 min"}
    words |= {3571: "1 h 00 min", 90_000: "25 h 00 min"}
    assert {seconds: duration(seconds) for seconds in words} == words


def test_lines_now_and_then(clock):
    """The first, the last, and one every ten seconds."""
    stream = io.StringIO()
    progress = Progress(stream)
    cells = [cell("c", "fog", severity) for severity in range(1, 6)]
    progress.begin(cells)
    for done, now in enumerate(cells, start=6):  # Five were finished before.
        progress(now, sums(0.5), done, 10)
        clock[0] += 6
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


def test_the_time_left_is_right_within_a_factor_of_two(clock):
    """Cells counted alike, though one of p takes as long as thirty of c.

    "4 s left" stood for a minute there, and frost's textures, for which the
    last cell of snow waits, made the rest look long.
    """
    costs = {cell("clean", None, 0): 0.2}
    for name, cost in (("gaussian_noise", 0.2), ("snow", 0.5), ("frost", 0.3)):
        costs |= {cell("c", name, severity): cost for severity in range(1, 6)}
    costs[cell("c", "snow", 5)] += 8
    costs |= {TILT: 6.0, cell("p", "spatter", 1): 9.0}
    costs[cell("fgsm", None, 0, setting="linf eps=4/255 log_odds")] = 4.0
    words = "linf eps=1/255, 10 steps of 1, 1 search"
    costs[cell("pgd", None, 0, setting=words)] = 12.0
    stream, seconds = io.StringIO(), list(costs.values())
    progress = Progress(stream)
    progress.begin(list(costs))
    for k, (now, cost) in enumerate(costs.items(), start=1):
        clock[0] += 10
        progress(now, {**sums(0.5), "seconds": cost}, k, len(costs))
    estimates = re.findall(r"  (\d+) s left", stream.getvalue())
    assert len(estimates) == len(costs) - 1
    for k, estimate in enumerate(map(int, estimates), start=1):
        left = sum(seconds[k:])
        assert left / 2 <= estimate <= 2 * left, (list(costs)[k - 1], left)


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
    # The choice is the user's.
    for stream, bar in ((io.StringIO(), True), (Terminal(), False)):
        long = cell("pgd", None, 0, setting=20 * "words ")
        Progress(stream, bar=bar)(long, sums(0.5), 1, 2)
        drawn = stream.getvalue()
        assert drawn.startswith("\r[" if bar else "[1/2]")
        assert not bar or len(drawn.strip("\r").removesuffix("\x1b[K")) < 80
