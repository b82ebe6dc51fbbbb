"""What an evaluation says while it works."""

import io

import pytest
from evaluation_toys import cell, flip_sums, run, sums

from noisymix_tf import evaluation
from noisymix_tf.evaluation import progress as progress_lib
from noisymix_tf.evaluation.progress import Progress, duration, headline


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
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (89, "1 min"),
        (91, "2 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_headlines():
    assert headline(FOG, sums(0.941)) == "accuracy  94.10 %"
    assert headline(TILT, flip_sums(0.05)) == "flip probability   5.00 %"
    assert headline(FOG, {"seconds": 1.0}) == "n = 200"


def test_lines_with_an_estimate(monkeypatch):
    """The cells to come take as long as those that were measured now."""
    clock = Clock(monkeypatch)
    stream = io.StringIO()
    progress = Progress(stream)
    clock.now += 10
    progress(FOG, sums(0.5), 5, 10)  # Four had been finished before.
    clock.now += 30
    progress(TILT, flip_sums(0.25), 6, 10)
    clock.now += 3600
    progress(FOG, sums(0.5), 7, 10)
    clock.now += 1
    progress(FOG, sums(1.0), 10, 10)
    one, two, three, last = stream.getvalue().splitlines()
    assert one.startswith("[ 5/10] toy/c/fog/3 ")
    assert "accuracy  50.00 %" in one and "200 images/s" in one
    assert one.endswith("  50 s left")
    assert "flip probability  25.00 %" in two and "200 sequences/s" in two
    assert two.endswith("  1 min left")  # 20 seconds each, four to come.
    assert three.endswith("  1 h 01 min left")
    assert last.startswith("[10/10]") and not last.endswith("left")


def test_a_bar_on_a_terminal(monkeypatch):
    clock = Clock(monkeypatch)
    stream = Terminal()
    progress = Progress(stream)
    for done in (1, 2, 4):
        clock.now += 5
        progress(FOG, sums(0.5), done, 4)
    drawn = stream.getvalue()
    # One line that is drawn over, and cleared to its end.
    assert drawn.count("\n") == 1 and drawn.endswith("\x1b[K\n")
    one, two, last = drawn.split("\r")[1:]
    assert one.startswith(f"[{'=' * 6}{' ' * 18}] 1/4  15 s left  toy/c/fog/3")
    assert two.startswith(f"[{'=' * 12}{' ' * 12}] 2/4  10 s left")
    assert last.startswith(f"[{'=' * 24}] 4/4  toy/c/fog/3  accuracy")


def test_long_names_stay_on_one_line():
    stream = Terminal()
    long = cell("pgd", None, 0, setting="linf eps=4/255 " + 20 * "words ")
    Progress(stream)(long, sums(0.5), 1, 2)
    assert len(stream.getvalue()) < 120
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize("bar", [True, False])
def test_the_choice_is_the_users(bar):
    stream = io.StringIO() if bar else Terminal()
    Progress(stream, bar=bar)(FOG, sums(0.5), 1, 2)
    assert stream.getvalue().startswith("\r[" if bar else "[1/2]")


def test_an_evaluation_tells(capsys):
    run(progress=evaluation.Progress())
    lines = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in lines] == [f"[{k}/5]" for k in range(1, 6)]
    assert "left" in lines[0] and "left" not in lines[-1]
    stream = io.StringIO()
    run(suites=("p",), perturbations=("tilt",), progress=Progress(stream))
    assert "flat/p/tilt/1" in stream.getvalue()
    assert "sequences/s" in stream.getvalue()
