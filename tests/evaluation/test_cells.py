"""Cells on disk: torn lines, broken lines, atomic files."""

import dataclasses
import os

import pytest

from noisymix_tf.evaluation.cells import CellFile
from noisymix_tf.evaluation.files import write_atomically
from support.evaluation_toys import cell
from support.usage import assert_usage_error

CELL = cell("c", "contrast", 2)
OTHER = dataclasses.replace(CELL, severity=3)
SUMS = {"correct": 7, "nll_sum": 1 / 3, "bins": [[10, 7.5, 7]]}


def test_lines_come_back_whole_and_only_the_last_may_be_torn(tmp_path):
    file = CellFile(tmp_path / "run" / "cells.jsonl")
    assert file.read() == {}
    with pytest.raises(ValueError, match="JSON"):
        file.append(CELL, {"nll_sum": float("nan")})
    file.append(CELL, {**SUMS, "correct": 8})
    file.append(CELL, SUMS)  # Of two the later counts.
    head = file.path.read_bytes()
    file.append(OTHER, SUMS)
    both = file.path.read_bytes()
    assert file.read() == {CELL: SUMS, OTHER: SUMS} and both.count(b"\n") == 3
    for length in (*range(len(head), len(both), 7), len(both) - 1):
        file.path.write_bytes(both[:length])
        complete = length == len(both) - 1  # Only the end of the line is lost.
        assert set(file.read()) == ({CELL, OTHER} if complete else {CELL})
        # The file is whole again: another line can follow.
        assert file.path.read_bytes() == (both if complete else head)
        file.append(OTHER, SUMS)
        assert set(file.read()) == {CELL, OTHER}
    one, _, *others = both.splitlines(keepends=True)
    for line in (b"{}", b"nonsense", b"[1, 2]", b"3"):
        file.path.write_bytes(b"".join([one, line + b"\n", *others]))
        assert_usage_error(file.read, "cells.jsonl, line 2 ", "remove")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path, plain = tmp_path / "report.md", tmp_path / "plain"
    write_atomically(path, "old")
    plain.write_text("old")
    # Others can read it as any file.
    assert path.stat().st_mode == plain.stat().st_mode
    monkeypatch.setattr(os, "fsync", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert set(tmp_path.iterdir()) == {path, plain}
