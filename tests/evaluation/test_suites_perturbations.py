"""Suite p against the oracle, by hand, and on files of both origins."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruptions, evaluation
from noisymix_tf.evaluation.flips import FlipScores
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
    films = np.zeros([number, frames, 32, 32, 3], np.uint8)
    films[..., 0] = np.arange(number)[:, None, None, None]
    films[..., 1] = np.arange(frames)[None, :, None, None]
    for name in names:
        np.save(root / f"{name}.npy", films)


def measure(root, outputs, *names, **more):
    data = released_sets.dataset(outputs.shape[-1])
    options = {"suites": ("p",), "p_dir": root, "perturbations": names, **more}
    return run(Lookup(outputs), data, **options)


def test_films_of_a_difficulty(tmp_path):
    outputs = np.random.default_rng(0).normal(size=[6, 5, 3])
    save(tmp_path, ("gaussian_noise_2", "tilt"), 6, 5)
    names = "gaussian_noise", "tilt"
    results = measure(tmp_path, outputs, *names, difficulty=2, batch_size=100)
    flips = []
    for cell, own in results.scores.items():
        assert (cell.n, cell.source, cell.severity) == (6, "released", 2)
        noise = cell.corruption == "gaussian_noise"
        exact = FlipScores.of(np.float32(outputs), noise=noise, difficulty=2)
        assert own.rows.tobytes() == exact.tobytes()
        flips.append(exact["flip_probability"].mean())
    means = ("p_released/mfp", "p_released/mfp_without_noise")
    found = [results.figures[mean] for mean in means]
    assert found == pytest.approx([np.mean(flips), flips[1]])
    # Two frames too few for a pair; another perturbation.
    save(tmp_path, ("tilt",), 6, 3)
    call = lambda: measure(tmp_path, outputs, "tilt", difficulty=3)  # noqa: E731
    assert_usage_error(call, "3 frames, difficulty 3 needs at least 4")
    assert_usage_error(lambda: measure(tmp_path, outputs, "rotate"), "lacks r")


def test_cells_are_what_functions_compute():
    model, data, level = random_model(), dataset(n=9), 3
    names = ("shot_noise", "brightness", "translate")
    options = {"perturbations": names, "difficulty": level}
    results = run(model, data, suites=("p",), **options)
    assert [cell.corruption for cell in results.scores] == list(names)
    # The benchmark is the default.
    tasks = evaluation.plan(None, data, suites=("p",)).tasks
    usual = [task.cell.corruption for task in tasks]
    assert usual == list(corruptions.perturbation_names("cifar"))
    for cell, own in results.scores.items():
        assert (cell.n, cell.source) == (9, "generated")
        name, images = cell.corruption, data.test.images
        films = corruptions.perturb(images, name, difficulty=level)
        frames = films.reshape(-1, *films.shape[2:]).astype(np.float32)
        outputs = model.predict(frames, batch_size=100, verbose=0)
        outputs = outputs.reshape(*films.shape[:2], -1)
        pairing = {"noise": name == "shot_noise", "difficulty": level}
        wanted = FlipScores.of(outputs, **pairing)
        assert wanted["flip_probability"].any()
        for metric in wanted.dtype.names:
            found = own.rows[metric]
            np.testing.assert_allclose(found, wanted[metric], rtol=1e-9)


@pytest.mark.parametrize("examples, p_examples, n", [(None, 4, 4), (3, 6, 3)])
def test_fewer_sequences_than_images(examples, p_examples, n):
    model, data = random_model(), whole_dataset(n=9)
    options = {"suites": ("clean", "p"), "perturbations": ("tilt",)}
    part = {"examples": examples, "p_examples": p_examples}
    results = run(model, data, **part, **options)
    (clean, _), (cell, own) = results.scores.items()
    assert (clean.n, cell.n) == (examples or 9, n)
    _, wanted = run(model, data, examples=n, **options).scores.values()
    assert clean.data == cell.data
    assert own.rows.tobytes() == wanted.rows.tobytes()
    assert f"{n} of 9 sequences per cell" in results.report.text()


def test_a_part_is_balanced_where_labels_are_known(tmp_path):
    outputs = np.zeros([6, 4, 3])
    outputs[:, :, 0] = 1
    outputs[3:, 1::2] = (0, 5, 0)  # The answers of the second class alternate.
    save(tmp_path, ("tilt",), 6, 4)
    first = measure(tmp_path, outputs, "tilt", examples=2)
    assert first.figures["p_released/mfp"] == 0.0
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 3))
    part = {"examples": 4, "p_examples": 2}
    balanced = measure(tmp_path, outputs, "tilt", **part)
    assert balanced.figures["p_released/mfp"] == 0.5
    assert balanced.report.sections[0].n == 2
