"""Accuracy on corrupted images, measured while a model is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruptions, data, evaluation
from noisymix_tf.callbacks import CorruptionEvaluation, examples
from noisymix_tf.data.subset import balanced_indices
from noisymix_tf.errors import UsageError
from support import fit_models

KINDS = ("plain", "noisymix")
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, [23, 8, 8, 3], np.uint8)
LABELS = np.concatenate([np.zeros(15, int), [1] * 5, [2] * 3])
RANDOM.shuffle(LABELS)
SOME = ["contrast", "gaussian_noise"]


def _dataset():
    split = data.ArraySplit(IMAGES, LABELS)
    return data.Dataset(
        name="small",
        train=split,
        test=split,
        class_names=("a", "b", "c"),
        image_shape=(8, 8, 3),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        flip=False,
    )


def _evaluated(model, **kwargs):
    results = evaluation.evaluate(
        model, _dataset(), corruptions=SOME, progress=None, **kwargs
    )
    return results.figures


# What is measured.


@pytest.mark.parametrize("kind", KINDS)
def test_all_images_give_what_evaluate_reports(kind):
    model = fit_models.model(kind)
    callback = CorruptionEvaluation(
        _dataset(), None, SOME, (1, 4), batch_size=7, seed=5, prefix="small_"
    )
    history = fit_models.fit(model, 3, [callback])
    classifier = model.model if kind == "noisymix" else model
    figures = _evaluated(classifier, severities=(1, 4), seed=5)
    logged = {name: values[-1] for name, values in history.items()}
    assert logged["val_small_corruption_accuracy"] == pytest.approx(
        figures["c/mean_accuracy"], abs=1e-12
    )
    clean = logged["val_small_clean_accuracy"]
    assert clean == pytest.approx(figures["clean/accuracy"], abs=1e-12)
    accuracies = history["val_small_corruption_accuracy"]
    assert len(accuracies) == 3 and len(set(accuracies)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_left_alone(kind):
    model, same = fit_models.model(kind), fit_models.model(kind)
    fit_models.fit(model, 2, [CorruptionEvaluation(IMAGES, LABELS, SOME)])
    fit_models.fit(same, 2)
    for a, b in zip(model.get_weights(), same.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_subset_has_the_pixels_of_the_whole():
    """Corrupted by their place in the source, not in the subset."""
    callback = CorruptionEvaluation(
        IMAGES, LABELS, ["gaussian_noise"], max_examples=6
    )
    chosen = balanced_indices(LABELS, 6, 3)
    whole = corruptions.corrupt(IMAGES, "gaussian_noise", 3)
    np.testing.assert_array_equal(
        callback._corrupted("gaussian_noise", 3), whole[chosen]
    )


@pytest.mark.parametrize("cache", [True, False])
def test_images_are_made_once_or_anew(monkeypatch, cache):
    made = []

    def corrupt(images, name, severity, *args, **kwargs):
        made.append((name, severity, len(images)))
        return original(images, name, severity, *args, **kwargs)

    original = corruptions.corrupt
    monkeypatch.setattr(corruptions, "corrupt", corrupt)
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME, (2, 3), cache=cache)
    made.clear()
    history = fit_models.fit(fit_models.model("plain"), 3, [callback])
    assert sum(n for *_, n in made) == 23 * 4 * (1 if cache else 3)
    plain = CorruptionEvaluation(IMAGES, LABELS, SOME, (2, 3))
    expected = fit_models.fit(fit_models.model("plain"), 3, [plain])
    assert history == expected


def test_accuracy_under_each_corruption():
    callback = CorruptionEvaluation(
        IMAGES, LABELS, SOME, (1, 4), per_corruption=True
    )
    model = fit_models.model("plain")
    history = fit_models.fit(model, 2, [callback])
    figures = evaluation.evaluate(
        model, _dataset(), corruptions=SOME, severities=(1, 4), progress=None
    ).report.as_dict()["sections"]["c"]["cells"]
    for name in SOME:
        expected = np.mean([c["accuracy"] for c in figures[name].values()])
        logged = history[f"val_corruption_accuracy_{name}"][-1]
        assert logged == pytest.approx(expected, abs=1e-12)


def test_outputs_that_are_not_finite_are_mistakes():
    model = fit_models.model("plain")
    model.get_layer("logits").bias.assign([np.nan, 0.0, 0.0])
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME)
    callback.set_model(model)
    assert set(callback.measure().values()) == {0.0}


# When, and who sees it.


@pytest.mark.parametrize("kind", KINDS)
def test_every_few_epochs_counted_from_the_beginning(kind):
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME, every_epochs=2)
    model = fit_models.model(kind)
    seen = {}
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.update({epoch: set(logs)})
    )
    history = fit_models.fit(model, 5, [callback, spy], initial_epoch=1)
    names = {"val_corruption_accuracy", "val_clean_accuracy"}
    assert {epoch for epoch in seen if names <= seen[epoch]} == {1, 3}
    assert all(not names & seen[epoch] for epoch in (2, 4))
    assert len(history["val_corruption_accuracy"]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_one_trace_for_all_epochs_corruptions_and_the_last_batch(kind):
    calls = []

    @keras.saving.register_keras_serializable("test_corruption_evaluation")
    class Counting(keras.layers.Layer):
        def call(self, x, training=None):
            if training is False:
                calls.append(x.shape)
            return x

    model = fit_models.model(kind, Counting())
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME, batch_size=10)
    calls.clear()
    for _ in range(2):
        fit_models.fit(model, 2, [callback])
    assert calls == [(10, 8, 8, 3)]


@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_behind_can_monitor_it(tmp_path, kind):
    name = "val_corruption_accuracy"
    stop = keras.callbacks.EarlyStopping(name, mode="max", patience=0)
    save = keras.callbacks.ModelCheckpoint(
        tmp_path / "{val_corruption_accuracy:.4f}.weights.h5",
        name,
        mode="max",
        save_best_only=True,
        save_weights_only=True,
    )
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME)
    model = fit_models.model(kind)
    history = fit_models.fit(model, 30, [callback, stop, save])[name]
    assert len(history) < 30  # stopped
    assert stop.best == max(history)
    assert f"{max(history):.4f}.weights.h5" in {
        path.name for path in tmp_path.iterdir()
    }


def test_tensorboard_behind_it_writes_it(tmp_path):
    board = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME)
    model = fit_models.model("noisymix")
    history = fit_models.fit(model, 2, [callback, board])
    written = {}
    for file in (tmp_path / "validation").glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                values = written.setdefault(value.tag, [])
                values.append(float(tf.make_ndarray(value.tensor)))
    for name in ("corruption_accuracy", "clean_accuracy"):
        np.testing.assert_allclose(
            written[f"epoch_{name}"], history[f"val_{name}"], rtol=1e-6
        )


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_two_replicas(kind, inside):
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        model = fit_models.model(kind)
    callback = CorruptionEvaluation(_dataset(), corruptions=SOME)
    if inside:
        with strategy.scope():
            history = fit_models.fit(model, 2, [callback])
    else:
        history = fit_models.fit(model, 2, [callback])
    alone = fit_models.classifier()
    classifier = model.model if kind == "noisymix" else model
    alone.set_weights([w.numpy() for w in classifier.weights])
    figures = _evaluated(alone, severities=(3,))
    assert history["val_corruption_accuracy"][-1] == pytest.approx(
        figures["c/mean_accuracy"], abs=1e-12
    )


# Where the images come from.


def _sources():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    split = data.ArraySplit(IMAGES, LABELS)
    return {
        "array": (IMAGES, LABELS),
        "tensor": (tf.constant(IMAGES), tf.constant(LABELS)),
        "list": (list(IMAGES), list(LABELS)),
        "column": (IMAGES, LABELS[:, None].astype(np.float32)),
        "one-hot": (IMAGES, np.eye(3)[LABELS]),
        "dataset": (_dataset(), None),
        "split": (split, None),
        "batches of 4": (pairs.batch(4), None),
        "batches of 23": (pairs.batch(23), None),
        "one-hot batches": (
            pairs.map(lambda x, y: (x, tf.one_hot(y, 3))).batch(5),
            None,
        ),
        "weighted batches": (
            pairs.map(lambda x, y: (x, y, 1.0)).batch(5),
            None,
        ),
    }


@pytest.mark.parametrize("most", [None, 1, 2, 7, 9, 16, 22, 23, 1000])
@pytest.mark.parametrize("name", _sources())
def test_every_source_gives_the_same_balanced_examples(name, most):
    found = examples.take(*_sources()[name], max_examples=most)
    count = 23 if most is None else min(most, 23)
    chosen = balanced_indices(LABELS, count, 3)
    np.testing.assert_array_equal(found.positions, chosen)
    np.testing.assert_array_equal(found.images, IMAGES[chosen])
    np.testing.assert_array_equal(found.labels, LABELS[chosen])
    assert found.images.dtype == np.uint8


def test_a_long_stream_is_balanced_as_if_it_was_held():
    """Any order of any classes, chosen batch by batch."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, rng.integers(1, 7), rng.integers(5, 60))
        most = int(rng.integers(1, len(labels) + 1))
        images = np.zeros([len(labels), 1, 1, 1], np.uint8)
        stream = tf.data.Dataset.from_tensor_slices((images, labels))
        found = examples.take(stream.batch(int(rng.integers(1, 9))), None, most)
        chosen = balanced_indices(labels, most, labels.max() + 1)
        np.testing.assert_array_equal(found.positions, chosen)


