"""`evaluate` on models whose predictions are known."""

import json
import threading
from concurrent import futures

import keras
import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import images as images_lib
from noisymix_tf.evaluation import metrics
from noisymix_tf.evaluation.fingerprint import model_fingerprint
from noisymix_tf.evaluation.sections import (
    SECTIONS,
    Figure,
    Section,
    tallies,
)
from noisymix_tf.evaluation.suites import core
from support.evaluation_toys import (
    SIDE,
    SizedTest,
    Test,
    brightness_model,
    dataset,
    run,
    whole_dataset,
    without_seconds,
)


def test_cells_are_what_numpy_computes():
    model, data = brightness_model(scale=30.0), dataset()
    results = run(model, data)
    assert len(results.records) == 1 + 2 * 2
    for cell, sums in results.records.items():
        images = data.test.images
        if cell.suite == "c":
            images = corruptions.corrupt(images, cell.corruption, cell.severity)
        outputs = model(images.astype(np.float32)).numpy()
        wanted = metrics.tally(outputs, data.test.labels).measurements()
        assert sums["correct"] == wanted["correct"]
        assert sums["nll_sum"] == pytest.approx(wanted["nll_sum"], rel=1e-5)
        assert sums["brier_sum"] == pytest.approx(wanted["brier_sum"], rel=1e-5)
        np.testing.assert_allclose(sums["bins"], wanted["bins"], rtol=1e-5)
        assert (cell.n, cell.dataset) == (23, "flat")


def test_a_perfect_and_a_constant_model():
    data = dataset()
    perfect = run(brightness_model(), data, suites=("clean",))
    assert perfect.figures["clean/accuracy"] == 1.0
    constant = brightness_model()
    constant.layers[-1].set_weights(
        [np.zeros([3, 3]), np.array([0.0, 5.0, 0.0])]
    )
    results = run(constant, data, suites=("clean", "c"))
    share = (data.test.labels == 1).mean()
    assert results.figures["clean/accuracy"] == pytest.approx(share)
    assert results.figures["c/mean_accuracy"] == pytest.approx(share)
    confidence = np.exp(5) / (np.exp(5) + 2)
    assert results.figures["clean/ece"] == pytest.approx(
        abs(confidence - share), abs=1e-6
    )


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_batch_size_does_not_matter(batch_size):
    wanted = run(batch_size=8)
    results = run(batch_size=batch_size)
    assert list(results.records) == list(wanted.records)
    for cell, sums in results.records.items():
        assert sums["correct"] == wanted.records[cell]["correct"]
        nll = wanted.records[cell]["nll_sum"]
        assert sums["nll_sum"] == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_workers_do_not_matter(num_workers):
    wanted = without_seconds(run())
    assert without_seconds(run(num_workers=num_workers)) == wanted


def test_logits_and_probabilities_give_the_same_cells():
    logits = run(brightness_model(scale=30.0))
    softmax = run(brightness_model(scale=30.0, softmax=True))
    for one, other in zip(logits.records.values(), softmax.records.values()):
        assert one["correct"] == other["correct"]
        assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-4)
        np.testing.assert_allclose(one["bins"], other["bins"], rtol=1e-4)


def test_cells_of_other_outputs_are_measured_anew(tmp_path):
    """What was summed up as logits must not stand for probabilities."""
    base = brightness_model(softmax=True)
    half = keras.layers.Lambda(lambda x: x / 2)(base.outputs[0])
    model = keras.Model(base.inputs, half)
    options = {"suites": ("clean", "fgsm"), "eps": ("1/255",)}
    options["output_dir"] = tmp_path
    found = []
    for outputs, computed in (
        ("auto", 3),
        ("probabilities", 3),
        ("probabilities", 0),
    ):
        results = run(model, outputs=outputs, **options)
        assert results.computed == computed
        found.append([record["outputs"] for record in results.records.values()])
    assert found == [["logits"] * 3] + [["probabilities"] * 3] * 2


