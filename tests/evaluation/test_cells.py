"""Cells on disk: torn lines, broken lines, atomic files."""

import dataclasses
import os

import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.cells import Cell, CellFile
from noisymix_tf.evaluation.files import write_atomically

CELL = Cell(
    dataset="toy",
    suite="c",
    corruption="contrast",
    severity=2,
    source="generated",
    n=10,
    model="abc",
    data="0f",
    seed=0,
    generator="1-cifar",
)
OTHER = dataclasses.replace(CELL, severity=3)
SUMS = {"correct": 7, "nll_sum": 1 / 3, "bins": [[10, 7.5, 7]]}


@pytest.fixture
def file(tmp_path):
    return CellFile(tmp_path / "run" / "cells.jsonl")


def test_no_file_means_no_cells(file):
    assert file.read() == {}


def test_lines_come_back_exactly(file):
    file.append(CELL, SUMS)
    file.append(OTHER, {**SUMS, "correct": 8})
    assert file.read() == {CELL: SUMS, OTHER: {**SUMS, "correct": 8}}
    assert file.path.read_bytes().count(b"\n") == 2


def test_of_two_equal_cells_the_later_counts(file):
    file.append(CELL, SUMS)
    file.append(CELL, {**SUMS, "correct": 9})
    assert file.read()[CELL]["correct"] == 9


def test_a_line_torn_anywhere_is_dropped_or_whole(file):
    file.append(CELL, SUMS)
    head = file.path.read_bytes()
    file.append(OTHER, SUMS)
    both = file.path.read_bytes()
    for length in range(len(head), len(both)):
        file.path.write_bytes(both[:length])
        complete = length == len(both) - 1  # Only the end of the line is lost.
        wanted = {CELL, OTHER} if complete else {CELL}
        assert set(file.read()) == wanted
        # The file is whole again: another line can follow.
        assert file.path.read_bytes() == (both if complete else head)
        file.append(OTHER, SUMS)
        assert set(file.read()) == {CELL, OTHER}


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b"[1, 2]", b"3"])
def test_a_broken_line_inside_is_named(file, line):
    file.append(CELL, SUMS)
    with file.path.open("ab") as raw:
        raw.write(line + b"\n")
    file.append(OTHER, SUMS)
    with pytest.raises(UsageError, match=r"cells\.jsonl, line 2 .*remove"):
        file.read()


def test_numbers_that_json_does_not_have_are_refused(file):
    with pytest.raises(ValueError, match="JSON"):
        file.append(CELL, {"nll_sum": float("nan")})
    assert file.read() == {}


def test_cell_names():
    assert CELL.name == "toy/c/contrast/2"
    clean = dataclasses.replace(
        CELL, suite="clean", corruption=None, severity=0
    )
    assert clean.name == "toy/clean"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_atomic_files_can_be_read_by_others(tmp_path):
    path = tmp_path / "report.md"
    write_atomically(path, "text")
    plain = tmp_path / "plain"
    plain.write_text("text")
    assert path.stat().st_mode == plain.stat().st_mode
