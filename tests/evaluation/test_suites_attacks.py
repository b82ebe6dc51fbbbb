"""Suites fgsm and pgd: what the attacks find when they are called by hand."""

import keras
import numpy as np
import pytest

import noisymix_tf as nm
from noisymix_tf import attacks
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import metrics
from support.evaluation_toys import (
    SIDE,
    SizedTest,
    dataset,
    random_model,
    run,
    without_seconds,
)

EPS = (0.5 / 255, "4/255")
N = 23


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def data(model):
    """Images whose labels are what the model says of them, for the most part.

    A tenth are wrong, so that there is something to find and to lose.
    """
    toy = dataset(n=N)
    noise = np.random.default_rng(0).integers(0, 256, toy.test.images.shape)
    toy.test.images[:] = noise
    outputs = model.predict(toy.test.images, verbose=0)
    toy.test.labels[:] = outputs.argmax(-1)
    toy.test.labels[::10] = (toy.test.labels[::10] + 1) % 3
    return toy


def accuracies(results):
    return {
        cell.setting: sums["correct"] / cell.n
        for cell, sums in results.records.items()
    }


def wanted(model, data, found):
    outputs = model.predict(found, verbose=0)
    return metrics.tally(outputs, data.test.labels)


@pytest.mark.parametrize("batch_size", [N, 7])
def test_fgsm_cells(model, data, batch_size):
    results = run(model, data, suites=("fgsm",), eps=EPS, batch_size=batch_size)
    assert list(accuracies(results)) == [
        f"linf eps={eps} {loss}"
        for eps in ("0.00196078", "4/255")
        for loss in ("cross_entropy", "log_odds")
    ]
    shares = []
    cases = iter(results.records.items())
    for eps in (0.5 / 255, 4 / 255):
        for loss in ("cross_entropy", "log_odds"):
            cell, sums = next(cases)
            assert (cell.n, cell.source, cell.seed) == (N, "generated", 0)
            found = nm.attacks.fgsm(
                model, data.test.images, data.test.labels, eps, loss=loss
            )
            tally = wanted(model, data, found)
            assert sums["correct"] == tally.correct
            assert sums["nll_sum"] == pytest.approx(tally.nll_sum, rel=1e-4)
            shares.append(tally.accuracy)
    # A test that finds the same of everything would prove nothing.
    assert 0.85 < metrics.accuracy(
        model.predict(data.test.images, verbose=0), data.test.labels
    )
    assert shares[0] > shares[2]


PGD = {
    "norms": ("linf", "l2"),
    "eps": ("1/255",),
    "l2_eps": (0.2,),
    "attack_losses": ("cross_entropy",),
    "attack_steps": 5,
    "attack_step_size": 0.5,
}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "random start, 1 search"),
        ({"random_start": False}, "no random start, 1 search"),
        ({"attack_restarts": 3, "seed": 7}, "random start, 3 searches"),
    ],
)
def test_pgd_cells(model, data, more, words):
    results = run(model, data, suites=("pgd",), **{**PGD, **more})
    cases = (("linf", 1 / 255, "1/255"), ("l2", 0.2, "0.2"))
    for (cell, sums), (norm, eps, text) in zip(results.records.items(), cases):
        assert cell.setting == (
            f"{norm} eps={text} cross_entropy, 5 steps of 0.5 eps, {words}"
        )
        assert cell.seed == more.get("seed", 0)
        found = nm.attacks.pgd(
            model,
            data.test.images,
            data.test.labels,
            eps,
            norm=norm,
            steps=5,
            step_size=0.5 * eps,
            restarts=more.get("attack_restarts", 1),
            random_start=more.get("random_start", True),
            seed=more.get("seed", 0),
        )
        tally = wanted(model, data, found)
        assert sums["correct"] == tally.correct
        assert sums["nll_sum"] == pytest.approx(tally.nll_sum, rel=1e-4)


def test_batch_size_does_not_matter(model, data):
    """A random start belongs to the image, not to its place in a batch."""
    options = {"suites": ("fgsm", "pgd"), **PGD}
    first = run(model, data, batch_size=N, **options)
    for batch_size in (1, 7):
        other = run(model, data, batch_size=batch_size, **options)
        for cell, sums in first.records.items():
            assert other.records[cell]["correct"] == sums["correct"]
            assert other.records[cell]["nll_sum"] == pytest.approx(
                sums["nll_sum"], rel=1e-4
            )


def test_what_a_report_says_of_attacks(model, data):
    results = run(model, data, suites=("fgsm", "pgd"), eps=("4/255",))
    sections = results.report.as_dict()["sections"]
    for name in ("fgsm", "pgd"):
        section = sections[name]
        assert (section["n"], section["source"]) == (N, "generated")
        assert "attacked in pixel space, seed 0" in section["origin"]
        (exact, note) = section["notes"][-2:]
        assert "normalisation included" in exact
        assert "weaker than log_odds" in note
        for setting, cell in section["cells"].items():
            figure = section["figures"][f"accuracy[{setting}]"]
            assert cell["accuracy"] == figure
    assert any("assumption" in note for note in sections["fgsm"]["notes"])
    exact = run(
        model, data, suites=("fgsm",), attack_losses=("log_odds",)
    ).report.as_dict()["sections"]["fgsm"]
    assert not any("weaker" in note for note in exact["notes"])


