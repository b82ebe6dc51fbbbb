"""`evaluate` on models whose predictions are known; images are read once."""

import itertools
import json
import pathlib
import signal
import time
from unittest import mock

import keras
import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.evaluation import engine
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.models.unwrap import model_fingerprint
from support import door_processes
from support import evaluation_toys as toys
from support.usage import assert_usage_error


def bits(results):
    return {c.name: s.rows.tobytes() for c, s in results.scores.items()}


@pytest.mark.parametrize("softmax", [True, False])
def test_cells_are_what_numpy_computes_and_images_are_read_once(softmax):
    model = toys.brightness_model(scale=30.0, softmax=softmax)
    data = toys.dataset(split=toys.SizedTest if softmax else toys.Test)
    size, workers = (23, 0) if softmax else (5, 2)
    results = toys.run(model, data, batch_size=size, num_workers=workers)
    assert len(results.scores) == 1 + 2 * 2
    # First image, probe, what they are, and all five cells; perhaps the count.
    assert data.test.passes == (4 if softmax else 5)
    for cell, scores in results.scores.items():
        pixels = data.test.images
        if cell.suite == "c":
            pixels = corruptions.corrupt(pixels, cell.corruption, cell.severity)
        outputs = model(pixels.astype(np.float32)).numpy()
        wanted = ImageScores.of(outputs, data.test.labels, not softmax)
        for name in wanted.dtype.names:
            both, near = (scores.rows[name], wanted[name]), (1e-4, 1e-6)
            np.testing.assert_allclose(*both, *near)
        assert cell.outputs == ("probabilities" if softmax else "logits")
        assert (cell.n, cell.dataset) == (23, "flat")
    # Arrays without the top class have the classes of the model.
    below = data.test.labels < 2
    arrays = data.test.images[below], data.test.labels[below]
    assert toys.run(data=arrays).figures["clean/accuracy"] == 1.0


def stopping(chunks):
    """A progress that Ctrl-C ends after some chunks."""
    said = [*[None] * (chunks - 1), KeyboardInterrupt]
    return mock.Mock(**{"advance.side_effect": said})


def test_what_was_ended_goes_on_at_the_chunk(tmp_path):
    model, data = toys.random_model(), toys.dataset()
    truth = toys.run(model, batch_size=5)
    options = {"batch_size": 5, "output_dir": tmp_path}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            toys.run(model, progress=stopping(2), **options)
        assert not (tmp_path / "report.json").exists()
    again = toys.run(model, **options)
    assert again.computed == 5 and bits(again) == bits(truth)
    report = json.loads((tmp_path / "report.json").read_text())
    del report["sections"]["cost"]  # Seconds.
    for name, section in report["sections"].items():
        wanted = truth.report.as_dict()["sections"][name]
        assert section == json.loads(json.dumps(wanted))
    lines = (tmp_path / "cells.jsonl").read_text().splitlines()
    rights = [json.loads(line)["mean_right"] for line in lines]
    assert rights == [s.rows["right"].mean() for s in truth.scores.values()]
    done = toys.run(model, data, **options)
    # The first image, the probe, and one pass for what they are.
    assert done.computed == 0 and data.test.passes == 2 + 1


