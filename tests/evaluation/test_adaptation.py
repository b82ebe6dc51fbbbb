"""Batch normalisation by the statistics of what is measured."""

import keras
import numpy as np
import pytest
from keras import layers

from noisymix_tf import corruptions, evaluation
from noisymix_tf.evaluation import adaptation, gallery
from support import evaluation_toys as toys
from support import released_sets
from support.usage import assert_usage_error

SIDE = toys.SIDE


def normalising(momentum=0.9):
    """A classifier with batch normalisation outside and inside a nested one."""
    generator = np.random.default_rng(3)
    inner = [keras.Input([8, 8, 4]), layers.BatchNormalization(scale=False)]
    inner = keras.Sequential([*inner, layers.ReLU(), layers.Conv2D(5, 3)])
    inputs = keras.Input([SIDE, SIDE, 3])
    x = layers.Conv2D(4, 3, 2, padding="same")(layers.Rescaling(1 / 99)(inputs))
    x = inner(layers.BatchNormalization(epsilon=0.01)(x))
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    for weight in model.weights:
        value = generator.normal(0.3, 0.4, weight.shape)
        weight.assign(abs(value) + 0.2 if "variance" in weight.path else value)
    return model


@pytest.mark.parametrize("axis", [-1, 1])
def test_formula(axis):
    """(N learnt + B own) / (N + B), the variance the biased one."""
    generator = np.random.default_rng(1)
    x = generator.normal(2, 3, [5, 4, 6, 4]).astype("f4")
    layer = layers.BatchNormalization(axis, epsilon=0.1)
    layer.build(x.shape)
    values = [abs(generator.normal(1, 1, [4])) for _ in layer.weights]
    layer.set_weights(values)
    gamma, beta, mean, variance = values
    wide = (1, 4, 1, 1) if axis == 1 else (1, 1, 1, 4)
    others = tuple(k for k in range(4) if k != axis % 4)
    for prior in (0, 16):
        share = prior / (prior + 5)
        m = share * mean + (1 - share) * x.mean(others)
        v = share * variance + (1 - share) * x.var(others)
        m, v, g, b = (np.reshape(own, wide) for own in (m, v, gamma, beta))
        wanted = (x - m) / np.sqrt(v + 0.1) * g + b
        found = adaptation.normalised(layer, x, prior)
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_the_learnt_statistics_alone_are_the_model_itself():
    model = normalising()
    images = toys.dataset(9).test.images
    before = [weight.numpy() for weight in model.weights]
    found = adaptation.adapting(model, 10**9)(images)
    wanted = model(images.astype("f4"), training=False)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    own = adaptation.adapting(model, 0)(images)
    # Of the batch alone: as in training, which would change the model.
    trained = model(images.astype("f4"), training=True)
    assert np.abs(own - wanted).max() > 0.1
    np.testing.assert_allclose(own, trained, atol=1e-4)
    model.set_weights(before)
    adaptation.adapting(model, 3)(images)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_cells_of_their_own_in_a_drawn_order(tmp_path):
    model, data = normalising(), toys.whole_dataset(n=23)
    how = {"suites": ("c",), "corruptions": ("shot_noise", "fog")}
    how |= {"severities": (5,), "batch_size": 10}
    plain = toys.run(model, data, **how)
    how["output_dir"] = tmp_path
    both = toys.run(model, data, adapt="bn", prior=4, **how)
    own = {c: s for c, s in both.scores.items() if c.adapt}
    rest = {c: s for c, s in both.scores.items() if not c.adapt}
    assert {c: s.rows.tobytes() for c, s in rest.items()} == {
        c: s.rows.tobytes() for c, s in plain.scores.items()
    }
    order = np.random.Generator(np.random.Philox(key=0)).permutation(23)
    images, labels = data.test.images, data.test.labels[order]
    predictor = adaptation.adapting(model, 4)
    for cell, scores in own.items():
        assert cell.adapt == "bn, prior 4, batches of 10"
        made = corruptions.corrupt(images, cell.corruption, 5)[order]
        parts = [predictor(made[k : k + 10]) for k in (0, 10, 20)]
        wanted = evaluation.ImageScores.of(np.concatenate(parts), labels)
        # Kept in the order of the images, as all cells are.
        wanted = wanted[np.argsort(order)]
        assert scores.rows["right"].tolist() == wanted["right"].tolist()
        np.testing.assert_allclose(scores.rows["nll"], wanted["nll"], rtol=1e-4)
    found = both.report.as_dict()["sections"]
    assert [n for n in found if n[0] == "c"][:2] == ["c", "c_adapted"]
    assert found["c_adapted"]["label"] == "C, adapted"
    name = "c/mean_accuracy"
    assert both.figures[name] == plain.figures[name]
    assert both.figures["c/mean_nll"] != both.figures["c_adapted/mean_nll"]
    assert "c_adapted" not in both.report.overview
    # What the clean images of the model as it is are needed for.
    rows = dict.fromkeys(corruptions.names("common"), [0.5] * 5)
    cells = toys.suite_c(rows, adapt="bn") | {toys.clean_cell(): toys.scores(1)}
    reference = evaluation.Reference("x", 0.1, {"*": rows})
    figures = evaluation.Report(cells, reference, failure_share=0.9).figures
    assert figures["c_adapted/mce"] == 100
    assert not [f for f in figures if "relative" in f or "failure" in f]
    # A page shows what either said.
    for section in both.report.sections:
        if section.suite == "c":
            (one, *_) = gallery.shown(tmp_path, section, both.scores)
            assert one["cell"]["adapt"] == section.adapt


def test_shifted_images_too(tmp_path):
    data = toys.whole_dataset(n=20)
    for place, image in enumerate(data.test.images[:13]):
        label = "0" if place < 6 else "2"
        path = tmp_path / "set" / label / f"{place}.png"
        released_sets.save_image(path, image)
    how = {"suites": ("r",), "shift_dir": tmp_path / "set", "batch_size": 8}
    how["output_dir"] = tmp_path / "out"
    results = toys.run(normalising(), data, adapt="bn", **how)
    found = results.report.as_dict()["sections"]
    assert list(found)[:2] == ["shift", "shift_adapted"]
    adapted = results.report.sections[1]
    assert len(gallery.shown(how["output_dir"], adapted, results.scores)) == 2
    counts = [cell.n for cell in results.scores]
    assert counts[:2] == counts[2:]


def test_what_cannot_adapt_is_told():
    data, how = toys.dataset(9), {"suites": ("c",), "adapt": "bn"}
    call = evaluation.plan
    assert_usage_error(
        lambda: call(toys.random_model(), data, **how),
        "adapt=bn is for batch normalisation, which it lacks",
    )
    assert_usage_error(lambda: call(normalising(), data, **how), "any order")
    for size in (4, 1):
        own = {"batch_size": size, "prior": 0, **how}
        words = f"of 9 images in batches of {size} one is alone"
        whole = toys.whole_dataset(9)
        assert_usage_error(call, words, model=None, dataset=whole, **own)
    words = "prior=3 would do nothing without adapt=bn"
    assert_usage_error(lambda: call(None, data, prior=3), words)
    words = "adapt='bn' would do nothing: it is for suite c or c_bar or r,"
    assert_usage_error(
        lambda: call(None, data, suites=("clean",), adapt="bn"), words
    )
