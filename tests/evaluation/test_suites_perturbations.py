"""Suite p against the oracle, by hand, and on files of both origins."""

import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruptions
from noisymix_tf.evaluation import flips
from support import released_sets
from support.evaluation_toys import dataset, random_model, run, whole_dataset
from support.usage import assert_usage_error


class Lookup:
    """Knows the answers by heart; a pixel tells the sequence and the frame."""

    fingerprint = "by heart"

    def __init__(self, outputs):
        self._outputs = tf.constant(outputs, tf.float32)

    def __call__(self, images, training=False):
        places = tf.cast(images[:, 0, 0, :2], tf.int32)
        return tf.gather_nd(self._outputs, places)


def save(root, names, number, frames):
    """Films `[N, T, 32, 32, 3]` for `Lookup`."""
    films = np.zeros([number, frames, 32, 32, 3], np.uint8)
    films[..., 0] = np.arange(number)[:, None, None, None]
    films[..., 1] = np.arange(frames)[None, :, None, None]
    for name in names:
        np.save(root / f"{name}.npy", films)


def measure(root, outputs, *names, **more):
    data = released_sets.dataset(outputs.shape[-1])
    options = {"suites": ("p",), "p_dir": root, "perturbations": names, **more}
    return run(Lookup(outputs), data, **options)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_oracle(golden, tmp_path, difficulty):
    outputs = golden("p_metrics_inputs.npz")["logits"]
    expected = golden("p_metrics_expected.json")
    kinds = {"gaussian_noise": "noise", "tilt": "nonnoise"}
    noises = ("gaussian_noise_2", "gaussian_noise_3")
    save(tmp_path, (*kinds, *noises), *outputs.shape[:2])
    options = {"difficulty": difficulty, "batch_size": 100}
    results = measure(tmp_path, outputs, *kinds, **options)
    section = results.report.as_dict()["sections"]["p_released"]
    assert (section["n"], section["source"]) == (len(outputs), "released")
    rates = []
    for cell, kind in kinds.items():
        wanted = expected[f"difficulty{difficulty}_{kind}"]
        metrics = ("flip_probability", "top5_distance", "zipf_distance")
        for metric, word in zip(metrics, ("flip_prob", "top5", "zipf")):
            value = pytest.approx(wanted[f"logits_{word}"], abs=1e-9)
            assert section["cells"][cell][metric] == value
        rates.append(wanted["logits_flip_prob"])
    means = ("p_released/mfp", "p_released/mfp_without_noise")
    found = [results.figures[mean] for mean in means]
    np.testing.assert_allclose(found, [np.mean(rates), rates[1]])


@pytest.mark.parametrize("level", [1, 3])
def test_cells_are_what_functions_compute(level):
    model, data = random_model(), dataset(n=9)
    names = ("shot_noise", "brightness", "translate")
    options = {"perturbations": names, "difficulty": level}
    results = run(model, data, suites=("p",), **options)
    assert [cell.corruption for cell in results.records] == list(names)
    for cell, got in results.records.items():
        assert (cell.n, cell.source) == (9, "generated")
        name, images = cell.corruption, data.test.images
        films = corruptions.perturb(images, name, difficulty=level)
        frames = films.reshape(-1, *films.shape[2:]).astype(np.float32)
        outputs = model.predict(frames, batch_size=100, verbose=0)
        tally = flips.FlipTally(noise=name == "shot_noise", difficulty=level)
        tally.update(outputs.reshape(*films.shape[:2], -1))
        assert tally.flip_probability > 0
        for key, wanted in tally.measurements().items():
            assert got[key] == pytest.approx(wanted, rel=1e-9)


def test_sequences_are_cut_into_batches_of_frames(monkeypatch):
    model, data = random_model(), dataset(n=66)
    options = {"suites": ("p",), "perturbations": ("translate", "tilt")}
    one = run(model, data, batch_size=1, **options).records.values()
    spy = unittest.mock.Mock(wraps=corruptions.perturb)
    monkeypatch.setattr(corruptions, "perturb", spy)
    other = run(model, data, batch_size=64, **options).records.values()
    for a, b in zip(one, other):
        assert a["sums"] == pytest.approx(b["sums"], rel=1e-9)
    # 16 frames and 31.
    sizes = sorted(len(call.args[0]) for call in spy.call_args_list)
    assert sizes == [2] * 34 + [4] * 16
    # The benchmark is the default.
    records = run(data=dataset(n=1), suites=("p",)).records
    names = [cell.corruption for cell in records]
    assert names == list(corruptions.perturbation_names("cifar"))


@pytest.mark.parametrize("examples, p_examples, n", [(None, 4, 4), (3, 6, 3)])
def test_fewer_sequences_than_images(examples, p_examples, n):
    """They are those of so many `examples`; other suites keep theirs."""
    model, data = random_model(), whole_dataset(n=9)
    options = {"suites": ("clean", "p"), "perturbations": ("tilt",)}
    part = {"examples": examples, "p_examples": p_examples}
    results = run(model, data, **part, **options)
    (clean, _), (cell, sums) = results.records.items()
    assert (clean.n, cell.n) == (examples or 9, n)
    _, wanted = run(model, data, examples=n, **options).records.values()
    assert clean.data == cell.data and sums["sums"] == wanted["sums"]
    assert f"{n} of 9 sequences per cell" in results.report.text()


def test_a_part_is_balanced_where_labels_are_known(tmp_path):
    """Films are sorted by class: the first of them are of one class."""
    outputs = np.zeros([6, 4, 3])
    outputs[:, :, 0] = 1
    outputs[3:, 1::2] = (0, 5, 0)  # The answers of the second class alternate.
    save(tmp_path, ("tilt",), 6, 4)
    first = measure(tmp_path, outputs, "tilt", examples=2)
    assert first.figures["p_released/mfp"] == 0.0
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 3))
    balanced = measure(tmp_path, outputs, "tilt", examples=2)
    assert balanced.figures["p_released/mfp"] == 0.5
    assert_usage_error(lambda: measure(tmp_path, outputs, "rotate"), "lacks r")
