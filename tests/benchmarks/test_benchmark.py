"""The benchmark door measures what it says; no test depends on a speed."""

import functools
import time
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from tensorflow.python.framework import config as tf_config

from noisymix_tf import benchmarks, corruptions, devices, provenance
from noisymix_tf.benchmarks import BENCHMARKS, augmix, serving, steps, timing
from noisymix_tf.benchmarks import pillow_augmix as pillow
from noisymix_tf.commands import benchmark
from noisymix_tf.models.zoo import MODELS, Architecture
from noisymix_tf.training import setup
from support import ROOT, pages, picture_folders, tiny_network
from support import augmentation as laws
from support.usage import assert_usage_error, parsed

benchmarks.load()
TINY = "--model=tiny --batch_size=4 --train_examples=40 --jit_compile=false"
PIXELS = {"mean": 0.5, "std": 0.5}


@pytest.fixture(autouse=True)
def at_root_with_a_tiny_network(monkeypatch):
    monkeypatch.chdir(ROOT)
    build = functools.partial(tiny_network.build, num_classes=10, **PIXELS)
    # Privately, so that the registry is as before for other tests.
    monkeypatch.setitem(MODELS._entries, "tiny", Architecture(build))
    monkeypatch.setattr("noisymix_tf.benchmarks.steps._WARMUP", 1)
    yield
    tf_config.disable_op_determinism()


def config(line=""):
    return parsed(benchmark.BenchmarkConfig, *TINY.split(), *line.split())


def door(line):
    benchmark.main(["benchmark", *line.split()])


def run(name, line, rounds):
    return BENCHMARKS.get(name)(config(line), rounds)


def test_timing_takes_turns_tells_waiting_from_working(monkeypatch):
    order = []
    wait = lambda: order.append("wait") or time.sleep(0.02)  # noqa: E731
    functions = {"wait": wait, "other": lambda: order.append("other")}
    waiting = timing.interleaved(functions, rounds=3, warmup=1)["wait"]
    assert order == ["wait", "other"] * 4
    assert waiting.wall >= 0.02 > waiting.cpu
    assert waiting.each(4).wall == waiting.wall / 4
    # Processes that a call has ended count as well.
    ended = [mock.Mock(ru_utime=n, ru_stime=0.0) for n in range(8)]
    monkeypatch.setattr(timing.resource, "getrusage", lambda _: ended.pop(0))
    own = timing.interleaved({"own": lambda: None}, rounds=4, warmup=0)["own"]
    assert_allclose(own.cpus, np.ones(4), atol=0.9)
    theirs = np.array([1.0, 9.0, 2.0, 5.0])
    assert_array_equal(timing.ratio(3.0 * theirs, theirs), [3.0] * 3)
    value, low, high = timing.ratio(theirs, np.full(4, 2.0))
    assert value == 17 / 8 and 0.5 < low < 1.5 and 3.0 < high < 4.5
    assert_array_equal(timing.ratio(theirs[:1], np.array([0.5])), [2.0] * 3)


@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_every_benchmark_runs_as_the_command_does(
    monkeypatch, capsys, tmp_path, name
):
    def noted(given, rounds):
        given = given["cutmix"] if isinstance(given, dict) else given
        calls.append((given.mixing, rounds, devices.operations()))
        timing.tell("Cost", ["", "s"], [["a", 0.25]])

    calls, known = [], BENCHMARKS.facts(name)
    more = " --methods=cutmix,baseline" * ("compares" in known)
    flags = f"--method=cutmix{more}"
    monkeypatch.setitem(BENCHMARKS._entries, name, noted)
    page, place = pages.empty(tmp_path)
    door(f"{name} --nodeterministic --rounds=7 {flags} {place}")
    door(f"{name} {flags}")
    free = "operations that need not be deterministic"
    strict = "deterministic operations"
    assert calls == [("cutmix", 7, free), ("cutmix", known["rounds"], strict)]
    out, text = capsys.readouterr().out, page.read_text()
    told = [line for line in out.splitlines() if provenance.machine() in line]
    for line, words in zip(told, (free, strict), strict=True):
        assert known["title"] in line and words in line
    table = "Cost:\n\n|     |    s |\n| :-- | ---: |\n| a   | 0.25 |\n"
    assert table in out and f"\n{table}\n`python" in text and free in text


