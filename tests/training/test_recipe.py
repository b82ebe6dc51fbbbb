"""All that a long run may use, together, and killed at any moment."""

import os
import random
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import evaluation
from support import door_processes
from support.trainings import log_of

pytestmark = pytest.mark.slow

STEPS = 80
RUN = f"""--flagfile=flags/quickstart.flags --model=tiny --taps=normalize,stage1
    --ramps=additive_noise:0.1:0.2:0.8,alpha:0.5:0:1 --train_examples=96
    --test_examples=20 --batch_size=24 --epochs={STEPS // 4} --warmup_epochs=1
    --base_batch_size=24 --precision=mixed_bfloat16 --ema=0.9 --clip_norm=1.0
    --accumulation_steps=2 --steps_per_execution=2 --label_smoothing=0.1
    --validation_epochs=1 --checkpoint_steps=2 --suites=clean
    --notensorboard""".split()


def _start(folder, *more):
    words = *RUN, *more, f"--output_dir={folder / 'run'}"
    log = folder / "log"
    return door_processes.Process("support.tiny_network", *words, log=log)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    with _start(folder) as process:
        assert process.wait() == 0, (folder / "log").read_text()
    return folder / "run"


def test_each_part_of_the_recipe_has_its_effect(whole):
    logs = log_of(whole)
    assert [log["step"] for log in logs] == [*range(4, STEPS + 1, 4)]
    assert all(0 <= log["val_accuracy"] <= 1 for log in logs)
    # 0.1 * 2 * 24 / 24, reached after the first epoch.
    rates = [log["learning_rate"] for log in logs]
    assert rates == sorted(rates, reverse=True)
    np.testing.assert_allclose([rates[0], rates[-1]], [0.2, 1e-6], rtol=1e-2)
    saved = keras.models.load_model(whole / "model.keras")
    assert saved.get_layer("stage1").output.dtype == "bfloat16"
    assert evaluation.load_classifier(whole).name == saved.name
    served = tf.saved_model.load(str(whole / "saved_model/1"))
    images = tf.zeros([1, 32, 32, 3], tf.uint8)
    outputs = served.signatures["serving_default"](images=images)
    assert outputs["probabilities"].dtype == tf.float32


def test_kills_leave_no_trace(whole, tmp_path):
    """The same bytes as the whole run, no epoch twice, no litter."""
    folder, rng = tmp_path / "run", random.Random(0)

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
        with _start(tmp_path, "--noexport") as process:
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
    with _start(tmp_path, "--noexport") as process:
        assert process.wait() == 0, (tmp_path / "log").read_text()
    assert kills >= 9 and torn >= 1, (kills, torn)
    for name in ("model.keras", "views.png", "*/*78/*.npz", "*/*80/*.npz"):
        [one], [other] = whole.glob(name), folder.glob(name)
        assert one.read_bytes() == other.read_bytes(), name
    assert log_of(folder) == log_of(whole)
    left = {os.path.relpath(path, folder) for path in folder.rglob("*")}
    expected = {os.path.relpath(path, whole) for path in whole.rglob("*")}
    assert left == {x for x in expected if not x.startswith("saved_model")}