def test_shards_are_one_run_to_the_last_bit_whatever_the_workers(tmp_path):
    model = toys.random_model()
    options = {"suites": ("clean", "c", "p"), "perturbations": ("scale",)}
    options |= {"batch_size": 4, "severities": (3,)}
    whole = tmp_path / "whole"
    whole = toys.run(model, output_dir=whole, num_workers=0, **options)
    parts = [tmp_path / str(k) for k in range(1, 5)]
    for k, part in enumerate(parts, 1):
        own = {"output_dir": part, "shard": f"{k}/4", "num_workers": k % 3}
        one = toys.run(model, **own, **options)
        assert one.report is None and not (part / "report.json").exists()
        for ask in (str, lambda results: results.figures):
            assert_usage_error(lambda f=ask, r=one: f(r), "evaluation.merge")
    merged = evaluation.merge(reversed(parts), tmp_path / "merged")
    assert bits(merged) == bits(whole)
    assert list(merged.scores) == list(whole.scores)
    assert "flat" in (tmp_path / "merged" / "report.html").read_text()
    pictures = [
        {
            p.name: p.read_bytes()
            for p in (tmp_path / name / "examples").iterdir()
        }
        for name in ("merged", "whole")
    ]
    assert pictures[0] == pictures[1]
    given = {"folders": parts, "output_dir": parts[1] / "."}
    assert_usage_error(evaluation.merge, "is one of the parts", **given)
    other, own = tmp_path / "other", {"shard": "2/4", "failure_share": 0.5}
    toys.run(model, output_dir=other, **options, **own)
    # What is no set of parts of one plan.
    alien = tmp_path / "alien"
    toys.run(model, output_dir=alien, shard="2/4", **options, seed=1)
    half = tmp_path / "half"
    stopped = {"shard": "1/2", "output_dir": half, "progress": stopping(1)}
    with pytest.raises(KeyboardInterrupt):
        toys.run(model, **options, **stopped)
    toys.run(model, output_dir=tmp_path / "rest", shard="2/2", **options)
    for folders, words in (
        ([], "No part was given"),
        (parts[:3], "Of 4 parts 4 are missing"),
        ([*parts, parts[0]], "are both part 1 of 4"),
        ([parts[0], alien], "no parts of one plan"),
        ([parts[0], other], "reference and failure_share"),
        ([tmp_path], "holds no part of an evaluation"),
        ([half, tmp_path / "rest"], "lacks"),
    ):
        given = {"folders": folders, "output_dir": tmp_path / "bad"}
        assert_usage_error(evaluation.merge, words, **given)
    for word in ("0/4", "5/4", "1", "a/b", "1/0"):
        assert_usage_error(toys.run, f"={word} must be i/n", shard=word)
    given = {"model": model, "shard": "1/2"}
    assert_usage_error(toys.run, "needs an output_dir", **given)
    given |= {"output_dir": alien, "reference": evaluation.Reference("own")}
    assert_usage_error(toys.run, "give its path", **given)


def test_a_report_is_not_replaced_by_another_or_by_less(tmp_path):
    out, other = tmp_path / "out", toys.brightness_model(scale=2.0)
    how = {"output_dir": out, "severities": (1,)}
    about = {"model": pathlib.Path("one")}
    toys.run(about=about, **how)
    before = (out / "report.json").stat().st_mtime_ns
    own = {"model": other, "about": {"model": "two"}}
    words = "holds the evaluation of one: name another output_dir"
    assert_usage_error(toys.run, words, **how, **own)
    less = {"suites": ("clean",), "output_dir": out}
    for own in ({}, {"about": about}, {"model": other}):
        words = "holds a report with suite c, which", "add it to suites"
        assert_usage_error(toys.run, *words, **less, **own)
    assert (out / "report.json").stat().st_mtime_ns == before
    # The same by another name; trained further, and then moved.
    assert toys.run(about={"model": "1"}, **how).computed == 0
    assert toys.run(other, about={"model": "1"}, **less).computed == 1
    beside = {"model": tmp_path / "model.keras"}
    toys.run(about=beside, **less)
    report = json.loads((out / "report.json").read_text())
    assert report["num_classes"] == 3 and len(report["sections"]) == 3


def test_estimates_count_the_workers_that_there_are(monkeypatch):
    plan = evaluation.plan(
        toys.brightness_model(),
        toys.dataset(),
        corruptions="fog",
        severities=(1,),
    )
    monkeypatch.setattr(engine, "cores", lambda: 4)
    clock = mock.Mock(**{"monotonic.return_value": 0.0})
    for workers, wanted in ((0, 23), (None, 23), (2, 11.5), (8, 5.75)):
        clock.process_time.side_effect = itertools.count(0.0, 4.0)
        monkeypatch.setattr(engine, "time", clock)
        assert engine.estimate(plan, workers) == wanted


def changed(data, **fields):
    images = data.test.images.copy()
    images[-1] = images[-1] if fields else 255 - images[-1]
    data.test.images = images
    vars(data).update(fields)
    return data


