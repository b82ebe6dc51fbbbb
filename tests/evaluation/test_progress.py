"""What an evaluation says while it works."""

import io

from noisymix_tf.evaluation import progress as progress_lib
from noisymix_tf.evaluation.progress import Progress, duration, headline
from support.evaluation_toys import cell, flip_sums, sums

FOGS = [cell("c", "fog", severity) for severity in range(1, 6)]
FOG, SNOW, TILT = FOGS[0], cell("c", "snow", 1), cell("p", "tilt", 1)
PGD = cell("pgd", None, 0, setting="linf eps=1/255, 10 steps of 1, 1 search")
Terminal = type("Terminal", (io.StringIO,), {"isatty": lambda _: True})


def test_lines_now_and_then(monkeypatch):
    """The first, the last, and one every ten seconds."""
    clock, stream = [100.0], io.StringIO()
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: clock[0])
    progress = Progress(stream)
    progress.begin(FOGS)
    for done, now in enumerate(FOGS, start=6):  # Five were finished before.
        progress(now, sums(0.5), done, 10)
        clock[0] += 6
    progress(TILT, flip_sums(0.25), 10, 10)
    first, later, last, flips = stream.getvalue().splitlines()
    assert first.startswith("[ 6/10] toy/c/fog/1 ")
    assert "accuracy  50.00 %" in first and "200 images/s" in first
    assert first.endswith("  4 s left")
    assert later.startswith("[ 8/10]") and later.endswith("  2 s left")
    assert last.startswith("[10/10]") and not last.endswith("left")
    assert "flip probability  25.00 %" in flips and "200 sequences/s" in flips
    assert headline(FOG, {"seconds": 1.0}) == "n = 200"  # A suite of one's own.


def test_a_bar_on_a_terminal_is_one_line_and_durations_have_units():
    stream = Terminal()
    progress = Progress(stream)
    progress.begin([FOG, TILT, PGD])
    progress(FOG, sums(0.5), 2, 3)
    progress(TILT, flip_sums(0.5), 3, 3)
    # Drawn over, and cleared to its end.
    one, last = stream.getvalue().split("\r")[1:]
    # A sequence has 31 frames; a step of PGD is four passes, and traced.
    bar = f"[{'=' * 8}{' ' * 4}] 2/3  1 min left  toy/c/fog/1  accuracy"
    assert duration(31 + 4 * 10 + 3) == "1 min" and one.startswith(bar)
    assert last.startswith(f"[{'=' * 12}] 3/3  24 s left  toy/p/tilt/1  flip")
    assert "\n" not in one and last.endswith("\x1b[K\n")
    # The choice is the user's.
    for stream, bar in ((io.StringIO(), True), (Terminal(), False)):
        Progress(stream, bar=bar)(PGD, sums(0.5), 1, 2)
        drawn = stream.getvalue()
        assert drawn.startswith("\r[" if bar else "[1/2]")
        assert not bar or len(drawn.strip("\r").removesuffix("\x1b[K")) < 80
    words = {59.4: "59 s", 59.6: "1 min", 91: "2 min", 3569: "59 min"}
    words |= {3571: "1 h 00 min", 90_000: "25 h 00 min"}
    assert {seconds: duration(seconds) for seconds in words} == words
