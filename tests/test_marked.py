"""Results in pages: what is written, and what is said before any work."""

import datetime
import functools
import os
import subprocess
import sys

import pytest

from noisymix_tf import marked, provenance
from noisymix_tf.commands import COMMANDS
from support.usage import assert_usage_error

BEFORE, AFTER = "Größe\r\n\r\n<!-- a: begin -->\r\n", "<!-- a: end -->\nrest"
PAGE = f"{BEFORE}old\n{AFTER}"
COMMAND = "`python -m noisymix_tf toy --seeds=2 'a b'`"
GIT = """
git init -q
git -c user.name=a -c user.email=b commit -q --allow-empty -m x
git rev-parse --short HEAD
"""


@pytest.mark.parametrize("flag", [["--write_to", "x#a"], ["-write_to=x#a"]])
def test_a_table_replaces_the_one_before_it_alone(tmp_path, monkeypatch, flag):
    (page := tmp_path / "page.md").write_text(PAGE, newline="")
    (link := tmp_path / "link.md").symlink_to(page)
    monkeypatch.setattr(sys, "argv", ["-", "toy", *flag, "--seeds=2", "a b"])
    made = f"{datetime.date.today()}, {provenance.code()}"
    made = f"{COMMAND}, {made}; {provenance.machine()}"
    parts = "", "| a |", "### More", f"{made}. Seeds 0 to 1. 5 images.", AFTER
    for _ in range(2):
        text = "# Title\n\n| a |\n\n## More"
        marked.write(f"{link}#a", text, "Seeds 0 to 1", "5 images.")
        found = page.read_bytes().decode()
        assert found == BEFORE[:-2] + "\r\n\r\n".join(parts)
    assert link.is_symlink()


def test_what_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    twice, turned = f"{PAGE}\n<!-- a: end -->", f"{AFTER}\n{BEFORE}"
    for text, place, words in (
        (PAGE, "", "not of the form FILE#NAME"),
        (PAGE, "#b", "it has 0 lines <!-- b: begin -->"),
        (twice, "#a", "it has 2 lines <!-- a: end -->"),
        (turned, "#a", "its end stands before its begin"),
        ("\udcff", "#a", "it is no UTF-8 text"),
        (PAGE, "#a", "page is not writable"),
    ):
        page = tmp_path / "page"
        page.write_text(text, errors="surrogateescape")
        with monkeypatch.context() as patched:
            if "writable" in words:
                patched.setattr(os, "access", lambda *_: False)
            check = functools.partial(marked.check, f"{page}{place}")
            assert_usage_error(check, words)
    for line in "benchmark augmix", "compare --methods=nfm", "theory", "toy":
        name, *more = line.split()
        line = [name, *more, f"--output_dir={page}s", "--write_to=no#a"]
        command = functools.partial(COMMANDS.get(name), line)
        assert_usage_error(command, "--write_to=no#a", "No such file")
    assert [*tmp_path.iterdir()] == [page]


def test_a_commit_is_that_of_code_and_says_its_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    commit = provenance.commit.__wrapped__
    assert commit() is None
    name = subprocess.check_output(GIT, shell=True, cwd=tmp_path, text=True)
    (folder := tmp_path / "noisymix_tf").mkdir()
    (folder / "README.md").write_text("a page")
    assert commit() == name.strip()
    (folder / "a.py").write_text("code")
    assert commit() == f"{name.strip()} with changes"