def test_stale_records_are_measured_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation.Report, "write", lambda *_: None)
    usual = corruptions.core.VERSION
    for kind in (toys.whole_dataset, toys.dataset):
        folder = tmp_path / kind.__name__
        monkeypatch.setattr(corruptions.core, "VERSION", usual)
        toys.run(data=kind(), output_dir=folder)
        same = kind()  # An equal copy of all pixels.
        for computed, change in (
            (0, {}),
            (0, {"batch_size": 5}),
            (4, {"seed": 1}),  # Clean images have no seed.
            (2, {"severities": (1, 3, 5)}),
            (4, {"table": "imagenet"}),
            (5, {"model": toys.brightness_model(scale=2.0)}),
            (5, {"data": kind(n=22)}),
            # The first image and the labels alone do not tell.
            (5, {"data": changed(kind())}),
            # A label then means another class.
            (5, {"data": changed(kind(), class_names=("2", "1", "0"))}),
            (4, {"version": 999}),  # Another generator.
        ):
            version = change.pop("version", usual)
            monkeypatch.setattr(corruptions.core, "VERSION", version)
            options = {"data": same, **change}
            again = toys.run(output_dir=folder, **options)
            assert again.computed == computed, change
            truth = toys.run(**options)
            for cell, scores in again.scores.items():
                nll = scores.rows["nll"], truth.scores[cell].rows["nll"]
                np.testing.assert_allclose(*nll, rtol=1e-4)
    # What was taken for logits must not stand for probabilities.
    base = toys.brightness_model(softmax=True)
    model = keras.Model(base.inputs, base.outputs[0] / 2)
    said = ("auto", "probabilities", "probabilities")
    for outputs, computed in zip(said, (5, 5, 0)):
        results = toys.run(model, output_dir=tmp_path / "said", outputs=outputs)
        assert results.computed == computed
        kinds = {cell.outputs for cell in results.scores}
        assert kinds == {"logits" if outputs == "auto" else outputs}


def test_fingerprints_see_constants_and_weights_but_no_names(tmp_path):
    model = toys.brightness_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    same = model, loaded, toys.brightness_model(name="pixels")
    assert len(set(map(model_fingerprint, same))) == 1
    scales = map(keras.layers.Rescaling, (1.0, 2.0))
    other = [keras.Sequential([scale, model]) for scale in scales]
    prints = {model_fingerprint(each) for each in (model, *other)}
    kernel, bias = model.get_weights()
    bias[-1] += 1
    model.set_weights([kernel, bias])
    assert len({model_fingerprint(model), *prints}) == 4
    assert_usage_error(lambda: model_fingerprint(object()), "no weights")
    # A configuration that cannot be had.
    plain = type("Plain", (keras.Model,), {"get_config": lambda _: 1 / 0})
    assert model_fingerprint(plain()) == model_fingerprint(plain())


def rebuilt(wrap):
    model = toys.brightness_model()
    return keras.Model(model.inputs, wrap(model.outputs[0]))


def arrays(side=toys.SIDE, n=4):
    return np.zeros([n, side, side, 3], np.uint8), np.arange(n)


def test_bad_input():
    for options, words in (
        ({"suites": ("dream",)}, "suite 'dream' & clean, c"),
        ({"suites": "clean"}, "suites must be a list & 'clean'"),
        ({"suites": ()}, "suites is empty"),
        ({"model": "model.keras"}, "'model.keras': load it first"),
        ({"released_preprocess": "crop8"}, "released_preprocess & nothing"),
        ({"c_dir": "x", "table": "tiny"}, "table=tiny would do nothing"),
        ({"model": toys.brightness_model(4)}, "[8, 4] & 3 classes"),
        ({"model": rebuilt(lambda x: x + np.nan)}, "not finite"),
        ({"model": rebuilt(lambda x: [x, x])}, "expected one tensor"),
        ({"data": "digits"}, "Dataset or (images, labels) & a str"),
        ({"data": (*arrays(), 1)}, "tuple of 3"),
        ({"data": arrays(n=0)}, "There are no images"),
        ({"data": arrays()}, "a label 3, & 3 classes"),
        ({"data": arrays(8, n=3)}, "[16, 16, 3] & [8, 8, 3]"),
        ({"batch_size": 0}, "batch_size=0 must be a whole number from 1"),
        ({"num_workers": -1}, "num_workers=-1 must be a whole number from 0"),
        ({"output_dir": __file__}, "test_engine.py cannot be written"),
    ):
        assert_usage_error(toys.run, *words.split(" & "), **options)


