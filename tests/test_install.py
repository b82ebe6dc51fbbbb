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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package as a wheel has it, and the script."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: building leaves files in its folder.
    source = folder / "source"
    for name in ("noisymix_tf", "flags"):
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=hidden)
    files = "README.md LICENSE requirements.txt setup.cfg setup.py"
    for name in (*files.split(), "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation"]
    install = [*pip, "install", "--no-deps", "--target", folder / "site"]
    for command in ([*build, "-w", folder, source], [*install]):
        wheels = folder.glob("*.whl")
        subprocess.run([*command, *wheels], check=True)
    return folder / "site"


@pytest.mark.slow
def test_a_wheel_knows_every_flagfile_and_method(installed, tmp_path):
    """A wheel came without flags/, and knew no method."""
    inside = installed / "noisymix_tf" / "flags"
    for path in (ROOT / "flags").rglob("*"):
        if path.is_file():
            copy = inside / path.relative_to(ROOT / "flags")
            assert copy.read_bytes() == path.read_bytes()
    modules = {p.relative_to(ROOT) for p in ROOT.glob("noisymix_tf/**/*.py")}
    assert all((installed / module).is_file() for module in modules)

    def run(*words):
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    package = [sys.executable, "-m", "noisymix_tf"]
    script = [sys.executable, installed / "bin" / "noisymix"]
    version = f"noisymix_tf {__version__}\n"
    assert run(*script, "--version") == (0, version, "")
    assert run(*package, "evaluate", "--version") == (0, version, "")
    for line in (
        ["--flagfile=quickstart", "--method=nfm"],
        ["--flagfile=flags/quickstart.flags", "--method=noisymix"],
    ):
        status, _, mistake = run(*package, "train", *line, "--output_dir=")
        assert status == 2 and "--output_dir is missing" in mistake
    line = ["--methods=nfm,none", "--output_dir=a"]
    status, _, mistake = run(*package, "compare", *line)
    assert status == 2 and "'none'. Known: adversarial, " in mistake
    assert not list(tmp_path.iterdir())


def test_commands_are_all_doors(capsys, monkeypatch):
    """`python -m noisymix_tf` had no door, and named none."""
    doors = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in ROOT.glob("noisymix_tf/**/*.py")
        if "doors.run(main" in path.read_text()
    }
    assert set(__main__.COMMANDS) == doors
    monkeypatch.setattr(sys, "argv", ["noisymix_tf"])
    __main__.main()
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in doors)
    monkeypatch.setattr(sys, "argv", ["noisymix_tf", "trian", "--help"])
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert stop.value.code == 2
    mistake = capsys.readouterr().err
    assert mistake.startswith("error: Unknown command 'trian'. Known: train, ")
    assert mistake.count("\n") == 1
    monkeypatch.setattr(sys, "argv", ["noisymix_tf", "corruptions", "--help"])
    __main__.main()
    assert "--output_dir: " in capsys.readouterr().out


def test_names_of_flagfiles_mean_the_same_in_any_folder(tmp_path, monkeypatch):
    """Only in the root of the repository were any found."""
    monkeypatch.chdir(tmp_path)
    long = flagfiles.expand(["--flagfile=flags/cifar10_small.flags"])
    assert "--train_examples=10000" in long and "--mixing=manifold" in long
    assert flagfiles.expand(["--flagfile", "cifar10_small"]) == long
    assert flagfiles.expand(["--method", "cutmix"]) == flagfiles.expand(
        ["--flagfile=method/cutmix"]
    )


def test_a_file_of_ones_own_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "flags" / "quickstart.flags"
    own.parent.mkdir()
    own.write_text("# mine\n\n// too\n  --epochs=7\n--flagfile=flags/b.flags\n")
    assert_usage_error(
        lambda: flagfiles.expand(["--flagfile=flags/quickstart.flags"]),
        "quickstart",
        "=flags/b.flags cannot",
    )
    (own.parent / "b.flags").write_text("--method=nfm\n--alpha=2\n")
    assert flagfiles.expand(
        ["--seed=1", "--flagfile=flags/quickstart.flags", "--seed=2"]
    ) == ["--seed=1", "--epochs=7", "--method=nfm", "--alpha=2", "--seed=2"]


def test_flagfiles_that_cannot_be_read_are_one_line(tmp_path):
    """A binary one was a traceback."""
    file = tmp_path / "a.flags"
    file.write_bytes(b"\x80\xff")
    ring = tmp_path / "ring.flags"
    ring.write_text(f"--flagfile={ring}\n")
    for given, words in (
        (file, "a.flags cannot be read (it is no"),
        (ring, "names itself"),
        ("x" * 300, "cannot be opened"),
        ("~nobody-of-this-name/a", "cannot be opened"),
    ):
        line = [f"--flagfile={given}"]
        assert_usage_error(lambda line=line: flagfiles.expand(line), words)
