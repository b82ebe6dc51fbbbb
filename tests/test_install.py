"""What `pip install` brings: every flagfile, every command."""

import os
import shutil
import subprocess
import sys

import pytest

from noisymix_tf import __main__, flagfiles
from noisymix_tf.version import __version__
from support import ROOT
from support.usage import assert_usage_error


def _files(root, pattern):
    found = root.glob(pattern)
    return {(str(p.relative_to(root)), p.read_bytes()) for p in found}


@pytest.mark.slow
def test_a_wheel_knows_every_flagfile_and_method(tmp_path):
    """A wheel came without flags/, and knew no method."""
    # A copy: building leaves files in its folder.
    source, site = tmp_path / "source", tmp_path / "site"
    hidden = shutil.ignore_patterns(".*", "__pycache__", "tests", "runs")
    shutil.copytree(ROOT, source, ignore=hidden)
    (tmp_path / "empty").mkdir()

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        more = {"env": environment, "capture_output": True, "text": True}
        command, empty = [sys.executable, *command], tmp_path / "empty"
        done = subprocess.run(command, cwd=empty, **more)
        return done.returncode, done.stdout, done.stderr

    def pip(words, *more):
        assert run("-m", "pip", "-q", *words.split(), *more)[0] == 0

    pip("wheel --no-deps --no-build-isolation -w", tmp_path, source)
    pip("install --no-deps --target", site, *tmp_path.glob("*.whl"))
    code, flags = "noisymix_tf/**/*.py", "flags/**/*.*"
    assert _files(ROOT, code) == _files(site, code)
    assert _files(ROOT, flags) == _files(site / "noisymix_tf", flags)
    version = (0, f"noisymix_tf {__version__}\n", "")
    assert run(site / "bin" / "noisymix", "--version") == version
    assert run("-m", "noisymix_tf", "evaluate", "--version") == version
    for line, words in (
        ("train --flagfile=quickstart --method=nfm --output_dir=", "missing"),
        ("train --flagfile=flags/quickstart.flags --output_dir=", "missing"),
        ("compare --methods=nfm,none --output_dir=a", "'none'. Known: advers"),
    ):
        status, _, mistake = run("-m", "noisymix_tf", *line.split())
        assert status == 2 and words in mistake
    assert not list((tmp_path / "empty").iterdir())


def test_commands_are_all_doors(capsys, monkeypatch):
    """`python -m noisymix_tf` had no door, and named none."""
    doors = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in ROOT.glob("noisymix_tf/**/*.py")
        if "doors.run(main" in path.read_text()
    }

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["noisymix_tf", *words])
        __main__.main()
        return capsys.readouterr().out

    assert set(__main__.COMMANDS) == doors
    listed = run()
    assert all(f"\n  {name} " in listed for name in doors)
    assert "--output_dir: " in run("corruptions", "--help")
    with pytest.raises(SystemExit) as stop:
        run("trian", "--help")
    mistake = capsys.readouterr().err
    assert stop.value.code == 2 and mistake.count("\n") == 1
    assert mistake.startswith("error: Unknown command 'trian'. Known: train, ")


def test_names_of_flagfiles_mean_the_same_in_any_folder(tmp_path, monkeypatch):
    """Only in the root of the repository were any found; one's own wins."""
    monkeypatch.chdir(tmp_path)
    long = flagfiles.expand(["--flagfile=flags/cifar10_small.flags"])
    assert "--train_examples=10000" in long and "--mixing=manifold" in long
    assert flagfiles.expand(["--flagfile", "cifar10_small"]) == long
    method = flagfiles.expand(["--method", "cutmix"])
    assert method == flagfiles.expand(["--flagfile=method/cutmix"])
    own, line = tmp_path / "flags", ["--flagfile=flags/quickstart.flags"]
    own.mkdir()
    text = "# mine\n\n// too\n  --epochs=7\n--flagfile=flags/b.flags\n"
    (own / "quickstart.flags").write_text(text)
    words = "quickstart", "=flags/b.flags cannot"
    assert_usage_error(lambda: flagfiles.expand(line), *words)
    (own / "b.flags").write_text("--method=nfm\n--alpha=2\n")
    found = flagfiles.expand(["--seed=1", *line, "--seed=2"])
    words = "--seed=1 --epochs=7 --method=nfm --alpha=2 --seed=2"
    assert found == words.split()


def test_flagfiles_that_cannot_be_read_are_one_line(tmp_path):
    """A binary one was a traceback."""
    file, ring = tmp_path / "a.flags", tmp_path / "ring.flags"
    file.write_bytes(b"\x80\xff")
    ring.write_text(f"--flagfile={ring}\n")
    for given, words in (
        (file, "a.flags cannot be read (it is no"),
        (ring, "names itself"),
        ("x" * 300, "cannot be opened"),
        ("~nobody-of-this-name/a", "cannot be opened"),
    ):
        line = [f"--flagfile={given}"]
        assert_usage_error(lambda line=line: flagfiles.expand(line), words)
