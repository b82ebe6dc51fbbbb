"""Suites fgsm and pgd: what the attacks find when they are called by hand."""

import keras
import numpy as np
import pytest

import noisymix_tf as nm
from noisymix_tf import attacks
from noisymix_tf.evaluation import metrics
from support.evaluation_toys import (
    SIDE,
    SizedTest,
    dataset,
    random_model,
    run,
    without_seconds,
)

N = 23
PGD = {
    "suites": ("pgd",),
    "eps": ("1/255",),
    "l2_eps": (0.2,),
    "attack_losses": ("cross_entropy",),
    "attack_steps": 3,
    "attack_step_size": 0.5,
}


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def data(model):
    """Labels are what the model says, but for a tenth: some are wrong."""
    toy = dataset(n=N)
    noise = np.random.default_rng(0).integers(0, 256, toy.test.images.shape)
    toy.test.images[:] = noise
    toy.test.labels[:] = model.predict(toy.test.images, verbose=0).argmax(-1)
    toy.test.labels[::10] = (toy.test.labels[::10] + 1) % 3
    return toy


def assert_measured(sums, model, found, labels):
    """The sums of a cell are those of these adversarial images."""
    tally = metrics.tally(model.predict(found, verbose=0), labels)
    assert sums["correct"] == tally.correct
    assert sums["nll_sum"] == pytest.approx(tally.nll_sum, rel=1e-4)


def test_fgsm_cells(model, data):
    """Every radius with every loss; batches of 7 make no difference."""
    images, labels = data.test.images, data.test.labels
    radii = {0.5 / 255: "0.00196078", 4 / 255: "4/255"}
    options = {"suites": ("fgsm",), "batch_size": 7}
    results = run(model, data, eps=(0.5 / 255, "4/255"), **options)
    cases = [(e, loss) for e in radii for loss in ("cross_entropy", "log_odds")]
    correct = []
    for (cell, sums), (eps, loss) in zip(
        results.records.items(), cases, strict=True
    ):
        assert cell.setting == f"linf eps={radii[eps]} {loss}"
        assert (cell.n, cell.source, cell.seed) == (N, "generated", 0)
        found = attacks.fgsm(model, images, labels, eps, loss=loss)
        assert_measured(sums, model, found, labels)
        correct.append(sums["correct"])
    # A test that finds the same of everything would prove nothing.
    assert 0.85 * N > correct[0] > correct[2]
    softmax = random_model(softmax=True)
    softmax.set_weights(model.get_weights())
    hidden = run(softmax, data, eps=(0.5 / 255, "4/255"), **options)
    assert [s["correct"] for s in hidden.records.values()] == correct


@pytest.mark.parametrize(
    ("norm", "eps", "more", "words"),
    [
        ("linf", 1 / 255, {}, "random start, 1 search"),
        ("l2", 0.2, {"random_start": False}, "no random start, 1 search"),
        ("l2", 0.2, {"attack_restarts": 3, "seed": 7}, "random start, 3 sear"),
    ],
)
def test_pgd_cells(model, data, norm, eps, more, words):
    """A random start belongs to the image, not to its place in a batch."""
    images, labels = data.test.images, data.test.labels
    results = run(model, data, batch_size=7, norms=(norm,), **{**PGD, **more})
    ((cell, sums),) = results.records.items()
    radius = {"linf": "1/255", "l2": "0.2"}[norm]
    assert cell.setting.startswith(
        f"{norm} eps={radius} cross_entropy, 3 steps of 0.5 eps, {words}"
    )
    seed = more.get("seed", 0)
    assert cell.seed == seed
    found = attacks.pgd(
        model,
        images,
        labels,
        eps,
        norm=norm,
        steps=3,
        step_size=0.5 * eps,
        restarts=more.get("attack_restarts", 1),
        random_start=more.get("random_start", True),
        seed=seed,
    )
    assert_measured(sums, model, found, labels)


