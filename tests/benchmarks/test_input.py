"""The benchmarks of the input pipeline and of memory measure what they say."""

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image
from tensorflow.python.framework import config as tf_config

from noisymix_tf import benchmark, command_line, devices
from noisymix_tf.benchmarks import input as input_benchmark
from noisymix_tf.benchmarks import memory
from noisymix_tf.errors import UsageError


def _config(*arguments):
    values = flags.FlagValues()
    command_line.define_flags(values)
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    tiny = ("--width=0.0625", "--batch_size=4", "--train_examples=40")
    plain = ("--views=none", "--stability=none", "--mixing=none")
    return command_line.parse(["benchmark", *tiny, *plain, *arguments], values)


STAGES = ("decode", "+ crop", "+ AugMix")


def test_input_counts_images_stage_by_stage(monkeypatch, capsys):
    # AugMix takes long to compile.
    monkeypatch.setattr(
        input_benchmark.augment,
        "augmix_views",
        lambda images, seed: tf.stack([images] * 3, axis=1),
    )
    figures = input_benchmark.run(sizes={16: (8,)}, threads=(1,), rounds=1)
    assert list(figures) == [(16, 8, stage, 1) for stage in STAGES]
    for each in figures.values():
        assert each["samples_per_second"] > 0
        assert each["cpu_seconds_per_1000"] > 0
    text = capsys.readouterr().out
    assert "128 JPEG files made of photographs" in text
    assert "16 px, batch 8, 1 thread " in text


def test_input_of_a_folder_of_ones_own(tmp_path, capsys):
    for place in range(12):
        path = tmp_path / "ab"[place % 2] / f"{place}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (place, 0, 9)).save(path)
    # More images in a batch than in the folder: they are repeated.
    input_benchmark.run(
        str(tmp_path),
        sizes={16: (12,)},
        threads=(2,),
        rounds=1,
        stages=STAGES[:2],
    )
    text = capsys.readouterr().out
    assert f"Input pipeline from {tmp_path}" in text
    assert "16 px, batch 12, 2 threads " in text
    assert "AugMix" not in text


def test_memory_counts_traces_and_draws(tmp_path, capsys):
    config = _config(f"--output_dir={tmp_path / 'run'}")
    figures = memory.run(config, rounds=8)
    assert figures["first_traces"] in (1, 2)
    assert figures["later_traces"] == 0
    assert figures["steps"].tolist() == list(range(1, 9))
    assert (figures["megabytes"] > 100).all()
    slope = np.polyfit(figures["steps"][4:], figures["megabytes"][4:], 1)[0]
    assert figures["growth"] == pytest.approx(1000 * slope)
    with Image.open(tmp_path / "run" / "memory.png") as picture:
        assert picture.size == (1050, 525)
    assert "times in the first and 0 times later" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"memory.png is there already"):
        memory.run(config, rounds=8)


def test_memory_needs_a_place():
    with pytest.raises(UsageError, match="--output_dir is missing"):
        memory.run(_config(), rounds=8)


@pytest.mark.parametrize(
    ("flags_", "operations"),
    [([], "deterministic operations"), (["--nodeterministic"], "need not be")],
)
def test_input_uses_the_operations_of_training(
    monkeypatch, request, flags_, operations
):
    """They decide whether tf.data works in parallel and prefetches."""
    request.addfinalizer(tf_config.disable_op_determinism)
    seen = []
    monkeypatch.setattr(
        input_benchmark,
        "run",
        lambda *a, **k: seen.append(devices.operations()),
    )
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    plain = ("--views=none", "--stability=none")
    benchmark.main(["benchmark", "input", *plain, *flags_], values)
    assert operations in seen[0]


def test_the_doors(monkeypatch, request):
    request.addfinalizer(tf_config.disable_op_determinism)
    calls = []
    monkeypatch.setattr(
        input_benchmark, "run", lambda *a, **k: calls.append((a, k))
    )
    monkeypatch.setattr(memory, "run", lambda *a: calls.append(a[1:]))
    for name, *more in (
        ("input", "--views=none", "--stability=none", "--data_dir=D"),
        ("memory", "--rounds=7", "--views=none", "--stability=none"),
    ):
        values = flags.FlagValues()
        flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
        benchmark.main(["benchmark", name, *more], values)
    assert calls == [(("D",), {"rounds": 20, "seed": 0}), (7,)]
