"""Parts made with --shard: joined they are what one run makes, or refused."""

import dataclasses
import json
import shutil
import subprocess
import sys
from itertools import islice
from unittest.mock import MagicMock, Mock

import pytest

from noisymix_tf import __main__, data, evaluation, sets
from noisymix_tf.commands import beam, merge
from noisymix_tf.data.released import corrupted_images
from support import ROOT
from support.released_sets import contents
from support.usage import assert_usage_error

DIGITS = data.load("digits", test_examples=20)
NAMES = ["shot_noise", "contrast"]


def write(folder, shard="1/1", dataset=DIGITS, **options):
    shared = {"names": NAMES, "num_workers": 0, "progress": False}
    options = {**shared, "shard": shard, **options}
    return sets.write(dataset, folder, **options)


ARRAYS, TREE = {"severities": [1, 4]}, {"layout": "tree", "severities": [2, 3]}
FILMS = {"suite": "p", "names": ["shot_noise"], "crop": 20}


def join(parts, folder):
    merge.run(merge.MergeConfig(tuple(map(str, parts)), str(folder)))


@pytest.mark.parametrize("options", [ARRAYS, TREE, FILMS])
def test_parts_are_joined_to_what_one_run_writes(tmp_path, options, capsys):
    whole, joined = tmp_path / "whole", tmp_path / "joined"
    write(whole, **options)
    for part in (3, 1, 2):
        how = {"num_workers": part - 1, **options}
        write(tmp_path / str(part), f"{part}/3", **how)
    for folder in tmp_path.glob("1/contrast/2/*"):
        (folder / ".1.JPEG.partial").write_bytes(b"Left by a kill.")
    parts = [str(tmp_path / part) for part in "213"]
    for _ in range(2):
        __main__._hand_over(["", "merge", *parts, f"--output_dir={joined}"])
        assert contents(joined) == contents(whole)
    assert capsys.readouterr().err == f"Written: {joined}\n" * 2
    for file in islice(tmp_path.glob("1/contrast/2/*/[!.]*"), 1):
        file.unlink()
        words = "1/contrast/2 has 5 files, but had 6"
        assert_usage_error(lambda: join(parts, joined), words)


def test_what_is_no_whole(tmp_path, monkeypatch):
    one, two, odd, whole = (tmp_path / name for name in "12ow")
    write(one, "1/2")
    write(two, "2/2")
    write(two, "2/2", names=["contrast"])  # What it had before stays.
    assert (one / "sheets").exists() and not (two / "sheets").exists()

    def refused(folders, *words):
        assert_usage_error(lambda: join(folders, whole), *words)

    images = DIGITS.test.images.copy()
    images[-1] ^= 1
    changed = data.ArraySplit(images, DIGITS.test.labels)
    classes = (*DIGITS.class_names[:-1], "ten")
    for options, words in (
        ({"seed": 1}, "seed 1 (was 0)"),
        ({"dataset": dataclasses.replace(DIGITS, test=changed)}, "data "),
        ({"dataset": dataclasses.replace(DIGITS, class_names=classes)}, "clas"),
        ({"names": ["contrast"]}, "sets ['contrast.npy'] (was"),
        ({"shard": "3/3"}, "shard 3 (was 2)"),
        ({"shard": "1/2"}, "are both 1/2: give each part once"),
        ({"shard": "1/1"}, "is no part: its sets are whole"),
    ):
        shutil.rmtree(odd, ignore_errors=True)
        write(odd, **{"shard": "2/2", **options})
        refused([one, odd], words)
    refused([], "No part was given")
    refused([one], "Parts 2/2 are missing")
    refused([one, tmp_path], "holds no part of sets")
    call = lambda: corrupted_images(one, DIGITS)  # noqa: E731
    assert_usage_error(call, "part 1/2 of sets", "noisymix_tf merge")
    assert_usage_error(lambda: write(one, "2/2"), "shard 2/2 (was 1/2)")
    for name in ("labels.npy", "contrast.npy"):
        content = (two / name).read_bytes()
        (two / name).write_bytes(content[:-8] + b"\1" * 8)
        refused([one, two], f"{name} is not what it was")
        (two / name).unlink()
        refused([one, two], f"{name} is not what it was")
        (two / name).write_bytes(content)
    (one / "sheets").rename(tmp_path / "sheets")
    refused([one, two], "sheets is missing: the part's command")
    (tmp_path / "sheets").rename(one / "sheets")
    manifest = json.loads((two / "manifest.json").read_text())
    # Earlier versions did not note it.
    del manifest["files"]["labels.npy"]
    (two / "manifest.json").write_text(json.dumps(manifest))
    join([one, two], whole)
    del manifest["files"]["contrast.npy"]
    (two / "manifest.json").write_text(json.dumps(manifest))
    refused([one, two], "is not finished, it lacks contrast.npy")
    # Those of an evaluation are handed over.
    (odd / "records.sqlite").touch()
    refused([one, odd], f"{odd} is of an evaluation, {one} is not")
    monkeypatch.setattr(evaluation, "merge", Mock(), raising=False)
    join([odd], whole)
    evaluation.merge.assert_called_once_with((str(odd),), str(whole))


def test_jobs_that_make_no_sense_and_ones_that_do(tmp_path, monkeypatch):
    for line, words in (
        ("--output_dir={} -- corrupt", "Give --shards=N; after -- corr"),
        ("--shards=2 --output_dir={} -- train", "after -- corrupt or eva"),
        ("--shards=2 -- corrupt", "--output_dir is missing"),
        ("--shards=2 --output_dir={} -- evaluate --shard=1/2", "leave it out"),
    ):
        argv = ["beam", *line.format(tmp_path / "a").split()]
        assert_usage_error(lambda argv=argv: beam.main(argv), words)
    assert not list(tmp_path.iterdir())
    for name in ("", ".options", ".options.pipeline_options"):
        monkeypatch.setitem(sys.modules, f"apache_beam{name}", MagicMock())
    monkeypatch.setattr(merge, "run", Mock())
    line = f"--shards 1 --x=1 --output_dir {tmp_path}/a/ -- corrupt"
    beam.main(["beam", *line.split()])
    part, whole = f"{tmp_path}/a.parts/1-of-1", f"{tmp_path}/a/"
    config = merge.MergeConfig((part,), whole)
    merge.run.assert_called_once_with(config)


@pytest.mark.slow
def test_beam_makes_what_one_run_makes(tmp_path):
    """On its local runner, in two processes; what a part said is told."""
    pytest.importorskip("apache_beam", reason="needs noisymix_tf[beam]")
    line = "--direct_running_mode=multi_processing --direct_num_workers=2 "
    line += "--shards=3 --output_dir={}/{} -- corrupt --test_examples=20 "
    line += "--num_workers=1 --corruptions={}"
    command = [sys.executable, "-m", "noisymix_tf", "beam"]
    how = {"capture_output": True, "text": True, "cwd": ROOT}
    words = line.format(tmp_path, "a", ",".join(NAMES)).split()
    done = subprocess.run([*command, *words], **how)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "a") == contents(write(tmp_path / "whole"))
    words = line.format(tmp_path, "b", "nothing").split()
    done = subprocess.run([*command, *words], **how)
    last = done.stderr.strip().rpartition("\n")[2]
    assert "/3 ended with 2: error: Unknown corruption 'nothing'." in last
    assert done.returncode == 2