@pytest.mark.slow
def test_what_is_compared_with_what(monkeypatch, capsys):
    batches, made = [], steps.of_model
    noted = lambda m, *batch: batches.append(batch) or made(m, *batch)  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(steps, "of_model", noted)
        timings = run("train_step", "--method=augmix --views=gaussian", 1)
    plain = [f"cross-entropy, {number} images" for number in (12, 4)]
    assert list(timings) == ["augmix, 4 x 3 views", *plain]
    (views, labels), (every, of_every), (clean, of_clean) = batches
    assert_array_equal(every, tf.reshape(views, [12, 1, 32, 32, 3]))
    assert_array_equal(of_every, np.repeat(labels, 3))
    assert_array_equal(clean, views[:, :1])
    assert_array_equal(of_clean, labels)
    assert "1.000 (1.000 to 1.000)" in capsys.readouterr().out
    seen, whole = {}, steps.methods
    watched = lambda configs, n: seen.update(configs) or whole(configs, n)  # noqa: E731
    monkeypatch.setitem(BENCHMARKS._entries, "methods", watched)
    chosen = "--methods=stability_training,baseline"
    door(f"methods {chosen} --rounds=1 {TINY}")
    for name, given in seen.items():
        line = f"{chosen} --rounds=1 --width=0.25 --method={name}"
        assert given.flags() == config(line).flags()
    rows = capsys.readouterr().out.splitlines()[-3:-1]
    found = [row.replace(" ", "").split("|") for row in rows]
    images = {row[1]: row[6] for row in found}
    assert images == {"stability_training": "8", "baseline": "4"}
    other = lambda input_shape, classes, **_: tiny_network.build(  # noqa: E731
        input_shape, classes, width=1.0, seed=0, **PIXELS
    )
    monkeypatch.setattr(keras.applications, "MobileNet", other)
    monkeypatch.setattr(steps, "_APPLICATIONS", ("MobileNet",))
    timings = run("segments", "", 1)
    assert list(timings) == ["tiny, batch 4", "MobileNet, batch 2"]
    monkeypatch.setattr(serving, "_CASES", serving._CASES[:1])
    figures = run("serving", "", 1)
    for batch_size in (1, 32):
        kinds = list(figures["tiny", 32, batch_size])
        assert kinds == ["Keras", "serving_default", "serving_bytes"]


@pytest.mark.slow
def test_training_evaluation_and_input_count(monkeypatch, capsys, tmp_path):
    samples, rate, share, _ = run("training", "--method=baseline", 2).values()
    assert samples == pytest.approx(4 * rate) and 0 <= share <= 1
    measured = "--corruptions=contrast,fog --severities=1 --test_examples=30"
    figures = run("evaluation", measured, 1)
    predicting, _, making, _, whole = figures["timings"].values()
    beyond = whole.cpu / (predicting.cpu + making.cpu) - 1.0
    assert figures["overhead"] == pytest.approx(beyond)
    assert figures["megabytes"] > 100
    assert "2 cells of 30 images" in capsys.readouterr().out
    modes, views = [], setup.views
    noted = lambda *given: modes.append(devices.operations()) or views(*given)  # noqa: E731
    monkeypatch.setattr(setup, "views", noted)
    root = picture_folders.make(tmp_path, train=4)
    line = f"--dataset=folder --data_dir={root} --train_examples=8"
    figures = run("input", f"{line} --method=baseline --nodeterministic", 1)
    for each, share in figures.values():
        assert each.wall > 0 and 0 <= share <= 1
    words = f"in {root}, 24 px, 8 images; none views"
    assert words in capsys.readouterr().out
    modes.append(devices.operations())
    assert [mode[:4] for mode in modes] == ["dete", "oper", "oper"]


