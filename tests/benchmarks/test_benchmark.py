"""The benchmark door measures what it says; no test depends on a speed."""

import functools
import importlib
import re
import time
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image
from tensorflow.python.framework import config as tf_config

from noisymix_tf import benchmark, command_line, corruptions, devices
from noisymix_tf.benchmarks import methods, serving, timing
from noisymix_tf.models.zoo import MODELS, Architecture
from support import ROOT, picture_folders, tiny_network
from support.released_sets import noise
from support.usage import assert_usage_error

TINY = "--model=tiny --batch_size=4 --train_examples=40 --jit_compile=false"
PIXELS, NO = {"mean": 0.5, "std": 0.5}, " --nodeterministic"


@pytest.fixture(autouse=True)
def at_root_with_a_tiny_network(monkeypatch):
    monkeypatch.chdir(ROOT)
    build = functools.partial(tiny_network.build, num_classes=10, **PIXELS)
    # Privately, so that the registry is as before for other tests.
    monkeypatch.setitem(MODELS._entries, "tiny", Architecture(build))
    yield
    tf_config.disable_op_determinism()


def flag_values():
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "As absl's.", flag_values=values)
    return values


def config(line=""):
    command_line.define_flags(values := flag_values())
    words = ["benchmark", *TINY.split(), *line.split()]
    return command_line.parse(words, values)


def door(line):
    benchmark.main(["benchmark", *line.split()], flag_values())


def run(name, *arguments, **options):
    module = importlib.import_module(f"noisymix_tf.benchmarks.{name}")
    return module.run(*arguments, **options)


def test_timing_takes_turns_and_tells_waiting_from_working():
    order = []
    wait = lambda: order.append("wait") or time.sleep(0.02)  # noqa: E731
    functions = {"wait": wait, "other": lambda: order.append("other")}
    timings = timing.interleaved(functions, rounds=3, warmup=1)
    assert order == ["wait", "other"] * 4
    assert timings["wait"].wall >= 0.02 > timings["wait"].cpu


@pytest.mark.parametrize(
    "line, wanted",
    [
        # Few rounds unless the user says how many; the flags get through.
        ("corruptions", [3, 0]),
        ("corruptions --rounds=1 --eval_seed=5", [1, 5]),
        ("input --method=baseline --data_dir=D", ["D", 20, 0]),
        ("memory --rounds=7", ["config", 7]),
        ("evaluation", ["config", 1]),
        ("serving", ["config", 5]),
        *((name, ["config", 20]) for name in ("train_step", "segments")),
        *((f"training{no}", ["config", 20]) for no in ("", NO)),
    ],
)
def test_every_benchmark_is_given_its_flags(monkeypatch, line, wanted):
    """And pipelines the operations of training, as tf.data depends on them."""

    def run(*arguments, **more):
        given = [*arguments, *more.values()]
        plain = ["config" if hasattr(a, "method") else a for a in given]
        calls.append((plain, "deterministic op" in devices.operations()))

    calls, (name, *_) = [], line.split()
    monkeypatch.setattr(f"noisymix_tf.benchmarks.{name}.run", run)
    door(line)
    as_training = name in ("input", "training") and "--nodet" not in line
    assert calls == [(wanted, as_training)]


def test_what_is_compared_with_what(monkeypatch, capsys):
    """By step, of several views; flags of one leave no trace in others."""
    shapes, made = [], tf.data.Dataset.from_tensors
    noted = lambda t: shapes.append(tuple(t[0].shape[:2])) or made(t)  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(tf.data.Dataset, "from_tensors", noted)
        timings = run("train_step", config("--method=augmix"), rounds=1)
    plain = ["cross-entropy, 12 images", "cross-entropy, 4 images"]
    assert list(timings) == ["augmix, 4 x 3 views", *plain]
    assert shapes == [(4, 3), (12, 1), (4, 1)]
    assert "augmix / cross-entropy" in capsys.readouterr().out
    seen, whole = {}, methods.run
    watched = lambda configs, n: seen.update(configs) or whole(configs, n)  # noqa: E731
    monkeypatch.setattr(methods, "run", watched)
    chosen = "--methods=nfm,baseline,stability_training"
    door(f"methods {chosen} --rounds=1 {TINY}")
    assert seen["nfm"].method.additive_noise == 0.4
    assert seen["baseline"].method == config("--method=baseline").method
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[-3:]]
    found = [(method, int(views)) for method, views, *_ in rows]
    assert found == [("nfm", 1), ("baseline", 1), ("stability_training", 2)]
    assert rows[1][-2:] == ["1.00", "1.00"]
    # Exports and segments, with Keras.
    options = {"width": 1.0, "seed": 0, **PIXELS}
    other = lambda input_shape, classes, **_: tiny_network.build(  # noqa: E731
        input_shape, classes, **options
    )
    monkeypatch.setattr(keras.applications, "MobileNet", other)
    noisymix = config("--method=noisymix")
    chosen = {"rounds": 1, "applications": ("MobileNet",)}
    timings = run("segments", noisymix, **chosen)
    assert list(timings) == ["tiny, batch 4", "MobileNet, batch 2"]
    figures = serving.run(noisymix, rounds=1, cases=serving.CASES[:1])
    for batch_size in (1, 32):
        kinds = list(figures["tiny", 32, batch_size])
        assert kinds == ["Keras", "serving_default", "serving_bytes"]
    assert "bytes / Keras" in capsys.readouterr().out