def test_the_model_is_compiled_for_one_shape():
    shapes = []

    class Spy(keras.layers.Layer):
        def call(self, x):
            shapes.append(tuple(x.shape))
            return x

    inputs = keras.Input([SIDE, SIDE, 3])
    x = keras.layers.GlobalAveragePooling2D()(Spy()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    shapes.clear()
    run(model, batch_size=8)  # 23 images: two full batches and one of seven.
    assert shapes == [(8, SIDE, SIDE, 3)]


def test_uint8_models_and_subclasses():
    class Mean(keras.Model):
        def call(self, x):
            return keras.ops.mean(x, axis=(1, 2))

    inputs = keras.Input([SIDE, SIDE, 3], dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    byte_model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    one = run(Mean(), suites=("clean",))
    other = run(byte_model, suites=("clean",))
    assert one.figures["clean/accuracy"] == other.figures["clean/accuracy"]


def test_images_are_prepared_ahead_by_other_threads():
    started, threads = [], set()

    def square(x):
        threads.add(threading.current_thread())
        return x * x

    def calls():
        for x in range(20):
            started.append(x)
            yield f"tag {x}", (x,)

    with futures.ThreadPoolExecutor(3) as pool:
        stream = core._ahead(pool, 4, square, calls())
        assert next(stream) == ("tag 0", 0)
        assert len(started) == 5  # One result taken, four ahead, no more.
        assert list(stream) == [(f"tag {x}", x * x) for x in range(1, 20)]
    assert threading.current_thread() not in threads


def test_an_error_in_a_worker_arrives():
    class Failing(evaluation.ImageSuite):
        def cells(self, job):
            return [job.cell("failing", source="generated")]

        def prepare(self, cell, images, indices):
            raise ZeroDivisionError("in the worker")

    with pytest.raises(ZeroDivisionError, match="in the worker"):
        run(suites=(Failing(),))


def test_a_split_without_length_is_counted():
    results = run(data=dataset(split=Test))
    assert without_seconds(results) == without_seconds(run())


def test_a_small_dataset_is_read_once_for_all_cells():
    data = dataset()
    run(data=data)
    # The first image, the probe, what images they are, and one pass.
    assert data.test.passes == 4


def test_a_large_dataset_is_not_kept(monkeypatch):
    monkeypatch.setattr(images_lib, "_CACHE_BYTES", 1000)
    data = dataset()
    results = run(data=data)
    assert data.test.passes == 3 + len(results.records)
    assert without_seconds(results) == without_seconds(run())


# --- resuming ----------------------------------------------------------------


def test_a_second_run_measures_nothing(tmp_path):
    first = run(output_dir=tmp_path)
    assert first.computed == 5
    lines = (tmp_path / "cells.jsonl").read_bytes()
    second = run(output_dir=tmp_path)
    assert second.computed == 0
    assert second.records == first.records
    assert (tmp_path / "cells.jsonl").read_bytes() == lines
    assert second.figures == first.figures


def test_a_torn_line_is_measured_again(tmp_path):
    whole = run(output_dir=tmp_path)
    path = tmp_path / "cells.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    again = run(output_dir=tmp_path)
    assert again.computed == 1
    assert without_seconds(again) == without_seconds(whole)
    for line in path.read_text().splitlines():
        json.loads(line)


def test_a_kill_keeps_finished_cells(tmp_path):
    def stop(cell, measurements, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(output_dir=tmp_path, progress=stop)
    assert not (tmp_path / "report.md").exists()
    resumed = run(output_dir=tmp_path)
    assert resumed.computed == 2
    assert without_seconds(resumed) == without_seconds(run())
    assert (tmp_path / "report.md").exists()


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        ({"seed": 1}, 4),  # Clean images have no seed.
        ({"severities": (1, 3, 5)}, 2),
        ({"model": brightness_model(scale=2.0)}, 5),
        ({"data": dataset(n=22)}, 5),
        ({"data": dataset(seed=1)}, 5),
        ({"batch_size": 5}, 0),
    ],
)
def test_what_makes_a_cell_another_one(tmp_path, change, computed):
    run(output_dir=tmp_path)
    assert run(output_dir=tmp_path, **change).computed == computed


def changed(data, place=-1):
    """The same dataset with another image, which is not the first."""
    images = data.test.images.copy()
    images[place] = 255 - images[place]
    data.test.images = images
    return data


@pytest.mark.parametrize("kind", [dataset, whole_dataset])
def test_another_image_makes_other_cells(tmp_path, kind):
    """Cells were known by the first image and the labels alone."""
    options = {"suites": ("clean", "c", "fgsm"), "output_dir": tmp_path}
    options |= {"attack_losses": ("cross_entropy",)}
    run(data=kind(), **options)
    again = run(data=changed(kind()), **options)
    assert again.computed == 6
    truth = run(data=changed(kind()), **{**options, "output_dir": None})
    assert without_seconds(again) == without_seconds(truth)
    assert run(data=kind(), **options).computed == 0


def test_other_class_names_make_other_cells(tmp_path):
    """A label then means something else."""
    run(output_dir=tmp_path)
    data = dataset()
    data.class_names = ("2", "1", "0")
    assert run(data=data, output_dir=tmp_path).computed == 5


def test_cells_of_an_older_version_are_measured_again(tmp_path):
    """They say nothing of the images behind the first one."""
    run(output_dir=tmp_path)
    path = tmp_path / "cells.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps({**x, "data": "9b1d2c33"}) + "\n" for x in lines)
    )
    assert run(output_dir=tmp_path).computed == 5
    assert run(output_dir=tmp_path).computed == 0


