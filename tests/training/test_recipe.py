"""Everything that a long run may use, together: run, killed, continued."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from noisymix_tf import command_line, evaluation, train
from noisymix_tf.errors import UsageError
from noisymix_tf.training import loop, setup
from support import ROOT

TINY = (
    "--flagfile=flags/quickstart.flags",
    "--train_examples=96",
    "--test_examples=20",
    "--batch_size=24",
    "--epochs=3",
    "--suites=clean",
    "--notensorboard",
    # Determinism is a setting of the process, which other tests share.
    "--nodeterministic",
    "--progress=none",
)
RECIPE = (
    "--precision=mixed_bfloat16",
    "--ema=0.9",
    "--clip_norm=1.0",
    "--accumulation_steps=2",
    "--steps_per_execution=2",
    "--checkpoint_steps=2",
    "--warmup_epochs=1",
    "--base_batch_size=24",
    "--label_smoothing=0.1",
    "--validation_epochs=1",
)


class _Killed(BaseException):
    pass


def _config(*arguments):
    values = flags.FlagValues()
    command_line.define_flags(values)
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    return command_line.parse(["train", *TINY, *arguments], values)


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
def test_everything_together_is_continued_exactly(tmp_path, monkeypatch):
    run = _config(*RECIPE, f"--output_dir={tmp_path / 'whole'}")
    train.run(run)
    logs = [
        json.loads(line)
        for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()
    ]
    assert [log["step"] for log in logs] == [4, 8, 12]
    # 0.1 * 24 / 12, reached after the first of three epochs.
    rates = [log["learning_rate"] for log in logs]
    np.testing.assert_allclose(rates, [0.2, 0.1, 1e-6], rtol=1e-2)
    saved = keras.models.load_model(tmp_path / "whole/model.keras")
    assert saved.get_layer("stage1").output.dtype == "bfloat16"
    assert saved.output.dtype == "float32"
    signature = tf.saved_model.load(str(tmp_path / "whole/saved_model/1"))
    outputs = signature.signatures["serving_default"](
        images=tf.zeros([1, 32, 32, 3], tf.uint8)
    )
    assert outputs["probabilities"].dtype == tf.float32

    class _Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.step.numpy()) == 8:
                raise _Killed

    fit = loop.train

    def killed(*args, callbacks, **kwargs):
        fit(*args, callbacks=[*callbacks, _Kill()], **kwargs)

    cut = _config(*RECIPE, f"--output_dir={tmp_path / 'cut'}")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", killed)
        with pytest.raises(_Killed):
            train.run(cut)
    assert not (tmp_path / "cut/model.keras").exists()
    train.run(cut)
    models = [tmp_path / name / "model.keras" for name in ("whole", "cut")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert evaluation.load_classifier(tmp_path / "cut").name == saved.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps_per_execution=3"], "does not divide the 4 steps of an"),
        (
            ["--steps_per_execution=2", "--checkpoint_steps=3"],
            "--steps_per_execution=2 does not divide --checkpoint_steps=3",
        ),
        (["--accumulation_steps=0"], "--accumulation_steps=0 must be at"),
        (["--warmup_epochs=3"], "--warmup_epochs=3.0 leaves nothing"),
        (["--precision=float16"], "--precision=float16"),
    ],
)
def test_bad_combinations_are_one_line(tmp_path, arguments, message):
    with pytest.raises(UsageError) as error:
        train.run(_config(*arguments, f"--output_dir={tmp_path / 'run'}"))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cores", "free", "flag", "batches"),
    [
        (96, 400e9, (), 96),
        # A batch of 24 x 3 views of 32 pixels, in float32: 0.88 MB.
        (96, 40e6, (), 11),
        (2, 400e9, (), 2),
        (96, 1e6, (), 1),
        (96, 40e6, ("--augment_on=device",), 33),
        (96, 1e6, ("--input_threads=5",), 5),
    ],
)
def test_input_uses_all_cores_within_memory(
    monkeypatch, cores, free, flag, batches
):
    """It made two batches at a time on any machine."""
    seen = {}
    monkeypatch.setattr(setup.os, "cpu_count", lambda: cores)
    memory = types.SimpleNamespace(available=int(free))
    monkeypatch.setattr(setup.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(
        setup.data, "views", lambda *a, **more: seen.update(more)
    )
    config = _config(*flag)
    setup.views(config, setup.dataset(config.data))
    assert seen["num_parallel_calls"] == batches
    assert seen["prefetch"] == 2
