"""What a long work says: shares, time left, and how wide a line is."""

import io
import os

from noisymix_tf import progress as progress_lib
from noisymix_tf.command_line import parse_words
from noisymix_tf.config import Config
from noisymix_tf.progress import Progress, duration

Terminal = type("Terminal", (io.StringIO,), {"isatty": lambda _: True})


def test_time_left_is_of_this_run_and_a_bar_is_one_line(monkeypatch):
    clock, size = [100.0], os.terminal_size((40, 24))
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress_lib.shutil, "get_terminal_size", lambda: size)
    # The first line at once, others every ten seconds; a bar more often, never
    # as wide as the terminal, or the next would stand below it.
    lines = " 20 %  about 2 min\n", " 40 %  36 s left  fog", "100 %  in 30 s\n"
    bars = "\r[==          ]  20 %  about", "]  30 %  42 s left  fog fo\x1b"
    for stream, wanted in ((io.StringIO(), lines), (Terminal(), bars)):
        progress = Progress(stream)
        progress.begin(1000, done=200, seconds=90)  # Found there by this run.
        for done in (200, 300, 400, 500, 600):  # 100 in each six seconds.
            progress.advance(done, "fog " * 9)
            clock[0] += 6
        progress.end()
        told = stream.getvalue()
        assert all(words in told for words in wanted) and told[-1] == "\n"
        assert told.count("\n") == (1 if stream.isatty() else 4)
    # Nothing to do, and the choice of a bar.
    for stream, bar in ((io.StringIO(), True), (Terminal(), False)):
        progress = Progress(stream, bar=bar)
        progress.begin(0)
        progress.end()
        assert ("\r[" in stream.getvalue()) == bar
        assert stream.getvalue().count("100 %") == 2
    words = {59.4: "59 s", 59.6: "1 min", 91: "2 min", 3569: "59 min"}
    words |= {3571: "1 h 00 min", 90_000: "25 h 00 min"}
    assert {seconds: duration(seconds) for seconds in words} == words


def test_what_is_wanted_is_said_however_quiet_it_is(monkeypatch, capsys):
    """A method's line of a benchmark refused --quiet; failures were silent."""
    monkeypatch.setitem(progress_lib._state, "is_quiet", False)
    assert parse_words(["--quiet", "--epochs=3"], Config).epochs == 3
    progress_lib.say("Writing to runs/a")
    Progress().begin(total=3)
    progress_lib.warn("failed: runs/b")
    assert capsys.readouterr().err == "failed: runs/b\n"
