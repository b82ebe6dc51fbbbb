"""`evaluate` on models whose predictions are known."""

import functools
import json
import re
import weakref

import keras
import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation
from noisymix_tf.evaluation import images as images_lib
from noisymix_tf.evaluation import metrics, plots
from noisymix_tf.evaluation.fingerprint import model_fingerprint
from noisymix_tf.evaluation.sections import SECTIONS, Figure, Section, tallies
from support import evaluation_toys as toys
from support.usage import assert_usage_error


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Heat maps take longer than what is tested here."""
    monkeypatch.setattr(plots, "heatmap", lambda *_: b"")


@pytest.mark.parametrize(
    "softmax, split, options",
    [
        (True, toys.SizedTest, {"batch_size": 23, "num_workers": 1}),
        (False, toys.Test, {"batch_size": 5, "num_workers": 3}),
    ],
)
def test_cells_are_what_numpy_computes(softmax, split, options):
    model = toys.brightness_model(scale=30.0, softmax=softmax)
    data = toys.dataset(split=split)
    results = toys.run(model, data, **options)
    assert len(results.records) == 1 + 2 * 2
    # First image, probe, what they are, and all cells; perhaps the count.
    assert data.test.passes == (4 if softmax else 5)
    for cell, sums in results.records.items():
        pixels = data.test.images
        if cell.suite == "c":
            pixels = corruptions.corrupt(pixels, cell.corruption, cell.severity)
        outputs = model(pixels.astype(np.float32)).numpy()
        tally = metrics.tally(outputs, data.test.labels, not softmax)
        for key, wanted in tally.measurements().items():
            np.testing.assert_allclose(sums[key], wanted, rtol=1e-5)
        assert sums["outputs"] == ("probabilities" if softmax else "logits")
        assert (cell.n, cell.dataset) == (23, "flat")
    # Arrays without the top class have the classes of the model.
    below = data.test.labels < 2
    arrays = data.test.images[below], data.test.labels[below]
    assert toys.run(data=arrays).figures["clean/accuracy"] == 1.0


class Inverted(evaluation.ImageSuite):
    def cells(self, job):
        return [job.cell("inverted", source="generated")]

    def prepare(self, cell, images, indices):
        return 255 - images


def test_a_suite_of_ones_own_and_an_error_in_its_workers(monkeypatch):
    # Private, so that the next test finds it as it was.
    monkeypatch.setattr(SECTIONS, "_entries", dict(SECTIONS._entries))

    @SECTIONS.register("inverted")
    def section(records, context):
        ((cell, tally),) = tallies(records).items()
        figure = Figure("accuracy", "accuracy", tally.accuracy)
        words = "Inverted", cell.n, cell.source, "255 - x"
        return [Section("inverted", *words, (figure,))]

    data = toys.dataset()
    results = toys.run(data=data, suites=("clean", Inverted()))
    # 20, 120 and 220 become 235, 135 and 35: only the middle class stays.
    share = (data.test.labels == 1).mean()
    assert results.figures["inverted/accuracy"] == pytest.approx(share)
    assert "255 - x" in str(results)
    monkeypatch.setattr(Inverted, "prepare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        toys.run(suites=(Inverted(),))


def test_batches_are_neither_read_far_ahead_nor_held(monkeypatch):
    # Private: the memory for images, here that of ten batches.
    monkeypatch.setattr(images_lib, "_CACHE_BYTES", 10 * 2 * 16 * 16 * 3)
    made, seen = [], []

    class Watched(toys.Test):
        def batches(self, batch_size):
            made.clear()
            for batch in super().batches(batch_size):
                made.append(weakref.ref(batch[0]))
                yield batch

    class Watching(Inverted):
        def answer(self, *arguments):
            alive = sum(pixels() is not None for pixels in made)
            seen.append((len(made) - len(seen), alive))
            return super().answer(*arguments)

    data = toys.dataset(n=60, split=Watched)
    toys.run(data=data, suites=(Watching(),), batch_size=2, num_workers=2)
    ahead, alive = np.transpose(seen)
    # The one that is measured, two for every worker, and what is being read.
    assert max(ahead) == 1 + 2 * 2 and max(alive[10:]) <= 1 + 2 * 2 + 1


def test_a_kill_keeps_finished_cells_and_the_report_is_of_all(tmp_path):
    def stop(cell, measurements, done, total):
        assert total == 5
        if done == 3:
            raise KeyboardInterrupt

    model = toys.random_model()
    with pytest.raises(KeyboardInterrupt):
        toys.run(model, output_dir=tmp_path, progress=stop)
    assert not (tmp_path / "report.json").exists()
    truth = toys.run(model)
    whole = toys.without_seconds(truth)
    path = tmp_path / "cells.jsonl"
    for computed in (2, 0, 1):
        again = toys.run(model, output_dir=tmp_path)
        assert again.computed == computed
        assert toys.without_seconds(again) == whole
        lines = path.read_bytes()
        if computed == 0:
            path.write_bytes(lines[:-40])  # The last line is torn.
    mean = "c/mean_accuracy"
    assert again.figures[mean] == truth.figures[mean]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == again.report.as_dict()


def changed(data, **fields):
    images = data.test.images.copy()
    images[-1] = images[-1] if fields else 255 - images[-1]
    data.test.images = images
    vars(data).update(fields)
    return data


def test_stale_cells_are_measured_anew(tmp_path, monkeypatch):
    path, lines = tmp_path / "cells.jsonl", {}
    for kind in (toys.whole_dataset, toys.dataset):
        path.unlink(missing_ok=True)
        toys.run(data=kind(), output_dir=tmp_path)
        lines[type(kind())] = path.read_text()
    old = re.sub('(?<="data": ")[^"]*', "9b1d2c33", path.read_text())
    for computed, change in (
        (0, {}),
        (0, {"batch_size": 5}),
        (4, {"seed": 1}),  # Clean images have no seed.
        (2, {"severities": (1, 3, 5)}),
        (5, {"model": toys.brightness_model(scale=2.0)}),
        (5, {"data": toys.dataset(n=22)}),
        # The first image and the labels alone do not tell.
        (5, {"data": changed(toys.dataset())}),
        (5, {"data": changed(toys.whole_dataset())}),
        # A label then means another class.
        (5, {"data": changed(toys.dataset(), class_names=("2", "1", "0"))}),
        (5, {"lines": old}),  # An older word for the same data.
        (4, {"version": 999}),  # Another generator.
    ):
        kind = type(change.get("data", toys.dataset()))
        path.write_text(change.pop("lines", lines[kind]))
        version = change.pop("version", corruptions.core.VERSION)
        monkeypatch.setattr(corruptions.core, "VERSION", version)
        again = toys.run(output_dir=tmp_path, **change)
        assert again.computed == computed, change
        truth = toys.run(**change)
        assert list(again.records) == list(truth.records)
        for cell, sums in again.records.items():
            wanted = truth.records[cell]["nll_sum"]
            assert sums["nll_sum"] == pytest.approx(wanted, rel=1e-5)
    # What was summed up as logits must not stand for probabilities.
    path.unlink()
    base = toys.brightness_model(softmax=True)
    model = keras.Model(base.inputs, base.outputs[0] / 2)
    said = ("auto", "probabilities", "probabilities")
    for outputs, computed in zip(said, (5, 5, 0)):
        results = toys.run(model, output_dir=tmp_path, outputs=outputs)
        assert results.computed == computed
        kinds = {record["outputs"] for record in results.records.values()}
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
        ({"model": toys.brightness_model(4)}, "[8, 4] & 3 classes"),
        ({"model": rebuilt(lambda x: x + np.nan)}, "not finite"),
        ({"model": rebuilt(lambda x: [x, x])}, "expected one tensor"),
        ({"data": "digits"}, "Dataset or (images, labels) & a str"),
        ({"data": (*arrays(), 1)}, "tuple of 3"),
        ({"data": arrays(n=0)}, "There are no images"),
        ({"data": arrays()}, "a label 3, & 3 classes"),
        ({"data": arrays(8, n=3)}, "[16, 16, 3] & [8, 8, 3]"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"num_workers": 0}, "num_workers must be at least 1"),
        ({"output_dir": __file__}, "test_runner.py' cannot be a folder"),
    ):
        call = functools.partial(toys.run, **options)
        assert_usage_error(call, *words.split(" & "))


@pytest.mark.slow
def test_the_oracles_accuracies(full_golden, cifar10_test, trained_resnet20):
    """ResNet-20 on 2,000 images: the oracle's accuracy, cell by cell."""
    expected = full_golden("cifar_c_accuracy_resnet20.json")
    data = toys.dataset(num_classes=10)
    data.test = toys.SizedTest(*(array[:2000] for array in cifar10_test))
    names = ("shot_noise", "zoom_blur", "jpeg_compression")
    options = {"severities": (3,), "batch_size": 250, "corruptions": names}
    results = toys.run(trained_resnet20, data, **options)
    assert results.figures["clean/accuracy"] == expected["clean"]
    cells = results.report.as_dict()["sections"]["c"]["cells"]
    found = [cells[name]["3"]["accuracy"] for name in names]
    wanted = [expected["accuracy_sev1_to_5"][name][2] for name in names]
    assert (np.abs(np.subtract(found, wanted)) <= [0.02, 0.01, 0.01]).all()
