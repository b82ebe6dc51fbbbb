"""How commands and flagfiles are found, how a command ends; `corrupt`."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

from noisymix_tf import __main__, __version__, command_line, data, flagfiles
from noisymix_tf.commands import COMMANDS
from noisymix_tf.corruptions import perturb
from noisymix_tf.errors import UsageError
from support import ROOT, door_processes
from support.usage import assert_usage_error

_DOOR = """
import contextlib, os, time
from noisymix_tf import command_line
from noisymix_tf.commands import COMMANDS
from noisymix_tf.errors import UsageError
def end(number):
    os.kill(os.getpid(), number); time.sleep(9)
def main(argv):
    print("ready", flush=True)
    try:
        {body}
    finally:
        print("tidied up", flush=True)
command_line.run(main)
"""
LEFT = "the same command does what is left"
SAVED = "interrupted: saved at step 3; the same command goes on from there"
# A second SIGTERM ends it at once.
TWICE = "with contextlib.suppress(BaseException): end(15)\n        end(15)"


def test_how_a_door_ends_and_a_full_disk_is_no_mistake_of_the_users(capsys):
    for body, status, line in (
        ("end(15)", 75, f"preempted; {LEFT}"),
        ("end(2)", 130, f"interrupted; {LEFT}"),
        ("raise KeyboardInterrupt('saved at step 3')", 130, SAVED),
        ("raise UsageError('--a=1 is wrong')", 2, "error: --a=1 is wrong"),
        ("os.write(os.open('/dev/full', 1), b'x')", 74, "No space left on"),
        (TWICE, -15, ""),
    ):
        code = door_processes.SCRIPT, _DOOR.format(body=body)
        done = door_processes.run(*code)
        assert done.returncode == status, done.stderr
        tidied = "tidied up\n" if line else ""
        assert done.stdout == f"ready\n{tidied}"
        assert line in done.stderr and done.stderr.count("\n") == bool(line)
    handler = signal.getsignal(signal.SIGTERM)
    for number, link, status in (
        (errno.ENOSPC, "__cause__", 74),
        # Keras' `fit` takes the cause.
        (errno.EROFS, "__context__", 74),
        (errno.EACCES, "__cause__", 2),
    ):
        error = UsageError("make room")
        setattr(error, link, OSError(number, os.strerror(number)))
        with pytest.raises(SystemExit) as end:
            command_line.run(mock.Mock(side_effect=error), [])
        assert end.value.code == status
        assert capsys.readouterr().err == "error: make room\n"
    with pytest.raises(FileNotFoundError):  # Others are not hidden.
        command_line.run(lambda argv: open("/none"), [])
    assert signal.getsignal(signal.SIGTERM) == handler


# TensorFlow's log, and what only looks like it.
LOG = """\
WARNING: All log messages before absl::InitializeLog() is called are written
I0000 00:00:1795827133.517543   19146 port.cc:153] oneDNN operations are on.
W0000 00:00:1795827133.517543   19146 x.cc:1] perhaps
E0000 00:00:1795827135.819228   19146 cuda_platform.cc:52] failed call: (303)
2025-11-28 00:39:00.123456: E external/xla/x.cc:9467] Unable to register
"""
KEPT = """\
F0000 00:00:1795827135.819228   19146 x.cc:1] Check failed: a < b
Fatal Python error: Segmentation fault
"""
SCRIPT = f"""
import os, signal, subprocess, sys
from noisymix_tf import command_line
def main(argv):
    print("begins", file=sys.stderr)
    os.write(2, {LOG + KEPT!r}.encode())
    BODY
