"""Suites of attacks: what the attacks find when they are called by hand."""

import itertools
import sys
import unittest.mock

import pytest
import tensorflow as tf

from noisymix_tf import attacks, evaluation
from noisymix_tf.evaluation import metrics, replicas
from noisymix_tf.evaluation.suites import auto_attack
from support import evaluation_toys as toys
from support.usage import assert_usage_error

N = 23
PGD = dict(eps=("1/255",), l2_eps=(0.2,), batch_size=7)
PGD |= dict(attack_steps=3, attack_step_size=0.5)
LOSSES = ("cross_entropy", "log_odds")
LOG_ODDS = {"restarts": 3, "seed": 7, "loss": "log_odds"}
MODEL = toys.random_model()
DATA = toys.self_labelled(MODEL)
IMAGES, LABELS = DATA.test.images, DATA.test.labels
LABELS[::10] = (LABELS[::10] + 1) % 3  # Some are wrong.


def assert_measured(sums, found):
    tally = metrics.tally(MODEL.predict(found, verbose=0), LABELS)
    assert sums["correct"] == tally.correct
    assert sums["nll_sum"] == pytest.approx(tally.nll_sum, rel=1e-4)


def test_fgsm_cells(monkeypatch):
    """Every radius with every loss, in one compilation; of softmax, too."""
    radii = {0.5 / 255: "0.00196078", 4 / 255: "4/255"}
    options = dict(suites=("fgsm",), batch_size=7, eps=(0.5 / 255, "4/255"))
    results = toys.run(MODEL, DATA, **options)
    records = results.records
    cases = itertools.product(radii, LOSSES)
    for (cell, sums), (eps, loss) in zip(records.items(), cases, strict=True):
        assert cell.setting == f"linf eps={radii[eps]} {loss}"
        assert (cell.n, cell.source, cell.seed) == (N, "generated", 0)
        found = attacks.fgsm(MODEL, IMAGES, LABELS, eps, loss=loss)
        assert_measured(sums, found)
    correct = [sums["correct"] for sums in records.values()]
    assert 0.85 * N > correct[0] > correct[2]
    softmax = toys.random_model(softmax=True)
    softmax.set_weights(MODEL.get_weights())
    compile_one = replicas.Replicas.compile
    spy = unittest.mock.create_autospec(compile_one, side_effect=compile_one)
    monkeypatch.setattr(replicas.Replicas, "compile", spy)
    hidden = toys.run(softmax, DATA, **options).records.values()
    assert [sums["correct"] for sums in hidden] == correct
    # The first one is the model; radii and the last batch trace nothing more.
    compiled = [call.args[1] for call in spy.call_args_list[1:]]
    traces = [f.experimental_get_tracing_count() for f in compiled]
    assert traces == [1, 1]
    section = results.report.as_dict()["sections"]["fgsm"]
    assert "weaker than log_odds" in section["notes"][-1]
    for setting, cell in section["cells"].items():
        assert cell["accuracy"] == section["figures"][f"accuracy[{setting}]"]


@pytest.mark.parametrize(
    ("norm", "eps", "more", "words"),
    [
        ("linf", 1 / 255, {}, "random start, 1 search"),
        ("l2", 0.2, {"random_start": False}, "no random start, 1 search"),
        ("l2", 0.2, LOG_ODDS, "random start, 3 searches"),
    ],
)
def test_pgd_cells(norm, eps, more, words):
    """A random start belongs to the image, not to its place in a batch."""
    loss = more.get("loss", "cross_entropy")
    own = {k.replace("restarts", "attack_restarts"): v for k, v in more.items()}
    own |= dict(suites=("pgd",), norms=(norm,), attack_losses=(loss,))
    own.pop("loss", None)
    results = toys.run(MODEL, DATA, **PGD, **own)
    ((cell, sums),) = results.records.items()
    radius = {"linf": "1/255", "l2": "0.2"}[norm]
    attack = f"{norm} eps={radius} {loss}, 3 steps of 0.5 eps"
    assert cell.setting == f"{attack}, {words}"
    assert cell.seed == more.get("seed", 0)
    more = {"norm": norm, "steps": 3, "step_size": 0.5 * eps, **more}
    found = attacks.pgd(MODEL, IMAGES, LABELS, eps, **more)
    assert_measured(sums, found)
    notes = str(results.report.sections[0].notes)
    assert ("weaker than log_odds" in notes) == (loss == "cross_entropy")


def test_auto_attack_and_what_it_lacks_is_told_first(monkeypatch):
    """A package; or classes: the other suites had been measured by then."""
    calls, suites = [], ("clean", "autoattack")
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    call = lambda: evaluation.check_selection(suites, toys.dataset())  # noqa: E731
    assert_usage_error(call, "noisymix_tf[autoattack]")
    monkeypatch.setattr(auto_attack, "require_packages", lambda: None)
    options = {"suites": suites, "progress": lambda *call: calls.append(call)}
    words = "at least 4 classes, flat has 3"
    assert_usage_error(lambda: toys.run(**options), words)
    assert not calls

    def darken(model, images, labels, eps, **options):
        calls.append((len(images), round(eps * 255), options))
        return tf.maximum(tf.cast(images, tf.float32) - 255.0 * eps, 0.0)

    monkeypatch.setattr(attacks, "auto_attack", darken)
    data = toys.dataset(num_classes=4)
    options = dict(suites=("autoattack",), eps=("1/255", "80/255"), seed=3)
    results = toys.run(toys.brightness_model(4), data, **options)
    weak, strong = (sums["correct"] for sums in results.records.values())
    # 20, 87, 153 and 220 become 0, 7, 73 and 140: only the darkest stays.
    assert (weak, strong) == (N, (data.test.labels == 0).sum())
    own = {"norm": "linf", "seed": 3, "batch_size": 8, "from_logits": True}
    wanted = itertools.product((1, 80), (8, 8, 7))
    assert calls == [(n, level, own) for level, n in wanted]
    assert "batches of 8" in results.planned[0].setting
