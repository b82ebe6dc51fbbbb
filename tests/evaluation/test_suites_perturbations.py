"""Suite p against the oracle, by hand, and on files of both origins."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruption_sets, corruptions
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
    """An evaluation of films in a folder by `Lookup`."""
    data = released_sets.dataset(outputs.shape[-1])
    options = {"suites": ("p",), "p_dir": root, "perturbations": names, **more}
    return run(Lookup(outputs), data, **options)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_oracle(golden, tmp_path, difficulty):
    """The oracle's outputs as a model's, through files, suite and report."""
    outputs = golden("p_metrics_inputs.npz")["logits"]
    expected = golden("p_metrics_expected.json")
    kinds = {"gaussian_noise": "noise", "tilt": "nonnoise"}
    noises = ("gaussian_noise_2", "gaussian_noise_3")
    save(tmp_path, (*kinds, *noises), *outputs.shape[:2])
    options = {"difficulty": difficulty, "batch_size": 100}
    results = measure(tmp_path, outputs, *kinds, **options)
    section = results.report.as_dict()["sections"]["p_released"]
    assert (section["n"], section["source"]) == (len(outputs), "released")
    assert "sequences per cell, from released files" in section["origin"]
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


@pytest.mark.parametrize("difficulty", [1, 3])
def test_cells_are_what_functions_compute(difficulty):
    model, data = random_model(), dataset(n=9)
    names = ("shot_noise", "brightness", "translate")
    options = {"perturbations": names, "difficulty": difficulty}
    results = run(model, data, suites=("p",), **options)
    assert [cell.corruption for cell in results.records] == list(names)
    for cell, got in results.records.items():
        found = (cell.severity, cell.n, cell.source)
        assert found == (difficulty, 9, "generated")
        name, images = cell.corruption, data.test.images
        films = corruptions.perturb(images, name, difficulty=difficulty)
        frames = films.reshape(-1, *films.shape[2:]).astype(np.float32)
        outputs = model.predict(frames, batch_size=100, verbose=0)
        noise = name == "shot_noise"
        tally = flips.FlipTally(noise=noise, difficulty=difficulty)
        tally.update(outputs.reshape(*films.shape[:2], -1))
        assert tally.flip_probability > 0
        for key, wanted in tally.measurements().items():
            assert got[key] == pytest.approx(wanted, rel=1e-9)


def test_sequences_are_cut_into_batches_of_frames(monkeypatch):
    """None is larger than the model's; their size does not matter."""
    sizes, perturb = [], corruptions.perturb

    def spy(images, *arguments, **keywords):
        sizes.append(len(images))
        return perturb(images, *arguments, **keywords)

    model, data = random_model(), dataset(n=66)
    options = {"suites": ("p",), "perturbations": ("translate", "tilt")}
    one = run(model, data, batch_size=1, **options).records.values()
    monkeypatch.setattr(corruptions, "perturb", spy)
    other = run(model, data, batch_size=64, **options).records.values()
    for a, b in zip(one, other):
        assert a["sums"] == pytest.approx(b["sums"], rel=1e-9)
    # 16 frames and 31.
    assert sorted(sizes) == [2] * 34 + [4] * 16


def test_the_benchmark_is_the_default():
    results = run(data=dataset(n=1), suites=("p",))
    names = [cell.corruption for cell in results.records]
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
    origin = results.report.as_dict()["sections"]["p"]["origin"]
    assert origin.startswith(f"{n} of 9 sequences per cell")


def test_files_of_this_package_are_called_generated(tmp_path):
    model, data = random_model(), whole_dataset(n=6)
    own = {"names": ("shot_noise", "tilt"), "seed": 3, "progress": False}
    corruption_sets.write(data, tmp_path, suite="p", **own)
    options = {"suites": ("p",), "perturbations": own["names"], "seed": 3}
    made = run(model, data, **options).records.values()
    read = run(model, data, p_dir=tmp_path, **options)
    for one, other in zip(made, read.records.values(), strict=True):
        assert one["sums"] == pytest.approx(other["sums"], rel=1e-9)
    section = read.report.as_dict()["sections"]["p_written"]
    assert section["source"] == "generated"
    assert "files that were generated" in section["origin"]
    assert "seed 3" in section["origin"]


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


def test_released_films_may_have_any_length_but_must_be_there(tmp_path):
    outputs = np.random.default_rng(0).normal(size=[3, 9, 4])
    save(tmp_path, ("tilt",), 3, 9)
    save(tmp_path, ("scale",), 2, 5)
    (sums,) = measure(tmp_path, outputs, "tilt").records.values()
    tally = flips.FlipTally(noise=False)
    tally.update(outputs.astype(np.float32))
    assert sums["sums"] == pytest.approx(tally.measurements()["sums"])
    both = measure(tmp_path, outputs, "tilt", "scale")
    assert_usage_error(lambda: both.report, "about one n", "3, 2")
    more, calls = {"suites": ("clean", "p")}, []
    more["progress"] = lambda *call: calls.append(call)
    call = lambda: measure(tmp_path, outputs, "rotate", **more)  # noqa: E731
    assert_usage_error(call, "lacks rotate.npy")
    assert not calls