# What cannot be used.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corruptions": ["haze"]}, "Unknown corruption 'haze'. Known: gauss"),
        ({"corruptions": "haze"}, "Unknown tag 'haze'"),
        ({"corruptions": []}, "corruptions is empty"),
        ({"severities": [0]}, "Severity 0 does not exist"),
        ({"severities": ()}, "severities is empty"),
        ({"every_epochs": 0}, "every_epochs=0 must be an int of at least 1"),
        ({"batch_size": 2.5}, "batch_size=2.5 must be an int"),
        ({"max_examples": 0}, "max_examples=0"),
        ({"seed": -1}, "seed is an int of at least 0, got -1"),
        ({"table": "small"}, "Unknown table of severities 'small'"),
        ({"data": IMAGES / 255}, "of pixels 0..255, C = 1 or 3; got float64"),
        ({"data": IMAGES[0]}, r"got uint8 \[8, 8, 3\]"),
        ({"data": IMAGES[:, None]}, "views"),
        ({"data": IMAGES[:0], "labels": LABELS[:0]}, "There are no images"),
        ({"labels": LABELS[:5]}, "23 images but 5 labels"),
        ({"labels": None}, "without labels, as ndarray"),
        ({"labels": LABELS - 1}, "class numbers"),
        ({"labels": LABELS + 0.5}, "class numbers"),
        ({"labels": list("abc") * 7 + ["a", "b"]}, "class numbers"),
        ({"data": _dataset()}, "beside a Dataset, which has its own"),
        (
            {
                "data": tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(),
                "labels": None,
            },
            "is endless",
        ),
        (
            {"data": tf.data.Dataset.from_tensors(IMAGES), "labels": None},
            r"expected batches of \(images, labels\)",
        ),
    ],
)
def test_mistakes_are_found_at_once(arguments, message):
    arguments = {"data": IMAGES, "labels": LABELS, **arguments}
    with pytest.raises(UsageError, match=message) as error:
        CorruptionEvaluation(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :7], LABELS, r"takes \[8, 8, 3\], the images are \[7, 8, 3"),
        (IMAGES, LABELS + 1, r"gives \[3\] for an image, .* of 4 classes"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_training(
    kind, images, labels, message
):
    model = fit_models.model(kind)
    callback = CorruptionEvaluation(images, labels, SOME)
    with pytest.raises(UsageError, match=message):
        fit_models.fit(model, 1, [callback])
    assert int(model.optimizer.iterations) == 0
