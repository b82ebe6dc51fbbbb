"""Suite p against the oracle, by hand, and on files of both origins."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruption_sets, corruptions
from noisymix_tf.evaluation import flips
from support import released_sets
from support.evaluation_toys import (
    dataset,
    random_model,
    run,
    whole_dataset,
    without_seconds,
)
from support.usage import assert_usage_error


class Lookup:
    """A classifier that knows the answer to every frame by heart.

    The first two values of a pixel tell the sequence and the frame.
    """

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


def films(root, *names, **more):
    """Options of an evaluation of such films."""
    return {"suites": ("p",), "p_dir": root, "perturbations": names, **more}


def by_hand(outputs, **more):
    tally = flips.FlipTally(**more)
    tally.update(outputs)
    return tally


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_oracle(golden, tmp_path, difficulty):
    """The oracle's outputs as a model's, through files, suite and report."""
    outputs = golden("p_metrics_inputs.npz")["logits"]
    expected = golden("p_metrics_expected.json")
    noises = ("gaussian_noise", "gaussian_noise_2", "gaussian_noise_3")
    save(tmp_path, ("tilt", *noises), *outputs.shape[:2])
    results = run(
        Lookup(outputs),
        released_sets.dataset(outputs.shape[-1]),
        **films(tmp_path, "gaussian_noise", "tilt", difficulty=difficulty),
        batch_size=100,
    )
    section = results.report.as_dict()["sections"]["p_released"]
    assert section["n"] == len(outputs)
    rates = []
    for cell, kind in (("gaussian_noise", "noise"), ("tilt", "nonnoise")):
        wanted = expected[f"difficulty{difficulty}_{kind}"]
        for metric, word in (
            ("flip_probability", "flip_prob"),
            ("top5_distance", "top5"),
            ("zipf_distance", "zipf"),
        ):
            value = pytest.approx(wanted[f"logits_{word}"], abs=1e-9)
            assert section["cells"][cell][metric] == value
        rates.append(wanted["logits_flip_prob"])
    figures = results.figures
    assert figures["p_released/mfp"] == pytest.approx(np.mean(rates))
    assert figures["p_released/mfp_without_noise"] == pytest.approx(rates[1])


@pytest.mark.parametrize("difficulty", [1, 3])
def test_cells_are_what_functions_compute(difficulty):
    model, data = random_model(), dataset(n=9)
    names = ("shot_noise", "brightness", "translate")
    options = {"perturbations": names, "difficulty": difficulty}
    results = run(model, data, suites=("p",), **options)
    assert [cell.corruption for cell in results.records] == list(names)
    for cell, got in results.records.items():
        assert (cell.severity, cell.n) == (difficulty, 9)
        assert cell.source == "generated"
        made = corruptions.perturb(
            data.test.images, cell.corruption, difficulty=difficulty
        )
        frames = made.reshape(-1, *made.shape[2:]).astype(np.float32)
        outputs = model.predict(frames, batch_size=100, verbose=0)
        noise = cell.corruption == "shot_noise"
        tally = by_hand(
            outputs.reshape(*made.shape[:2], -1),
            noise=noise,
            difficulty=difficulty,
        )
        assert tally.flip_probability > 0
        assert (got["noise"], got["difficulty"]) == (noise, difficulty)
        for sums in ("sums", "square_sums"):
            wanted = tally.measurements()[sums]
            assert got[sums] == pytest.approx(wanted, rel=1e-9)


def test_batch_size_does_not_matter():
    """Sequences are cut into batches, and those into batches of frames."""
    model, data = random_model(), dataset(n=5)
    options = {"suites": ("p",), "perturbations": ("tilt", "motion_blur")}
    one, *others = (
        without_seconds(run(model, data, batch_size=size, **options))
        for size in (5, 1, 256)
    )
    assert others == [one, one]


def test_a_batch_of_frames_is_no_larger_than_the_models(monkeypatch):
    sizes = []
    perturb = corruptions.perturb

    def spy(images, *arguments, **keywords):
        sizes.append(len(images))
        return perturb(images, *arguments, **keywords)

    monkeypatch.setattr(corruptions, "perturb", spy)
    names = ("translate", "tilt")  # 16 and 31 frames.
    data = dataset(n=66)
    run(data=data, suites=("p",), perturbations=names, batch_size=64)
    assert sorted(sizes) == [2] * 34 + [4] * 16


def test_the_benchmark_is_the_default():
    results = run(data=dataset(n=1), suites=("p",))
    names = [cell.corruption for cell in results.records]
    assert names == list(corruptions.perturbation_names("cifar"))
    section = results.report.as_dict()["sections"]["p"]
    assert not any("means are over" in note for note in section["notes"])
    assert "1 sequences per cell" in section["origin"]


@pytest.mark.parametrize(
    ("examples", "p_examples", "n"), [(None, 4, 4), (3, 6, 3)]
)
def test_fewer_sequences_than_images(examples, p_examples, n):
    """They are those of so many `examples`; other suites keep theirs."""
    model, data = random_model(), whole_dataset(n=9)
    options = {"suites": ("clean", "p"), "perturbations": ("tilt",)}
    results = run(
        model, data, examples=examples, p_examples=p_examples, **options
    )
    (clean, _), (cell, sums) = results.records.items()
    assert (clean.n, cell.n) == (examples or 9, n)
    _, wanted = run(model, data, examples=n, **options).records.values()
    assert clean.data == cell.data and sums["sums"] == wanted["sums"]
    origin = results.report.as_dict()["sections"]["p"]["origin"]
    assert origin.startswith(f"{n} of 9 sequences per cell")


# --- files -------------------------------------------------------------------


def test_files_of_this_package_are_called_generated(tmp_path):
    """Published ones are not; of both a part can be measured."""
    names = ("shot_noise", "tilt")
    model, data = random_model(), whole_dataset(n=6)
    corruption_sets.write(
        data, tmp_path, suite="p", names=names, seed=3, progress=False
    )

    def measured(**more):
        options = {"suites": ("p",), "perturbations": names, "seed": 3}
        results = run(model, data, **options, **more)
        (section, *_) = results.report.as_dict()["sections"].items()
        return results.records, *section

    made, name, _ = measured()
    assert name == "p"
    read, name, section = measured(p_dir=tmp_path)
    for one, other in zip(made.values(), read.values(), strict=True):
        assert one["sums"] == pytest.approx(other["sums"], rel=1e-9)
    assert (name, section["source"]) == ("p_written", "generated")
    assert "files that were generated" in section["origin"]
    assert "seed 3" in section["origin"]
    for part in ({"examples": 3}, {"examples": 5, "p_examples": 3}):
        read, _, section = measured(p_dir=tmp_path, **part)
        for cell, sums in read.items():
            assert (cell.n, sums["available"]) == (3, 6)
        assert section["origin"].startswith("3 of 6 sequences per cell")
    (tmp_path / "manifest.json").unlink()
    _, name, section = measured(p_dir=tmp_path)
    assert (name, section["source"]) == ("p_released", "released")
    assert section["origin"] == "6 sequences per cell, from released files"


def test_a_part_is_balanced_where_labels_are_known(tmp_path):
    """Films are sorted by class: the first of them are of one class."""
    outputs = np.zeros([6, 4, 3])
    outputs[:, :, 0] = 1
    outputs[3:, 1::2] = (0, 5, 0)  # The answers of the second class alternate.
    save(tmp_path, ("tilt",), 6, 4)
    data, options = released_sets.dataset(3), films(tmp_path, "tilt")
    first = run(Lookup(outputs), data, examples=2, **options)
    assert first.figures["p_released/mfp"] == 0.0
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 3))
    balanced = run(Lookup(outputs), data, examples=2, **options)
    assert balanced.figures["p_released/mfp"] == 0.5


def test_released_films_may_have_any_length(tmp_path):
    outputs = np.random.default_rng(0).normal(size=[3, 9, 4])
    save(tmp_path, ("tilt",), 3, 9)
    save(tmp_path, ("scale",), 2, 5)
    model, data = Lookup(outputs), released_sets.dataset(4)
    results = run(model, data, **films(tmp_path, "tilt"))
    wanted = by_hand(outputs.astype(np.float32), noise=False).measurements()
    (sums,) = results.records.values()
    assert sums["sums"] == pytest.approx(wanted["sums"])
    both = run(model, data, **films(tmp_path, "tilt", "scale"))
    assert_usage_error(lambda: both.report, "about one n", "3, 2")


def test_a_missing_file_is_named_before_anything_is_measured(tmp_path):
    save(tmp_path, ("tilt",), 2, 3)
    calls = []
    options = films(tmp_path, "tilt", "scale", suites=("clean", "p"))
    options["progress"] = lambda *call: calls.append(call)
    model = Lookup(np.zeros([2, 3, 3]))
    assert_usage_error(
        lambda: run(model, released_sets.dataset(3), **options),
        "lacks scale.npy",
    )
    assert not calls
