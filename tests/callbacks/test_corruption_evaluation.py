"""Accuracy on corrupted images, measured while a model is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruptions, data, evaluation
from noisymix_tf.callbacks import CorruptionEvaluation
from noisymix_tf.callbacks.corruption_evaluation import balanced_examples
from noisymix_tf.data.classes import balanced_indices
from support import fit_models
from support.trainings import fresh
from support.usage import assert_usage_error

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, [23, 8, 8, 3], np.uint8)
LABELS = np.concatenate([np.zeros(15, int), [1] * 5, [2] * 3])
RANDOM.shuffle(LABELS)
SOME = ["contrast", "gaussian_noise"]
SPLIT = data.ArraySplit(IMAGES, LABELS)
HALF = (0.5,) * 3
DATASET = data.Dataset("s", SPLIT, SPLIT, "abc", (8, 8, 3), HALF, HALF, False)


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_all_images_give_what_evaluate_reports(kind):
    options = {"corruptions": SOME, "severities": (1, 4), "seed": 5}
    more = {"batch_size": 7, "prefix": "a_", "per_corruption": True, **options}
    model, callback = fresh(kind), CorruptionEvaluation(DATASET, **more)
    history = fit_models.fit(model, 3, [callback])
    classifier = getattr(model, "model", model)
    results = evaluation.evaluate(classifier, DATASET, progress=None, **options)
    cells = results.report.as_dict()["sections"]["c"]["cells"]
    figures = results.figures
    expected = {"val_a_clean_accuracy": figures["clean/accuracy"]}
    expected["val_a_corruption_accuracy"] = figures["c/mean_accuracy"]
    for name in SOME:
        values = [cell["accuracy"] for cell in cells[name].values()]
        expected[f"val_a_corruption_accuracy_{name}"] = np.mean(values)
    last = {name: history[name][-1] for name in expected}
    assert last == pytest.approx(expected, abs=1e-12)
    assert len(set(history["val_a_corruption_accuracy"])) > 1


@pytest.mark.parametrize("cache", [True, False])
def test_images_are_made_once_or_anew(monkeypatch, cache):
    """Those of a subset have the pixels of the whole: by their places there."""
    made, original = [], corruptions.corrupt

    def corrupt(images, name, *args, indices, **more):
        found = original(images, name, *args, indices=indices, **more)
        made.extend(zip([name] * len(found), indices, found))
        return found

    monkeypatch.setattr(corruptions, "corrupt", corrupt)
    options = {"max_examples": 6, "cache": cache}
    callback = CorruptionEvaluation(IMAGES, LABELS, SOME, **options)
    made.clear()
    fit_models.fit(fresh("plain"), 3, [callback])
    assert len(made) == 12 * (1 if cache else 3)
    whole = {name: original(IMAGES, name, 3) for name in SOME}
    for name, index, image in made:
        np.testing.assert_array_equal(image, whole[name][index])
    assert {index for _, index, _ in made} == {*balanced_indices(LABELS, 6)}


def test_every_few_epochs_with_one_trace_for_all():
    calls = []

    class Counting(keras.layers.Layer):
        def call(self, x, training=None):
            calls.append((training, x.shape[0]))
            return x

    model = fit_models.model("plain", Counting())
    options = {"every_epochs": 2, "batch_size": 10}
    callback, seen = CorruptionEvaluation(IMAGES, LABELS, SOME, **options), []
    spy = keras.callbacks.LambdaCallback()
    spy.on_epoch_end = lambda epoch, logs: seen.append(names & set(logs))
    names = {"val_corruption_accuracy", "val_clean_accuracy"}
    history = fit_models.fit(model, 5, [callback, spy], initial_epoch=1)
    assert seen == [names, set(), names, set()]
    assert len(history["val_corruption_accuracy"]) == 2
    model.get_layer("logits").bias.assign([np.nan, 0.0, 0.0])
    callback.set_model(model)
    assert set(callback.measure().values()) == {0.0}
    assert [call for call in calls if call[0] is False] == [
        (False, n) for n in (1, 10)
    ]


PAIRS = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
SOURCES = (
    *((IMAGES, LABELS), (IMAGES, np.eye(3)[LABELS]), (DATASET,), (SPLIT,)),
    *((IMAGES, LABELS[:, None].astype(np.float32)), (PAIRS.batch(4),)),
    (PAIRS.map(lambda x, y: (x, y, 1.0)).batch(23),),  # Weighted.
)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_balanced_examples(source):
    """A stream is never held as a whole, but batch by batch."""
    for most in (None, *range(1, 24), 1000):
        images, labels, places = balanced_examples(*source, most=most)
        chosen = balanced_indices(LABELS, min(most or 23, 23))
        np.testing.assert_array_equal(places, chosen)
        np.testing.assert_array_equal(images, IMAGES[chosen])
        np.testing.assert_array_equal(labels, LABELS[chosen])
        assert images.dtype == np.uint8


ENDLESS = tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat()
ALONE = tf.data.Dataset.from_tensors(IMAGES)


def test_mistakes_are_found_before_training():
    model = fresh("noisymix")

    def use(**arguments):
        fit_models.fit(model, 1, [CorruptionEvaluation(**arguments)])

    for words, arguments in (
        ("Unknown corruption 'haze'. Known: gau", {"corruptions": ["haze"]}),
        ("every_epochs=0 must be a whole number", {"every_epochs": 0}),
        ("Unknown table of severities 'small'", {"table": "small"}),
        ("take uint8 images (0 to 255), got float64", {"data": IMAGES / 255}),
        ("with C = 1 or 3, got", {"data": IMAGES[:, None]}),
        ("There are no ima", {"data": IMAGES[:0], "labels": LABELS[:0]}),
        ("23 images but 5 labels", {"labels": LABELS[:5]}),
        ("A ndarray came without labels", {"labels": None}),
        ("class numbers", {"labels": LABELS + 0.5}),
        ("A Dataset came with labels", {"data": DATASET}),
        ("is endless", {"data": ENDLESS, "labels": None}),
        ("ly many batches of (images, label", {"data": ALONE, "labels": None}),
        # What does not fit the model.
        ("takes images [8, 8, 3], these are", {"data": IMAGES[:, :7]}),
        ("the data has 4 classes", {"labels": LABELS + 1}),
    ):
        arguments = {"data": IMAGES, "labels": LABELS, **arguments}
        assert_usage_error(lambda a=arguments: use(**a), words)
    assert int(model.optimizer.iterations) == 0
