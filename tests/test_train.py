"""The main command: a whole run, interruptions and continuations, mistakes."""

import functools
import json
import os
import random
import subprocess
import sys
import time
from unittest import mock

import keras
import pytest
import tensorflow as tf

from noisymix_tf import data, fitting, model_card, provenance, train
from noisymix_tf.callbacks import TrainingDiverged
from noisymix_tf.callbacks.logs import read_json_lines
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.models.zoo import MODELS
from noisymix_tf.training import setup
from support import ROOT, door_processes, small_trainer, tiny_network
from support import picture_folders as folders
from support.fit_models import NO_NOISE
from support.trainings import log_of
from support.usage import assert_usage_error, parsed

# Views that are traced in no time, and not all taps.
TINY = """--flagfile=flags/quickstart.flags --train_examples=120
    --temperature_examples=10 --test_examples=50 --batch_size=25 --epochs=2
    --model=tiny --dropout=0.1 --ema=0.5 --views=gaussian --notensorboard
    --taps=normalize,stage1 --ramps=alpha:0:0.5:1 --noise_scale=std
    --suites=clean,c,calibration --corruptions=contrast --severities=1,5
""".split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    command = [sys.executable, tiny_network.__file__, *TINY]
    command.append(f"--output_dir={folder}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_leaves_and_says_everything_that_it_promises(finished):
    folder, done = finished
    assert "; XLA off; float32; deterministic operations\n" in done.stderr
    assert "\nNoise/std: normalize 1" in done.stderr
    assert "\n10 images, others each time, are left out of" in done.stderr
    assert done.stdout.splitlines()[2 * 2].startswith("digits, model ")
    places = [line.split()[1] for line in done.stderr.splitlines()[-3:]]
    names = "model.keras evaluation/report.html saved_model/1".split()
    assert places == [str(folder / name) for name in names]
    logs = read_json_lines(folder / "metrics.jsonl")
    assert [(log["epoch"], log["step"]) for log in logs] == [(1, 4), (2, 8)]
    assert {"accuracy", "cross_entropy", "jsd", "loss"} <= set(logs[0])
    assert [log["alpha"] for log in logs] == [1.0, 0.25]  # Of the last step.
    picture = tf.io.decode_png(tf.io.read_file(str(folder / "views.png")))
    assert picture.shape[0] > picture.shape[1]  # 8 images, 3 views
    # The models carry their provenance.
    card = model_card.read(folder / "model.keras")
    assert card == model_card.read(folder / "saved_model" / "1")
    report = json.loads((folder / "evaluation/report.json").read_text())
    assert card["model"]["fingerprint"] == report["model"]
    assert card["metrics"]["c"]["n"] == 50
    assert card["temperature"]["examples"] == 10
    assert "clean_tempered_ece" in card["metrics"]["calibration"]
    assert card["flags"] == (folder / "flags.txt").read_text().splitlines()
    # No test image is served; reports and requests to warm up held some.
    images, _ = next(data.load("digits", test_examples=50).test.batches(50))
    rows = {row.tobytes() for row in images[:, 16]}
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for file in files.keys() & {*folder.glob("saved_model/**/*")}:
        assert file.suffix not in (".html", ".png", ".jpeg")
        assert not any(row in files[file] for row in rows), file
    # The same command again changes nothing.
    more = f"--output_dir={folder}"
    done = door_processes.run("support.tiny_network", *TINY, more)
    assert done.returncode == 0, done.stderr
    assert "Corruption accuracy" in done.stdout
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert after == files


_INTERRUPTED = """
import os, sys
from support import tiny_network
from noisymix_tf import command_line, evaluation, train
from noisymix_tf.callbacks import StopOnNaN
tiny_network.register()
step, sys.argv[1:] = int(sys.argv[1]), sys.argv[2:]
StopOnNaN.on_train_batch_begin = lambda self, batch, logs: (
    int(self.model.step.numpy()) == step and os.kill(os.getpid(), 15))
evaluation.evaluate = lambda *args, **kwargs: os.kill(os.getpid(), 9)
command_line.run(train.main)
"""


def test_interrupted_runs_end_with_the_same_bits(finished, tmp_path):
    whole, folder = finished[0], tmp_path / "run"
    flags = f"--flagfile={whole / 'flags.txt'}", f"--output_dir={folder}"
    flags += ("--checkpoint_steps=1", "--corruption_epochs=2", "--noexport")
    code = door_processes.SCRIPT, _INTERRUPTED
    done = door_processes.run(*code, 5, *flags)
    assert done.returncode == 75, done.stderr
    assert "preempted: saved at step 6;" in done.stderr
    # Other code goes on than began, which wrote no name: the card tells both.
    made, log = provenance.words(), folder / "metrics.jsonl"
    log.write_text(log.read_text().replace(f'"by": "{made}", ', ""))
    newest = folder / "checkpoints" / "step-00000006"
    os.truncate(newest / "state.npz", 500)
    done = door_processes.run(*code, -1, *flags)
    assert done.returncode == -9, done.stderr
    assert f"Skipped checkpoint {newest}: its bytes" in done.stderr
    assert "Continued from step 5." in done.stderr
    card = model_card.read(folder / "model.keras")
    assert "metrics" not in card and card["training"]["steps"] == 8
    done = door_processes.run("support.tiny_network", *flags)
    assert done.returncode == 0, done.stderr
    for name in ("model.keras", "views.png", "checkpoints/*8/state.npz"):
        [one], [other] = whole.glob(name), folder.glob(name)
        assert one.read_bytes() == other.read_bytes(), name
    cards = [model_card.read(path / "model.keras") for path in (whole, folder)]
    for card in cards:
        assert card.pop("created") and card.pop("flags")
    by = [card.pop("trained_by") for card in cards]
    assert by == [[made], ["an older version", made]]
    assert cards[0] == cards[1]
    without = ("seconds", "steps_per", "val", "by")
    assert log_of(folder, without) == log_of(whole, without)
    names = {path.name for path in whole.iterdir()} - {"saved_model"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    # Else `tiny` would be a model for all tests after this.
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS.items()))
    tiny_network.register()

    def parse(*arguments, given=TINY):
        # Determinism is a setting of the process, which other tests share.
        more = "nodeterministic", f"output_dir={tmp_path / 'run'}", *arguments
        return parsed(Config, *given, *map("--{}".format, more))

    return parse