@pytest.fixture
def timed(monkeypatch):
    """All that is timed runs once, in 30 s, in 10 s of a processor."""

    def interleaved(calls, rounds, warmup):
        one = timing.Timing(np.array([30.0]), np.array([10.0]))
        return {name: (call(), one)[1] for name, call in calls.items()}

    monkeypatch.setattr(timing, "interleaved", interleaved)


@pytest.mark.slow
@pytest.mark.usefixtures("timed")
def test_augmix_is_compared_with_pillow_for_each_sample(monkeypatch):
    monkeypatch.setattr(augmix, "_BATCHES", 1)
    monkeypatch.setattr(augmix, "_SIZES", {16: (8, 2)})
    figures = run("augmix", "--method=noisymix", 1)
    assert [each.wall for each in figures[16].values()] == [3.75, 15.0]


def test_memory_counts_and_draws_and_bad_input_is_one_line(tmp_path):
    line = f"--method=baseline --output_dir={tmp_path / 'run'}"
    at, megabytes, first, later, growth = run("memory", line, 8).values()
    assert first in (1, 2) and later == 0
    assert at.tolist() == list(range(1, 9)) and (megabytes > 100).all()
    assert_allclose(growth, 1000 * np.polyfit(at[4:], megabytes[4:], 1)[0])
    assert Image.open(tmp_path / "run/memory.png").size == (1050, 525)
    refused = assert_usage_error
    refused(lambda: run("memory", line, 8), "memory.png is there already")
    refused(lambda: door("speed"), "'speed'. Known: ", *BENCHMARKS.names())
    refused(lambda: door(""), "Name a benchmark: augmix, ")
    refused(lambda: door("memory"), "--output_dir is missing")
    line = "--output_dir=README.md"
    refused(lambda: run("memory", line, 8), "README.md cannot be written")
    refused(lambda: door("memory --methods=nfm"), "nfm belongs to methods")
    refused(lambda: door("input --strategy=mirrored"), "measures one device")
    refused(lambda: door("input --input=device"), "does nothing in input")
    refused(lambda: steps.methods({}, 1), "give it among the methods")
    refused(lambda: door("train_step --method=mixup"), "mixup has one view")
    refused(lambda: door("augmix --method=mixup"), "is no AugMix")


@pytest.mark.usefixtures("timed")
def test_figures_are_per_result_of_every_name(monkeypatch, capsys):
    seen = []
    record = lambda images, *more: seen.append(more) or images  # noqa: E731
    monkeypatch.setattr(corruptions, "corrupt", record)
    monkeypatch.setattr(corruptions, "perturb", record)
    figures = run("corruptions", "--eval_seed=3", 1)
    images, films, *minutes = figures.values()
    names = corruptions.names(), corruptions.perturbation_names()
    assert (tuple(images), tuple(films)) == names
    cells = {(n, s, 3) for n in images for s in corruptions.SEVERITIES}
    assert set(seen) == cells | {(name, 3) for name in films}
    for each, results in ((images["fog"], 500), (films["tilt"], 20)):
        assert (each[32].wall, each[32].cpu) == (30 / results, 10 / results)
    # The common fifteen at five severities, the ten films of CIFAR.
    assert_allclose(minutes, [5 * 15 * 200 / 60, 10 * 5_000 / 60])
    assert " 833.3 CPU-minutes" in capsys.readouterr().out


def test_the_pillow_version_draws_all_operations_and_depths():
    generator = np.random.default_rng(0)
    draw = functools.partial(pillow.draw_chain, generator, (32, 32))
    depths = np.array([len(draw()) for _ in range(3000)])
    laws.assert_law(depths, dict.fromkeys((1, 2, 3), 1 / 3))
    assert len({step[0] for step in draw(depth=400, all_ops=True)}) == 13
    image = laws.sample_images(2, (12, 10, 1), seed=6)[1]
    views = pillow.augmix_views(image, generator, width=1)
    assert_array_equal(views[0], image)
    assert views.shape == (3, 12, 10, 1) and not np.allclose(*views[1:])