def test_seeds_start_elsewhere(model, data):
    """One step, so that the start shows."""
    options = {"suites": ("pgd",), "eps": ("8/255",), "attack_steps": 1}
    one, other = (
        [
            sums["nll_sum"]
            for sums in run(model, data, seed=seed, **options).records.values()
        ]
        for seed in (0, 1)
    )
    assert one != pytest.approx(other, rel=1e-6)


def test_a_softmax_hides_nothing(model, data):
    softmax = random_model(softmax=True)
    softmax.set_weights(model.get_weights())
    options = {"suites": ("fgsm", "pgd"), **PGD}
    assert accuracies(run(softmax, data, **options)) == accuracies(
        run(model, data, **options)
    )


def test_a_part_of_the_images(model, data):
    results = run(model, data, suites=("fgsm",), examples=None)
    split = nm.data.ArraySplit(data.test.images, data.test.labels)
    part = {**vars(data), "test": split}
    part = type(data)(**part)
    few = run(model, part, suites=("fgsm",), examples=9)
    (cell, sums), *_ = few.records.items()
    assert (cell.n, sums["available"]) == (9, N)
    assert few.report.sections[0].origin.startswith("9 of 23 images per cell")
    chosen = nm.data.subset.balanced_indices(data.test.labels, 9, 3)
    found = nm.attacks.fgsm(
        model, data.test.images[chosen], data.test.labels[chosen], 4 / 255
    )
    outputs = model.predict(found, verbose=0)
    tally = metrics.tally(outputs, data.test.labels[chosen])
    assert sums["correct"] == tally.correct
    assert cell not in results.records


class Spy(keras.layers.Layer):
    """Counts how often it is traced."""

    calls = 0

    def call(self, x):
        Spy.calls += 1
        return x


def test_radii_share_one_compilation(data):
    traces = []
    for eps in (("1/255",), ("1/255", "2/255", "4/255", "8/255")):
        inputs = keras.Input([SIDE, SIDE, 3])
        x = keras.layers.GlobalAveragePooling2D()(Spy()(inputs))
        spied = keras.Model(inputs, keras.layers.Dense(3)(x))
        Spy.calls = 0
        # Batches of 8, 8 and 7: the last one is filled up.
        results = run(spied, data, suites=("fgsm", "pgd"), eps=eps)
        assert len(results.records) == 4 * len(eps)
        traces.append(Spy.calls)
    assert traces[0] == traces[1]


def test_nothing_is_found_in_no_ball(model, data):
    results = run(model, data, suites=("clean", "fgsm", "pgd"), eps=(0,))
    clean, *attacked = results.records.values()
    assert len(attacked) == 4
    for sums in attacked:
        assert sums["correct"] == clean["correct"]
    assert "linf eps=0 log_odds" in accuracies(results)


def test_a_second_run_measures_nothing(model, data, tmp_path):
    options = {"suites": ("fgsm", "pgd"), "output_dir": tmp_path, **PGD}
    first = run(model, data, **options)
    second = run(model, data, **options)
    assert second.computed == 0
    assert without_seconds(second) == without_seconds(first)
    more = run(model, data, **{**options, "eps": ("1/255", "2/255")})
    assert more.computed == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": (4,)}, r"eps=4 is more than .* 1:.*4/255"),
        ({"eps": ("1.5",)}, r"eps=1\.5 is more than"),
        (
            {"suites": ("pgd",), "norms": ("l2",), "l2_eps": (28,)},
            r"eps=28 is more than .*27\.7",
        ),
        ({"seed": 2**31}, "seed=2147483648 must be a whole number"),
    ],
)
def test_bad_input_before_anything_is_measured(model, data, options, message):
    calls = []
    with pytest.raises(UsageError, match=message) as caught:
        run(
            model,
            data,
            **{"suites": ("clean", "fgsm"), **options},
            progress=lambda *call: calls.append(call),
        )
    assert "\n" not in str(caught.value)
    assert not calls


# --- the published network ---------------------------------------------------


# PGD at 4/255 and 8/255 leaves no image right, long before its tenth step;
# they would only take time, as 1/255, which test_attacks_reference.py has.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "levels"), [("fgsm", (1, 2, 4, 8)), ("pgd", (2,))]
)
def test_oracle_accuracies(
    golden, cifar10_test, trained_resnet20, suite, levels
):
    """ResNet-20 on 1,000 images: the oracle's table, through the report."""
    data = dataset(num_classes=10)
    data.test = SizedTest(*(array[:1000] for array in cifar10_test))
    results = run(
        trained_resnet20,
        data,
        suites=(suite,),
        eps=[f"{level}/255" for level in levels],
        attack_losses=("cross_entropy",),
        random_start=False,
        batch_size=250,
    )
    expected = golden("attacks_accuracy.json")
    name = {"fgsm": "fgsm", "pgd": "pgd10"}[suite]
    figures = results.report.sections[0].figures
    assert len(figures) == len(levels)
    for figure, level in zip(figures, levels):
        assert f"eps={level}/255 " in figure.name
        wanted = expected[f"{name}_eps{level}"]
        assert figure.value == pytest.approx(wanted["acc"], abs=0.003)
    assert attacks.VERSION == results.report.cells[0].generator