def test_mistakes_are_one_line_before_training(config, tmp_path):
    for arguments, words in (
        (["taps=stage9"], "Unusable tap 'stage9'"),
        (["batch_size=111"], "batch_size=111: give a whole number from"),
        (["strategy=mirrored"], "--batch_size=25 does not split"),
    ):
        assert_usage_error(lambda a=arguments: train.run(config(*a)), words)
        assert not (tmp_path / "run").exists()
    # It was trained without XLA.
    network = small_trainer.classifier()
    network.layers[0].supports_jit = False
    made = config("jit_compile=true", "taps=normalize")
    call = functools.partial(setup.trainer, made, network, steps_per_epoch=1)
    assert_usage_error(call, "=true: a layer of tiny cannot be compiled by XLA")


def test_what_ends_a_training_is_one_line(monkeypatch):
    strategy = tf.distribute.get_strategy()
    trainer = mock.Mock(distribute_strategy=strategy, **NO_NOISE)
    dataset, folder = mock.Mock(), mock.Mock(checkpoints="good")
    dataset.train.check.side_effect = UsageError("1.png is no image")
    call = functools.partial(train._fit, None, dataset, trainer, 1, folder)
    words = None, None, "GPU gradient ops do not yet\n\t [[{{node}}]]"
    for error, line in (
        # XLA on a GPU has no deterministic gradient of MaxPool.
        (tf.errors.UnimplementedError(*words), "do not yet): give --jit_"),
        (tf.errors.ResourceExhaustedError(*words), "do not yet): give a smal"),
        # The graph does not know which file it could not decode.
        (tf.errors.InvalidArgumentError(*words), "1.png is no image"),
        (TrainingDiverged("loss"), "last good checkpoint, if any, is in good"),
    ):
        monkeypatch.setattr(fitting, "fit", mock.Mock(side_effect=error))
        assert_usage_error(call, line)


@pytest.mark.slow
def test_a_finished_run_goes_on_as_if_it_had_been_longer(
    config, tmp_path, monkeypatch
):
    """`--epochs=2` was refused, without a way."""
    monkeypatch.setattr(train, "_finish", lambda *arguments: None)
    steady = "learning_rate=0.1", "final_learning_rate=0.1", "ramps="
    whole, folder = tmp_path / "whole", tmp_path / "run"
    train.run(config(*steady, f"output_dir={whole}"))
    train.run(config(*steady, "epochs=1"))
    train.run(config(*steady, "extend"))
    flags = (folder / "flags.txt").read_text().splitlines()
    assert {"--epochs=2", "--extend"} <= set(flags)
    state = "checkpoints/step-00000008/state.npz"
    assert (whole / state).read_bytes() == (folder / state).read_bytes()
    assert log_of(folder) == log_of(whole)


