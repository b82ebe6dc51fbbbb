"""Records on disk: rows in their places, whole after a kill, joined."""

import dataclasses
import os

import numpy as np
import pytest

from noisymix_tf.evaluation.records import FILE, Cell, Records
from noisymix_tf.files import write_atomically
from support.evaluation_toys import cell
from support.usage import assert_usage_error

ROW = np.dtype([("right", "?"), ("nll", "<f8")])
FOG = cell("c", "fog", 2, n=10)
SNOW = dataclasses.replace(FOG, corruption="snow")


def rows(start, stop):
    made = np.zeros(stop - start, ROW)
    made["nll"] = np.arange(start, stop) / 3
    return made


def test_rows_come_back_in_their_places_from_several_folders(tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with Records(folders[0]) as records:
        # Chunks of another size, which overlap, and come in any order.
        for start, stop in ((6, 10), (0, 4)):
            took = {"forward_seconds": 0.5}
            records.add([(FOG, start, rows(start, stop), took)])
        covered = [True] * 4 + [False] * 2 + [True] * 4
        # Kept at once, whatever the process is killed at later.
        with Records(folders[0]) as again:
            assert again.covered(FOG).tolist() == covered
        words = 'toy "<&>"/c/fog/2 (generated) lacks 2 of 10 rows'
        assert_usage_error(lambda: records.rows(FOG, ROW), words)
        records.set_fact("plan", {"n": 1})
        records.set_fact("plan", {"n": 2})
    with Records(folders[1]) as other:
        other.add([(FOG, 2, rows(2, 8), {}), (SNOW, 0, rows(0, 10), {})])
    with Records(folders[0]) as records:
        records.take(folders[1])
        for each in (FOG, SNOW):
            np.testing.assert_array_equal(records.rows(each, ROW), rows(0, 10))
        assert records.seconds([FOG, SNOW]) == {"forward_seconds": 1.0}
        assert (records.fact("plan"), records.fact("other")) == ({"n": 2}, None)


def test_a_chunk_is_kept_whole_or_not_at_all_and_damage_is_named(tmp_path):
    records = Records(tmp_path)
    with pytest.raises(AttributeError):
        records.add([(FOG, 0, rows(0, 10), {}), (None, 0, rows(0, 10), {})])
    assert not records.covered(FOG).any()
    records.close()
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    assert_usage_error(lambda: Records(tmp_path), FILE, "remove the file")


def test_another_field_is_another_key():
    fields = [{field.name: "x"} for field in dataclasses.fields(Cell)]
    keys = {dataclasses.replace(FOG, **own).key for own in fields}
    assert len(keys | {FOG.key}) == 1 + len(fields)


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