command_line.run(main)
"""


def _run(body, **environment):
    levels = ("TF_CPP_MIN_LOG_LEVEL", "NOISYMIX_TF_LOG_LEVEL")
    inherited = {k: v for k, v in os.environ.items() if k not in levels}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", SCRIPT.replace("BODY", body)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE)
    return done.returncode, done.stderr.decode()


def test_the_log_is_gone_and_all_else_is_there(tmp_path):
    """Last words of a process, of one that it starts, and of a traceback."""
    other = "subprocess.run(['sh', '-c', 'echo W >&2'])"
    status, said = _run(f"{other}; raise RuntimeError('ours')")
    assert status == 1 and said.startswith(f"begins\n{KEPT}W\nTraceback")
    assert said.endswith("\nRuntimeError: ours\n")
    assert not any(line in said for line in LOG.splitlines())
    killed = _run("os.kill(os.getpid(), signal.SIGKILL)")
    assert killed == (-9, f"begins\n{KEPT}")
    # Who asks for the log gets it; a command's command has its own level.
    assert _run("", TF_CPP_MIN_LOG_LEVEL="2") == (0, f"begins\n{LOG}{KEPT}")
    code, log = SCRIPT.replace("BODY", "pass"), tmp_path / "log"
    inner = f"[sys.executable, '-c', {code!r}], stderr=open({str(log)!r}, 'w')"
    assert _run(f"subprocess.run({inner})")[0] == 0
    assert log.read_text() == f"begins\n{KEPT}"


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
        del environment["TF_CPP_MIN_LOG_LEVEL"]
        more = {"env": environment, "capture_output": True, "text": True}
        command, empty = [sys.executable, *command], tmp_path / "empty"
        done = subprocess.run(command, cwd=empty, **more)
        return done.returncode, done.stdout, done.stderr

    def pip(words, *more):
        assert run("-m", "pip", "-q", *words.split(), *more)[0] == 0

    pip("wheel --no-deps --no-build-isolation -w", tmp_path, source)
    pip("install --no-deps --target", site, *tmp_path.glob("*.whl"))
    code, flags = "noisymix_tf/**/*.py", "flags/**/*.flags"
    assert _files(ROOT, code) == _files(site, code)
    assert _files(ROOT, flags) == _files(site / "noisymix_tf", flags)
    version = (0, f"noisymix_tf {__version__}\n", "")
    assert run(site / "bin" / "noisymix", "--version") == version
    line = "train --flagfile=quickstart --method=nfm --output_dir="
    status, _, mistake = run("-m", "noisymix_tf", *line.split())
    assert status == 2 and "missing" in mistake
    assert not list((tmp_path / "empty").iterdir())
    line = "train --flagfile=quickstart --width=0.0625 --suites=clean --quiet"
    line += " --train_examples=40 --test_examples=20 --batch_size=8 --epochs=1"
    status, found, said = run("-m", "noisymix_tf", *line.split())
    assert "Clean accuracy" in found and not said, said
    written = tmp_path / "empty" / "runs" / "quickstart" / "saved_model" / "1"
    assert status == 0 and (written / "saved_model.pb").exists(), said
    assert (site / "noisymix_tf" / "py.typed").exists()


def test_commands_are_all_doors(capsys, monkeypatch):
    """`python -m noisymix_tf` had no door, and named none."""
    files = (ROOT / "noisymix_tf/commands").glob("[a-z]*.py")
    names = {path.stem.replace("_", "-") for path in files}

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["noisymix_tf", *words])
        __main__.main()
        return capsys.readouterr().out

    assert set(COMMANDS.names()) == names
    listed = run("--helpfull")
    assert all(f"\n  {name} " in listed for name in {"train", *names})
    with pytest.raises(SystemExit):
        run("--quiet", "corrupt", "--helpfull")
    helped = capsys.readouterr().out
    assert "--output_dir: " in helped and "--severities: " in helped
    with pytest.raises(SystemExit) as stop:
        run("trian", "--help")
    mistake = capsys.readouterr().err
    assert stop.value.code == 2 and mistake.count("\n") == 1
    assert mistake.startswith("error: Unknown command 'trian'. Known: train, ")
    with pytest.raises(ValueError, match="'corrupt' is registered twice"):
        COMMANDS.register("corrupt")


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
    found = flagfiles.expand(["--seed=1", *line, "--seed=2", "--", *line])
    words = "--seed=1 --epochs=7 --method=nfm --alpha=2 --seed=2 -- " + line[0]
    assert found == words.split()
    # A binary one was a traceback.
    (own / "b.flags").write_bytes(b"\x80\xff")
    (own / "ring.flags").write_text("--flagfile=flags/ring.flags\n")
    for given, words in (
        ("flags/b.flags", "b.flags cannot be read (it is no"),
        ("flags/ring.flags", "names itself"),
        ("x" * 300, "cannot be opened"),
        ("~nobody-of-this-name/a", "cannot be opened"),
    ):
        line = [f"--flagfile={given}"]
        assert_usage_error(lambda line=line: flagfiles.expand(line), words)


SMALL = ("--dataset=digits", "--test_examples=20")


def run(*arguments):
    command_line.run(COMMANDS.get("corrupt"), ["corrupt", *arguments])


def test_flags_reach_what_they_name(tmp_path, capfd):
    line = "--suite=p --difficulty=2 --table=imagenet --seed=9 --crop=28 "
    line += "--corruptions=brightness,shot_noise --num_workers=2"
    arguments = *line.split(), f"--output_dir={tmp_path}"
    run(*SMALL, *arguments)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "  0 %" and lines[-2].startswith("100 %  in ")
    assert lines[-1] == f"Written: {tmp_path}"
    images = data.load("digits", test_examples=20).test.images
    options = {"table": "imagenet", "difficulty": 2, "crop": 28}
    for name, file in (("brightness",) * 2, ("shot_noise", "shot_noise_2")):
        expected = perturb(images, name, 9, **options)
        stored = np.load(tmp_path / f"{file}.npy")
        np.testing.assert_array_equal(stored, expected)


def test_mistakes_are_one_line_and_status_2(tmp_path, capsys):
    for argument, words in (
        ("--severities=1,6", "--severities=1,6 must be a list of numbers"),
        ("--shard=5/21", "there are no more than 20 images"),
    ):
        folder = tmp_path / "sets"
        with pytest.raises(SystemExit) as caught:
            run(f"--output_dir={folder}", *SMALL, *argument.split())
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words in line
        assert not list(folder.glob("*.npy"))
