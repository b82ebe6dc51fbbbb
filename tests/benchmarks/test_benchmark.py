"""The benchmark door measures what it says; no test depends on a speed."""

import subprocess
import sys
import time

import pytest
from absl import flags

from noisymix_tf import benchmark, command_line
from noisymix_tf.benchmarks import (
    corruptions,
    evaluation,
    methods,
    segments,
    serving,
    timing,
    train_step,
    training,
)
from noisymix_tf.errors import UsageError
from support import ROOT


def _config(monkeypatch, *arguments):
    monkeypatch.chdir(ROOT)
    values = flags.FlagValues()
    command_line.define_flags(values)
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    tiny = ("--width=0.0625", "--batch_size=4", "--train_examples=40")
    return command_line.parse(["benchmark", *tiny, *arguments], values)


def test_timing_takes_turns_and_tells_waiting_from_working():
    order = []

    def wait():
        order.append("wait")
        time.sleep(0.02)

    timings = timing.interleaved(
        {"wait": wait, "other": lambda: order.append("other")},
        rounds=3,
        warmup=1,
    )
    assert order == ["wait", "other"] * 4
    assert timings["wait"].wall >= 0.02 > timings["wait"].cpu


def test_table_aligns():
    text = timing.table(["name", "x"], [["a", "10"], ["long name", "1"]])
    assert text.splitlines() == [
        "name        x",
        "a          10",
        "long name   1",
    ]


def test_train_step_compares_methods_of_several_views(monkeypatch, capsys):
    timings = train_step.run(_config(monkeypatch, "--method=augmix"), rounds=1)
    assert list(timings) == [
        "augmix, 4 x 3 views",
        "cross-entropy, 12 images",
        "cross-entropy, 4 images",
    ]
    assert all(t.wall > 0 and t.cpu > 0 for t in timings.values())
    assert "augmix / cross-entropy" in capsys.readouterr().out
    with pytest.raises(UsageError, match="baseline has one view"):
        train_step.run(_config(monkeypatch, "--method=baseline"), rounds=1)


def test_methods_are_compared_with_the_baseline(monkeypatch, capsys):
    """And flags of one leave no trace in others."""
    seen = {}
    run = methods.run

    def watched(configs, rounds):
        seen.update(configs)
        return run(configs, rounds)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(methods, "run", watched)
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    line = "methods --methods=nfm,baseline,stability_training --rounds=1"
    tiny = "--width=0.0625 --batch_size=4 --train_examples=40"
    benchmark.main(["benchmark", *line.split(), *tiny.split()], values)
    printed = capsys.readouterr().out
    assert seen["nfm"].method.additive_noise == 0.4
    assert (
        seen["baseline"].method
        == _config(monkeypatch, "--method=baseline").method
    )
    rows = [row.split() for row in printed.splitlines()[-3:]]
    assert [row[:2] for row in rows] == [
        ["nfm", "1"],
        ["baseline", "1"],
        ["stability_training", "2"],
    ]
    assert rows[1][-2:] == ["1.00", "1.00"]
    with pytest.raises(UsageError, match="give it among the methods"):
        run({"nfm": seen["nfm"]})


def test_an_export_is_compared_with_the_keras_model(monkeypatch, capsys):
    figures = serving.run(
        _config(monkeypatch, "--model=resnet20"),
        rounds=1,
        cases=serving.CASES[:1],
    )
    assert list(figures) == [("resnet20", 32, 1), ("resnet20", 32, 32)]
    for found in figures.values():
        assert list(found) == ["Keras", "serving_default", "serving_bytes"]
        assert all(t.wall > 0 and t.cpu > 0 for t in found.values())
    assert "bytes / Keras" in capsys.readouterr().out


def test_segments_are_compared_with_plain_steps(monkeypatch, capsys):
    config = _config(monkeypatch, "--method=noisymix")
    timings = segments.run(config, rounds=1, applications=("MobileNet",))
    assert list(timings) == [
        "preact_resnet18, batch 4",
        "MobileNet, batch 2",
    ]
    for pair in timings.values():
        assert all(t.wall > 0 and t.cpu > 0 for t in pair)
    assert "CPU ratio" in capsys.readouterr().out


def test_training_counts_samples_and_waiting(monkeypatch, capsys):
    figures = training.run(_config(monkeypatch, "--method=baseline"), rounds=2)
    assert figures["samples_per_second"] == pytest.approx(
        4 * figures["steps_per_second"]
    )
    assert 0 <= figures["wait_share"] <= 1
    assert "baseline, preact_resnet18" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], (3, 0)),
        (["--rounds=7"], (7, 0)),
        (["--rounds=1", "--eval_seed=5"], (1, 5)),
    ],
)
def test_the_door_of_the_corruptions(monkeypatch, arguments, wanted):
    """Few rounds unless the user says how many; the flags get through."""
    monkeypatch.chdir(ROOT)
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    calls = []
    monkeypatch.setattr(corruptions, "run", lambda *args: calls.append(args))
    benchmark.main(["benchmark", "corruptions", *arguments], values)
    assert calls == [wanted]


def test_unknown_benchmark_is_one_line_and_status_2():
    done = subprocess.run(
        [sys.executable, "-m", "noisymix_tf.benchmark", "speed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    known = ", ".join(benchmark._ROUNDS)
    assert f"Unknown benchmark 'speed'. Known: {known}." in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluation_compares_its_halves_with_the_whole(monkeypatch, capsys):
    config = _config(
        monkeypatch,
        "--test_examples=30",
        "--corruptions=contrast,fog",
        "--severities=1",
    )
    figures = evaluation.run(config)
    assert set(figures) == {"generation", "forward", "together", "overhead"}
    slower = max(figures["generation"], figures["forward"])
    wanted = (1 + figures["overhead"]) * slower
    assert figures["together"] == pytest.approx(wanted)
    assert "2 cells of 30 images" in capsys.readouterr().out
