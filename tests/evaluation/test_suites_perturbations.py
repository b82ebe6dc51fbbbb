"""Suite p against the oracle, by hand, and on files of both origins."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruption_sets, corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import flips
from support import released_sets
from support.evaluation_toys import (
    dataset,
    random_model,
    run,
    whole_dataset,
    without_seconds,
)


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


def numbered_films(number, frames):
    """Films `[N, T, 32, 32, 3]` for `Lookup`."""
    films = np.zeros([number, frames, 32, 32, 3], np.uint8)
    films[..., 0] = np.arange(number)[:, None, None, None]
    films[..., 1] = np.arange(frames)[None, :, None, None]
    return films


def save(root, names, films):
    for name in names:
        np.save(root / f"{name}.npy", films)


NOISE_FILES = ("gaussian_noise", "gaussian_noise_2", "gaussian_noise_3")


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("name", ["logits", "logits_ties_c10"])
def test_oracle(golden, tmp_path, name, difficulty):
    """The oracle's outputs as a model's, through files, suite and report."""
    outputs = golden("p_metrics_inputs.npz")[name]
    expected = golden("p_metrics_expected.json")
    save(tmp_path, ("tilt", *NOISE_FILES), numbered_films(*outputs.shape[:2]))
    results = run(
        Lookup(outputs),
        released_sets.dataset(outputs.shape[-1]),
        suites=("p",),
        p_dir=tmp_path,
        perturbations=("gaussian_noise", "tilt"),
        difficulty=difficulty,
    )
    section = results.report.as_dict()["sections"]["p_released"]
    assert section["n"] == len(outputs)
    for cell, kind in (("gaussian_noise", "noise"), ("tilt", "nonnoise")):
        wanted = expected[f"difficulty{difficulty}_{kind}"]
        got = section["cells"][cell]
        for metric, word in (
            ("flip_probability", "flip_prob"),
            ("top5_distance", "top5"),
            ("zipf_distance", "zipf"),
        ):
            value = wanted[f"{name}_{word}"]
            assert got[metric] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_oracle_predictions(golden, tmp_path, difficulty):
    predictions = golden("p_metrics_inputs.npz")["predictions"]
    expected = golden("p_metrics_expected.json")
    outputs = np.eye(predictions.max() + 1)[predictions]
    save(tmp_path, ("tilt", *NOISE_FILES), numbered_films(*predictions.shape))
    results = run(
        Lookup(3 * outputs - 1),
        released_sets.dataset(outputs.shape[-1]),
        suites=("p",),
        p_dir=tmp_path,
        perturbations=("gaussian_noise", "tilt"),
        difficulty=difficulty,
        batch_size=100,
    )
    noise, other = (
        expected[f"difficulty{difficulty}_{kind}"]["flip_prob_predictions"]
        for kind in ("noise", "nonnoise")
    )
    assert results.figures["p_released/mfp"] == pytest.approx(
        (noise + other) / 2, abs=1e-9
    )
    assert results.figures["p_released/mfp_without_noise"] == pytest.approx(
        other, abs=1e-9
    )


NAMES = ("shot_noise", "brightness", "translate")


@pytest.mark.parametrize("difficulty", [1, 3])
def test_cells_are_what_functions_compute(difficulty):
    model, data = random_model(), dataset(n=9)
    results = run(
        model, data, suites=("p",), perturbations=NAMES, difficulty=difficulty
    )
    assert [cell.corruption for cell in results.records] == list(NAMES)
    for cell, got in results.records.items():
        assert (cell.severity, cell.n, cell.source) == (
            difficulty,
            9,
            "generated",
        )
        films = corruptions.perturb(
            data.test.images, cell.corruption, difficulty=difficulty
        )
        frames = films.reshape(-1, *films.shape[2:]).astype(np.float32)
        outputs = model.predict(frames, batch_size=100, verbose=0)
        tally = flips.FlipTally(
            noise=cell.corruption == "shot_noise", difficulty=difficulty
        )
        tally.update(outputs.reshape(*films.shape[:2], -1))
        assert tally.flip_probability > 0
        wanted = tally.measurements()
        assert (got["noise"], got["difficulty"]) == (
            wanted["noise"],
            difficulty,
        )
        for sums in ("sums", "square_sums"):
            assert got[sums] == pytest.approx(wanted[sums], rel=1e-9)


def test_batch_size_does_not_matter():
    """Sequences are cut into batches, and those into batches of frames."""
    model, data = random_model(), dataset(n=5)
    options = {"suites": ("p",), "perturbations": ("tilt", "motion_blur")}
    wanted = without_seconds(run(model, data, batch_size=5, **options))
    for batch_size in (1, 31, 256):
        results = run(model, data, batch_size=batch_size, **options)
        assert without_seconds(results) == wanted


def test_a_batch_of_frames_is_no_larger_than_the_models(monkeypatch):
    sizes = []
    perturb = corruptions.perturb

    def spy(images, *arguments, **keywords):
        sizes.append(len(images))
        return perturb(images, *arguments, **keywords)

    monkeypatch.setattr(corruptions, "perturb", spy)
    run(
        data=dataset(n=70),
        suites=("p",),
        perturbations=("translate", "tilt"),  # 16 and 31 frames.
        batch_size=64,
    )
    assert max(sizes[:18]) == 4 and sum(sizes[:18]) == 70
    assert max(sizes[18:]) == 2 and sum(sizes[18:]) == 70


def test_the_benchmark_is_the_default():
    results = run(data=dataset(n=1), suites=("p",))
    names = [cell.corruption for cell in results.records]
    assert names == list(corruptions.perturbation_names("cifar"))
    section = results.report.as_dict()["sections"]["p"]
    assert not any("means are over" in note for note in section["notes"])
    assert "1 sequences per cell" in section["origin"]


@pytest.mark.parametrize(
    ("examples", "p_examples", "n"), [(None, 4, 4), (6, 4, 4), (3, 6, 3)]
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


@pytest.fixture
def written(tmp_path):
    """A dataset, and a directory of sequences that this package made of it."""
    data = whole_dataset(n=10)
    corruption_sets.write(
        data,
        tmp_path / "sets",
        suite="p",
        names=["shot_noise", "tilt"],
        seed=3,
        progress=False,
    )
    return data, tmp_path / "sets"


def test_files_of_this_package_are_called_generated(written):
    data, path = written
    model = random_model()
    options = {
        "suites": ("p",),
        "perturbations": ("shot_noise", "tilt"),
        "seed": 3,
    }
    made = run(model, data, **options)
    read = run(model, data, p_dir=path, **options)
    for one, other in zip(made.records.values(), read.records.values()):
        assert one["sums"] == pytest.approx(other["sums"], rel=1e-9)
    section = read.report.as_dict()["sections"]["p_written"]
    assert section["source"] == "generated"
    assert "files that were generated" in section["origin"]
    assert "seed 3" in section["origin"]
    (path / "manifest.json").unlink()
    published = run(model, data, p_dir=path, **options).report
    section = published.as_dict()["sections"]["p_released"]
    assert section["source"] == "released"
    assert section["origin"] == "10 sequences per cell, from released files"


@pytest.mark.parametrize(
    "part",
    [{"examples": 3}, {"p_examples": 3}, {"examples": 5, "p_examples": 3}],
    ids=" ".join,
)
def test_a_part_of_released_sequences(written, tmp_path, part):
    data, path = written
    results = run(
        data=data,
        suites=("p",),
        perturbations=("tilt",),
        p_dir=path,
        output_dir=tmp_path / "run",
        **part,
    )
    ((cell, sums),) = results.records.items()
    assert (cell.n, sums["available"]) == (3, 10)
    section = results.report.as_dict()["sections"]["p_written"]
    assert section["origin"].startswith("3 of 10 sequences per cell")


def test_a_part_is_balanced_where_labels_are_known(tmp_path):
    """Films are sorted by class: the first of them are of one class."""
    outputs = np.zeros([6, 4, 3])
    outputs[:, :, 0] = 1
    outputs[3:, 1::2] = (0, 5, 0)  # The answers of the second class alternate.
    save(tmp_path, ("tilt",), numbered_films(6, 4))
    options = {
        "suites": ("p",),
        "perturbations": ("tilt",),
        "p_dir": tmp_path,
        "examples": 2,
    }
    data = released_sets.dataset(3)
    first = run(Lookup(outputs), data, **options)
    assert first.figures["p_released/mfp"] == 0.0
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 3))
    balanced = run(Lookup(outputs), data, **options)
    assert balanced.figures["p_released/mfp"] == 0.5


def test_released_films_may_have_any_length(tmp_path):
    outputs = np.random.default_rng(0).normal(size=[3, 9, 4])
    save(tmp_path, ("tilt",), numbered_films(3, 9))
    save(tmp_path, ("scale",), numbered_films(2, 5))
    results = run(
        Lookup(outputs),
        released_sets.dataset(4),
        suites=("p",),
        perturbations=("tilt",),
        p_dir=tmp_path,
    )
    tally = flips.FlipTally(noise=False)
    tally.update(outputs.astype(np.float32))
    (sums,) = results.records.values()
    assert sums["sums"] == pytest.approx(tally.measurements()["sums"])
    both = run(
        Lookup(outputs),
        released_sets.dataset(4),
        suites=("p",),
        perturbations=("tilt", "scale"),
        p_dir=tmp_path,
    )
    with pytest.raises(UsageError, match=r"about one n.*3, 2"):
        _ = both.report


def test_a_missing_file_is_named_before_anything_is_measured(tmp_path):
    save(tmp_path, ("tilt",), numbered_films(2, 3))
    calls = []
    with pytest.raises(UsageError, match=r"lacks scale\.npy") as caught:
        run(
            Lookup(np.zeros([2, 3, 3])),
            released_sets.dataset(3),
            suites=("clean", "p"),
            perturbations=("tilt", "scale"),
            p_dir=tmp_path,
            progress=lambda *call: calls.append(call),
        )
    assert "\n" not in str(caught.value)
    assert not calls