@pytest.mark.slow
def test_ten_kills_at_random_change_nothing(tmp_path):
    """Whatever a process is killed at, what it has kept is whole."""
    toys.random_model().save(tmp_path / "model.keras")
    code = f"""
import sys, numpy as np
from noisymix_tf import evaluation
from support import door_processes
from support import evaluation_toys as toys
model = evaluation.load_classifier({str(tmp_path / "model.keras")!r})
evaluation.evaluate(
    model, toys.dataset(n=600), suites=("clean", "c", "p"), batch_size=20,
    perturbations=("tilt",), severities=(1, 5), output_dir=sys.argv[1],
    num_workers=1)
"""
    places = [tmp_path / name for name in ("killed", "whole")]
    assert door_processes.run("-c", code, places[1]).returncode == 0
    wait, files = np.random.default_rng(0).uniform(0.0, 2.0, 10), []
    for seconds in wait:
        records = places[0] / "records.sqlite"
        before = records.stat().st_size if records.exists() else 0
        with door_processes.Process("-c", code, places[0]) as process:
            while process.is_running() and (
                not records.exists() or records.stat().st_size <= before
            ):
                time.sleep(0.05)
            time.sleep(seconds)
            process.kill()
            files.append(process.returncode)
    assert files.count(-signal.SIGKILL) >= 5
    assert door_processes.run("-c", code, places[0]).returncode == 0
    reports = [(p / "cells.jsonl").read_text() for p in places]
    assert reports[0] == reports[1] and "tilt" in reports[0]


def opened(split, **options):
    return Images(split, "flat", 3, "as_stored", **options)


def test_chunks_that_are_wanted_of_all_images_or_of_a_balanced_part():
    datasets = toys.dataset(), toys.dataset(split=toys.Test)
    for data in (*datasets, toys.whole_dataset()):
        split = data.test
        images = opened(split)
        assert (images.n, images.available) == (23, 23)
        assert images.shape == images.probe(5).shape[1:] == (16, 16, 3)
        for starts in ([0, 5, 10, 15, 20], [5, 20], [0], [20], []):
            found = list(images.chunks(5, starts))
            assert [start for start, _, _ in found] == starts
            for start, pixels, labels in found:
                part = slice(start, start + 5)
                np.testing.assert_array_equal(pixels, split.images[part])
                np.testing.assert_array_equal(labels, split.labels[part])
    images = opened(split, examples=7)
    assert (images.n, images.available) == (7, 23)
    chosen = balanced_indices(split.labels, 7)
    _, pixels, labels = zip(*images.chunks(3, [0, 3, 6]))
    np.testing.assert_array_equal(np.concatenate(pixels), split.images[chosen])
    np.testing.assert_array_equal(np.concatenate(labels), split.labels[chosen])


def test_what_cannot_be_measured_is_told():
    some = toys.whole_dataset(), toys.dataset(), toys.dataset(split=toys.Test)
    # Nothing to balance where all are taken, whatever the split can tell.
    for each in some:
        found = {opened(each.test, examples=k).n for k in (23, 50, None)}
        assert found == {23}
    few, none = toys.dataset().test, "'flat' has no test images"
    assert_usage_error(lambda: opened(few, examples=5), "5 examples")
    assert_usage_error(lambda: opened(toys.dataset(0).test), none)
    assert_usage_error(lambda: opened(toys.dataset(0, 3, toys.Test).test), none)
    for label in (-1, 3):
        few.labels[-1] = label
        images = opened(few)
        words = f"label {label}", "0 to 2"
        assert_usage_error(lambda i=images: list(i.chunks(23, [0])), *words)
