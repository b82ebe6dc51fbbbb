"""A part is one file: of a user's own each kind works as those of the house."""

import pytest

from noisymix_tf import plugins
from support import door_processes
from support.usage import assert_usage_error

PARTS = "--plugins=tests/support/own_parts.py"
LINE = (
    f"{PARTS} --flagfile=flags/quickstart.flags --model=linear --taps=stage1 "
    "--views=dim --dim_by=3 --num_views=2 --adversary=grey --grey_levels=2 "
    "--mixing=halves --halves_place=0.25 --epochs=1 --train_examples=64 "
    "--test_examples=20 --batch_size=32 --suites=clean,c,negative "
    "--corruptions=darker --severities=2 --noexport --notensorboard"
).split()


def run(*words):
    done = door_processes.run("noisymix_tf", *map(str, words))
    assert done.returncode == 0, done.stderr
    return done


def test_a_file_of_ones_own_parts_trains_evaluates_and_compares(tmp_path):
    folder = tmp_path / "runs" / "own"
    said = run("train", *LINE, f"--output_dir={folder}").stdout
    assert "Accuracy on negatives" in said
    flags = (folder / "flags.txt").read_text().split()
    assert {"--halves_place=0.25", "--dim_by=3", "--grey_levels=2.0"} <= {
        *flags
    }
    assert {PARTS, "--mixing=halves"} <= {*flags}
    table = run("compare", PARTS, folder.parent).stdout
    assert " Negatives |" in table
    text = run("train", PARTS, "--helpfull").stdout
    for flag in ("halves_place", "dim_by", "grey_levels"):
        assert f"--{flag}: " in text
    assert "Known: none, augmix" in " ".join(text.split()) and "linear" in text
    listed = run(PARTS, "--help").stdout
    assert "\n  hello " in listed
    assert run("hello", PARTS, "you").stdout == f"hello {PARTS} you\n"
    line = f"benchmark nothing {PARTS} --model=linear --rounds=2"
    assert run(*line.split()).stdout.endswith("2 times nothing, linear\n")


@pytest.mark.parametrize("path", ["none.py", "tests", "README.md", "setup.cfg"])
def test_what_is_no_file_of_parts_is_one_line(path):
    for words in ([f"--plugins={path}"], ["--plugins", path]):
        call = lambda words=words: plugins.load(words)  # noqa: E731
        assert_usage_error(call, f"--plugins={path} is no Python file")