def test_methods_train_on_a_tree_where_it_lies(config, tmp_path, monkeypatch):
    # The paths of the flagfiles are relative to the working directory.
    folders.make(tmp_path / "photos", train=4, size=(32, 32))
    monkeypatch.chdir(tmp_path)
    for method, door, tree, number in (
        ("stylized", "stylize", "stylized", 2),
        ("stylized_joined", "stylize", "stylized", 8 + 2),
        ("deepaugment", "deepaugment", "deepaugment", 8 + 2),
    ):
        line = f"method={method}", "dataset=folder", "data_dir=photos"
        load = functools.partial(setup.dataset, config(*line, given=()))
        if not os.path.exists(f"trees/{tree}"):
            words = f"=trees/{tree} does not", f"python -m noisymix_tf {door}"
            assert_usage_error(load, *words)
        for name in folders.CLASSES:
            path = tmp_path / "trees" / tree / name / "0.png"
            folders.save(path, folders.picture(0, (32, 32)))
        assert (len(load().train), len(load().test)) == (number, 2)


# All that a long run may use, together.
STEPS = 80
RECIPE = f"""--flagfile=flags/quickstart.flags --model=tiny
    --taps=normalize,stage1 --train_examples=96 --test_examples=20
    --ramps=additive_noise:0.1:0.2:0.8,alpha:0.5:0:1 --batch_size=24
    --epochs={STEPS // 4} --warmup_epochs=1 --base_batch_size=24 --ema=0.9
    --optimizer=adamw --freeze_epochs=8 --layer_decay=0.5 --freeze_batch_norm
    --precision=mixed_bfloat16 --clip_norm=1.0 --accumulation_steps=2
    --steps_per_execution=2 --label_smoothing=0.1 --validation_epochs=1
    --checkpoint_steps=2 --suites=clean --notensorboard"""


@pytest.mark.slow
def test_kills_leave_no_trace(tmp_path):
    """A whole run's bytes, logs but for the order of sums, and no litter."""

    def start(folder, *more):
        words = *RECIPE.split(), *more, f"--output_dir={folder}"
        log = tmp_path / "log"
        return door_processes.Process("support.tiny_network", *words, log=log)

    def finish(*arguments):
        with start(*arguments) as process:
            assert process.wait() == 0, (tmp_path / "log").read_text()

    whole, folder = tmp_path / "whole", tmp_path / "run"
    finish(whole)
    logs, rng = log_of(whole), random.Random(0)
    assert [log["step"] for log in logs] == [*range(4, STEPS + 1, 4)]
    saved = keras.models.load_model(whole / "model.keras")
    norm = saved.get_layer("stage1")
    assert norm.output.dtype == "bfloat16" and norm.trainable

    def wait(is_reached):
        while not is_reached() and process.is_running():
            time.sleep(0.001)

    def newest():
        paths = folder.glob("checkpoints/step-*")
        return max((int(path.name[5:]) for path in paths), default=0)

    def is_writing():
        return any(folder.glob("checkpoints/.partial-*"))

    kills = torn = 0
    for phase in ["writing", "training"] * 4 + ["start", "ending", "ending"]:
        with start(folder, "--noexport") as process:
            goal = newest() + rng.randint(1, 8)
            goal = {"start": 0, "ending": STEPS}.get(phase, goal)
            wait(lambda goal=goal: newest() >= goal)
            if phase == "writing":
                wait(is_writing)
            elif phase != "training":
                time.sleep(rng.uniform(0, 4 if phase == "start" else 0.2))
            process.kill()
            kills += process.returncode == -9
            torn += is_writing()
    finish(folder, "--noexport")
    assert kills >= 9 and torn >= 1, (kills, torn)
    for name in ("model.keras", "views.png", "*/*78/*.npz", "*/*80/*.npz"):
        [one], [other] = whole.glob(name), folder.glob(name)
        assert one.read_bytes() == other.read_bytes(), name
    assert log_of(folder) == [pytest.approx(log, rel=1e-5) for log in logs]
    left = {os.path.relpath(path, folder) for path in folder.rglob("*")}
    expected = {os.path.relpath(path, whole) for path in whole.rglob("*")}
    assert left == {x for x in expected if not x.startswith("saved_model")}