def test_a_new_generator_makes_other_cells(tmp_path, monkeypatch):
    run(output_dir=tmp_path)
    monkeypatch.setattr(corruptions.core, "VERSION", 999)
    assert run(output_dir=tmp_path).computed == 4


def test_fingerprint_survives_saving_and_names(tmp_path):
    model = brightness_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    other_names = brightness_model(name="pixels")
    prints = {model_fingerprint(m) for m in (model, loaded, other_names)}
    assert len(prints) == 1


def test_fingerprint_sees_constants_and_weights():
    def model(scale, bias):
        inputs = keras.Input([4])
        dense = keras.layers.Dense(2, kernel_initializer="ones")
        outputs = dense(keras.layers.Rescaling(scale)(inputs))
        dense.set_weights([np.ones([4, 2]), np.array([0.0, bias])])
        return keras.Model(inputs, outputs)

    cases = ((1.0, 0.0), (1.0, 1.0), (2.0, 0.0))
    assert len({model_fingerprint(model(*case)) for case in cases}) == 3


# --- choosing, extending, reporting progress ---------------------------------


def test_corruption_tags():
    results = run(corruptions="extra", severities=(3,), suites=("c",))
    names = [cell.corruption for cell in results.records]
    assert names == list(corruptions.names("extra"))
    results = run(corruptions=None, severities=(3,), suites=("c",))
    names = [cell.corruption for cell in results.records]
    assert names == list(corruptions.names("common"))


def test_a_suite_of_ones_own(monkeypatch):
    class Inverted(evaluation.ImageSuite):
        def cells(self, job):
            return [job.cell("inverted", source="generated")]

        def prepare(self, cell, images, indices):
            return 255 - images

    entries = dict(SECTIONS._entries)
    monkeypatch.setattr(SECTIONS, "_entries", entries)

    @SECTIONS.register("inverted")
    def section(records, context):
        ((cell, tally),) = tallies(records).items()
        figure = Figure("accuracy", "accuracy", tally.accuracy)
        return [
            Section(
                "inverted",
                "Inverted",
                cell.n,
                cell.source,
                "255 - x",
                (figure,),
            )
        ]

    data = dataset()
    results = run(data=data, suites=("clean", Inverted()))
    # 20, 120 and 220 become 235, 135 and 35: only the middle class stays.
    share = (data.test.labels == 1).mean()
    assert results.figures["inverted/accuracy"] == pytest.approx(share)
    assert "255 - x" in str(results)