def test_what_a_report_says_of_attacks(model, data, tmp_path):
    options = {
        **PGD,
        "suites": ("fgsm", "pgd"),
        "attack_losses": ("cross_entropy", "log_odds"),
        "output_dir": tmp_path,
    }
    results = run(model, data, **options)
    sections = results.report.as_dict()["sections"]
    for name in ("fgsm", "pgd"):
        section = sections[name]
        assert (section["n"], section["source"]) == (N, "generated")
        assert "attacked in pixel space, seed 0" in section["origin"]
        exact, note = section["notes"][-2:]
        assert "normalisation included" in exact
        assert "weaker than log_odds" in note
        for setting, cell in section["cells"].items():
            figure = section["figures"][f"accuracy[{setting}]"]
            assert cell["accuracy"] == figure
    assert any("assumption" in note for note in sections["fgsm"]["notes"])
    again = run(model, data, **options)
    assert again.computed == 0
    assert without_seconds(again) == without_seconds(results)
    more = {**options, "eps": ("2/255",), "attack_losses": ("log_odds",)}
    more = run(model, data, **more)
    assert more.computed == 2
    notes = more.report.as_dict()["sections"]["fgsm"]["notes"]
    assert not any("weaker" in note for note in notes)


def test_a_part_of_the_images(model, data):
    split = nm.data.ArraySplit(data.test.images, data.test.labels)
    part = type(data)(**{**vars(data), "test": split})
    few = run(model, part, suites=("fgsm",), examples=9)
    (cell, sums), *_ = few.records.items()
    assert (cell.n, sums["available"]) == (9, N)
    assert few.report.sections[0].origin.startswith("9 of 23 images per cell")
    chosen = nm.data.subset.balanced_indices(data.test.labels, 9, 3)
    images, labels = data.test.images[chosen], data.test.labels[chosen]
    found = attacks.fgsm(model, images, labels, 4 / 255)
    assert_measured(sums, model, found, labels)


class Spy(keras.layers.Layer):
    """Counts how often it is traced."""

    calls = 0

    def call(self, x):
        Spy.calls += 1
        return x


def test_radii_share_one_compilation(data):
    traces = []
    for eps in (("1/255",), ("1/255", "2/255", "4/255")):
        inputs = keras.Input([SIDE, SIDE, 3])
        x = keras.layers.GlobalAveragePooling2D()(Spy()(inputs))
        spied = keras.Model(inputs, keras.layers.Dense(3)(x))
        Spy.calls = 0
        # Batches of 8, 8 and 7: the last one is filled up.
        run(spied, data, **{**PGD, "suites": ("fgsm", "pgd"), "eps": eps})
        traces.append(Spy.calls)
    assert traces[0] == traces[1]


# PGD at 4/255 leaves no image right, long before its tenth step.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "levels"), [("fgsm", (1, 2, 4, 8)), ("pgd", (1, 2))]
)
def test_oracle_accuracies(
    full_golden, cifar10_test, trained_resnet20, suite, levels
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
    expected = full_golden("attacks_accuracy.json")
    name = {"fgsm": "fgsm", "pgd": "pgd10"}[suite]
    for (cell, sums), level in zip(
        results.records.items(), levels, strict=True
    ):
        assert f"eps={level}/255 " in cell.setting
        wanted = expected[f"{name}_eps{level}"]
        assert sums["correct"] / 1000 == pytest.approx(wanted["acc"], abs=0.003)
        mean = sums["nll_sum"] / 1000
        assert mean == pytest.approx(wanted["ce"], rel=0.005)


@pytest.mark.slow
def test_log_odds_find_what_rounding_hides(cifar10_test, trained_resnet20):
    """Of sure images float32's cross-entropy gives no useful gradient."""
    data = dataset(num_classes=10)
    data.test = SizedTest(*(array[:500] for array in cifar10_test))
    results = run(trained_resnet20, data, suites=("fgsm",), batch_size=250)
    plain, exact = (sums["correct"] for sums in results.records.values())
    assert exact < 0.9 * plain