def test_training_evaluation_and_input_count(monkeypatch, capsys, tmp_path):
    figures = run("training", config("--method=baseline"), rounds=2)
    samples = pytest.approx(4 * figures["steps_per_second"])
    assert figures["samples_per_second"] == samples
    assert 0 <= figures["wait_share"] <= 1
    measured = "--corruptions=contrast,fog --severities=1 --test_examples=30"
    figures = run("evaluation", config(measured))
    slower = max(figures["making"], figures["predicting"])
    overhead = figures["together"] / slower - 1
    assert figures["overhead"] == pytest.approx(overhead, abs=1e-6)
    assert "2 cells of 30 images" in capsys.readouterr().out
    # AugMix takes long to compile.
    views = lambda images, seed: tf.stack([images] * 3, axis=1)  # noqa: E731
    monkeypatch.setattr("noisymix_tf.augment.augmix_views", views)
    options = {"threads": (1,), "rounds": 1}
    figures = run("input", sizes={16: (8,)}, **options)
    stages = ["decode", "+ crop", "+ AugMix"]
    assert list(figures) == [(16, 8, stage, 1) for stage in stages]
    assert all(min(each.values()) > 0 for each in figures.values())
    assert "128 JPEG files made of photographs" in capsys.readouterr().out
    # More images in a batch than in a folder: they are repeated.
    root = str(picture_folders.make(tmp_path))
    run("input", root, {16: (12,)}, stages=stages[:1], **options)
    assert f"Input pipeline from {root}" in capsys.readouterr().out


@pytest.mark.slow
def test_augmix_is_compared_with_pillow_per_cpu_second():
    figures = run("augmix", batch_size=2, image_size=16, seconds=0.1, rounds=1)
    ours, pillow = (
        figures[each]["samples_per_cpu_second"] for each in ("ours", "pillow")
    )
    assert figures["ratio"] == pytest.approx(ours / pillow)
    assert figures["compile_seconds"] > 0


def test_memory_counts_and_draws_and_bad_input_is_one_line(tmp_path):
    plain = config(f"--method=baseline --output_dir={tmp_path / 'run'}")
    figures = run("memory", plain, rounds=8)
    assert figures["first_traces"] in (1, 2) and figures["later_traces"] == 0
    steps, megabytes = figures["steps"], figures["megabytes"]
    assert steps.tolist() == list(range(1, 9)) and (megabytes > 100).all()
    slope = np.polyfit(steps[4:], megabytes[4:], 1)[0]
    assert figures["growth"] == pytest.approx(1000 * slope)
    assert Image.open(tmp_path / "run/memory.png").size == (1050, 525)
    again = functools.partial(run, "memory", plain)
    assert_usage_error(again, "memory.png is there already")
    names = re.findall(r"benchmark (\w+)", benchmark.__doc__)
    assert_usage_error(lambda: door("speed"), "'speed'. Known: ", *names)
    assert_usage_error(lambda: door("memory"), "--output_dir is missing")
    assert_usage_error(lambda: methods.run({}), "give it among the methods")
    line = "train_step --method=mixup"
    assert_usage_error(lambda: door(line), "mixup has one view")


def test_figures_are_per_result_of_every_name(monkeypatch, capsys):
    """Of 100 images at five severities there are 500, of films 20."""
    seen = []
    record = lambda images, *more: seen.append(more) or images  # noqa: E731

    def interleaved(calls, rounds, warmup):
        for call in calls.values():
            call()
        return dict.fromkeys(calls, timing.Timing(30.0, 10.0))

    monkeypatch.setattr(timing, "interleaved", interleaved)
    monkeypatch.setattr(corruptions, "corrupt", record)
    monkeypatch.setattr(corruptions, "perturb", record)
    figures = run("corruptions", rounds=1, seed=3)
    images, films = figures["corruptions"], figures["perturbations"]
    names = corruptions.names(), corruptions.perturbation_names()
    assert (tuple(images), tuple(films)) == names
    cells = {(n, s, 3) for n in images for s in corruptions.SEVERITIES}
    assert set(seen) == cells | {(name, 3) for name in films}
    for each, results in ((images["fog"], 500), (films["tilt"], 20)):
        assert (each[32].wall, each[32].cpu) == (30 / results, 10 / results)
    # The common fifteen at five severities, the ten films of CIFAR.
    assert figures["c_cpu_minutes"] == pytest.approx(5 * 15 * 200 / 60)
    assert figures["p_cpu_minutes"] == pytest.approx(10 * 5_000 / 60)
    assert ": 833.3 CPU-minutes" in capsys.readouterr().out


@pytest.mark.parametrize("name", corruptions.names())
def test_memory_does_not_grow_with_the_number_of_images(name):
    images = noise(400, 32, 32, 3)
    corruptions.corrupt(images[:100], name, 5)
    peaks = []
    for part in (images[:100], images):
        tracemalloc.start()
        corruptions.corrupt(part, name, 5)
        # Beyond what is returned.
        peaks.append(tracemalloc.get_traced_memory()[1] - part.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 100_000