def test_progress_is_told(capsys):
    """By default it was a line a cell, 76 of them."""
    calls = []
    run(progress=lambda *call: calls.append(call))
    assert [call[2:] for call in calls] == [(k, 5) for k in range(1, 6)]
    assert capsys.readouterr().err == ""
    run(progress=True)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("[1/5] flat/clean") and first.endswith(" left")
    assert "[5/5] flat/c/gaussian_noise/5" in last and "images/s" in last


def test_arrays_have_the_classes_of_the_model(tmp_path):
    """Without the top class there was one fewer, and the model was blamed."""
    data = dataset()
    below = data.test.labels < 2
    arrays = data.test.images[below], data.test.labels[below]
    results = run(data=arrays, suites=("clean",))
    assert results.figures["clean/accuracy"] == 1.0
    with pytest.raises(UsageError, match=r"a label 2, .* 2 classes") as caught:
        run(brightness_model(2), (data.test.images, data.test.labels))
    assert "\n" not in str(caught.value)


# --- bad input ---------------------------------------------------------------


NOTHING = np.zeros([0, SIDE, SIDE, 3], np.uint8)


def broken_model():
    model = brightness_model()
    model.layers[-1].set_weights([np.full([3, 3], np.nan), np.zeros(3)])
    return model


def mislabelled():
    data = dataset()
    data.test.labels[-1] = 3
    return data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suites": ("dream",)}, "suite 'dream'.*clean, c"),
        ({"suites": "clean"}, "suites must be a list.*'clean'"),
        ({"model": "model.keras"}, "'model.keras': load it first"),
        ({"data": "digits"}, "Dataset or .images, labels.*a str"),
        ({"suites": ()}, "suites is empty"),
        ({"corruptions": ("rain",)}, "'rain'.*Known"),
        ({"corruptions": "rain"}, "tag 'rain'"),
        ({"severities": (0,)}, "Severity 0"),
        ({"severities": 3}, "severities must be a list.*3"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, "batch_size must be an int"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"num_workers": 0}, "num_workers must be at least 1"),
        ({"model": brightness_model(4)}, r"\[8, 4\].*3 classes"),
        ({"model": broken_model()}, "not finite"),
        ({"data": dataset(n=0)}, "no test images"),
        ({"data": (NOTHING, NOTHING[:, 0, 0, 0])}, "There are no images"),
        ({"data": mislabelled()}, "label 3.*0 to 2"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        run(**options)
    assert "\n" not in str(caught.value)


def test_an_output_dir_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UsageError, match="run' cannot be a folder"):
        run(output_dir=tmp_path / "run")


def test_a_model_of_another_size():
    inputs = keras.Input([32, 32, 3])
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    with pytest.raises(UsageError, match=r"\[32, 32, 3\].*\[16, 16, 3\]"):
        run(model)


# --- the benchmark's accuracies ----------------------------------------------


@pytest.mark.slow
def test_oracle_accuracies(golden, cifar10_test, trained_resnet20):
    """ResNet-20 on 2,000 images: the oracle's accuracy, cell by cell."""
    images, labels = (array[:2000] for array in cifar10_test)
    data = dataset(num_classes=10)
    data.test = SizedTest(images, labels)
    expected = golden("cifar_c_accuracy_resnet20.json")
    results = run(
        trained_resnet20,
        data,
        corruptions=("shot_noise", "zoom_blur", "jpeg_compression"),
        severities=(3,),
        batch_size=250,
    )
    assert results.figures["clean/accuracy"] == expected["clean"]
    cells = results.report.as_dict()["sections"]["c"]["cells"]
    for name, row in cells.items():
        wanted = expected["accuracy_sev1_to_5"][name][2]
        tolerance = 0.02 if name == "shot_noise" else 0.01
        assert row["3"]["accuracy"] == pytest.approx(wanted, abs=tolerance)
