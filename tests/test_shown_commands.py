"""Every command that a page shows is run, made small, or is in `NOT_RUN`.

The rule: all run in one folder, in the order of the pages, equal ones once, to
`runs/N` unless they name an --output_dir. Of `SMALL` is appended what a command
has; but to a `compare` of runs, which were never meant for one table,
`--compare_anyway`. `SHOWN` are words that others stand for. What is named and
no page makes, such as PHOTOS, lies there from the start, small.
"""

import glob
import re
import shlex
from unittest import mock

import pytest

from noisymix_tf import __main__, command_line, models, options
from support import ROOT, comparison_runs, picture_folders
from support.door_processes import run
from support.pages import PAGES, commands

SMALL = """--epochs=2 --train_examples=20 --test_examples=10 --batch_size=4
--methods=noisymix --seeds=2 --severities=3 --num_workers=0 --test_points=500
--steps=2 --autoencoder_steps=2 --export=false --equal_passes=false
--number=3"""
VGG = "--vgg_weights=vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
SHOWN = {"python -m noisymix_tf.train": "train", "python -m noisymix_tf": ""}
# A comparison trains one method with one seed.
SHOWN["noisymix_finetune/seed0"] = "noisymix/seed2"
SHOWN[" ..."] = " --dataset=folder --data_dir=PHOTOS --width=0.1"
# In place of what would be downloaded: digits, and random weights.
SHOWN |= {"--data_dir=DIR": "--dataset=digits", VGG: "", "FLAGS": ""}
# What begins so: why it is not run here, or where it is, or its like.
NOT_RUN = {
    "python -m noisymix_tf beam": "needs Apache Beam; tests/test_merge.py",
    "docker": "no TensorFlow Serving; tests/serving/test_signatures.py",
    "printf": "asks that server; tests/serving/test_signatures.py",
}
INSTALLS = ("python -m pip", "python -m venv", ". .venv", "python -m pytest")
NOT_RUN |= dict.fromkeys((*INSTALLS, "ruff"), "of a checkout; .ci/run")


def _words(line):
    for shown, used in SHOWN.items():
        line = line.replace(shown, used)
    return shlex.split(line, comments=True)


def flags_of(words):
    """What flags a command has, which parses its words and does no more."""

    def parsed(argv, config, about, known=None, rest=None):
        parse(argv, config, about, known, rest)
        raise StopIteration(options.with_parts(known or config).kinds())

    parse = command_line.parse
    with mock.patch.object(command_line, "parse", parsed):
        with pytest.raises(StopIteration) as stop:
            __main__._hand_over(["noisymix", *words])
    return stop.value.value


def test_every_command_that_is_shown_is_one(monkeypatch):
    """Pages went on naming flags and commands that had another name."""
    given = commands()
    for start, why in NOT_RUN.items():
        assert any(line.startswith(start) for line in given), start
        assert (ROOT / re.search(r"\S+/\w+(\.py)?", why)[0]).is_file(), why
    for text in PAGES.values():
        assert set(re.findall(r"```(\w+)", text)) <= {"bash", "python"}
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        given += re.findall(r"`(python -m noisymix_tf[^`]+ [^`]+)`", prose)
    monkeypatch.chdir(ROOT)
    assert len(given) > 45
    for line in given:
        is_ours = line.startswith("python -m noisymix_tf")
        assert is_ours or line.startswith((*NOT_RUN,)), line
        # Of help and plugins see test_command_line.
        if is_ours and "--help" not in line and "--plugins" not in line:
            flags_of(_words(line.replace("=SEED", "=0")))


@pytest.mark.slow
def test_every_command_that_is_shown_runs(tmp_path, monkeypatch):
    """Some parsed, but were refused or failed when they were carried out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    picture_folders.make(tmp_path / "PHOTOS", train=10, test=5, size=(32, 32))
    picture_folders.make_styles(tmp_path / "PAINTINGS")
    models.build("resnet20").save("resnet20.keras")
    size = {"input_shape": (96, 96, 3), "num_classes": 2, "width": 0.25}
    models.build("resnet20", **size).save("net.keras")
    comparison_runs.evaluation(tmp_path / "evals/resnet50")
    for name in ("baseline", "augmix", "noisymix"):
        own = comparison_runs.flags(name)
        comparison_runs.write(tmp_path / "runs" / name, own)
    for passes in (36, 72):
        own = comparison_runs.flags(epochs=passes)
        comparison_runs.write(tmp_path / f"runs/passes{passes}/baseline", own)
    failed = {}
    for number, line in enumerate(commands()):
        if line.startswith((*NOT_RUN,)):
            continue
        name, *words = _words(line)
        has = flags_of([name])
        small = [w for w in SMALL.split() if w[2:].split("=")[0] in has]
        if name == "compare" and not re.search("--(flagfile|methods)", line):
            small = ["--compare_anyway"]
        if "--suite=p" in words:  # It has a difficulty.
            small.remove("--severities=3")
        words = [w for word in words for w in sorted(glob.glob(word)) or [word]]
        words = [name, f"--output_dir=runs/{number}", *words, *small]
        done = run("noisymix_tf", *words, folder=tmp_path)
        if done.returncode:
            failed[line] = done.stderr
    assert not failed
