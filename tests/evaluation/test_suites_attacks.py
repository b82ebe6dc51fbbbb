"""Suites of attacks: what the attacks find when they are called by hand."""

import itertools
import sys
import unittest.mock

import pytest
import tensorflow as tf

from noisymix_tf import attacks, distribution, evaluation
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.suites import attacks as suites_attacks
from support import evaluation_toys as toys
from support.usage import assert_usage_error

PGD = dict(suites=("pgd",), batch_size=7)
PGD |= dict(attack_steps=3, attack_step_size=0.5)
LOSSES = ("cross_entropy", "log_odds")
LOG_ODDS = {"restarts": 3, "seed": 7, "loss": "log_odds"}
MODEL = toys.random_model()
DATA = toys.self_labelled(MODEL)
IMAGES, LABELS = DATA.test.images, DATA.test.labels
LABELS[::10] = (LABELS[::10] + 1) % 3  # Some are wrong.


def assert_measured(scores, found):
    wanted = ImageScores.of(MODEL.predict(found, verbose=0), LABELS)
    assert scores.rows["right"].tolist() == wanted["right"].tolist()
    assert scores.rows["nll"] == pytest.approx(wanted["nll"], rel=1e-3)


def test_fgsm_cells(monkeypatch):
    radii = {0.5 / 255: "0.00196078", 4 / 255: "4/255"}
    options = dict(suites=("fgsm",), batch_size=7, eps=(0.5 / 255, "4/255"))
    measured = toys.run(MODEL, DATA, **options).scores
    cases = itertools.product(radii, LOSSES)
    for (cell, own), (eps, loss) in zip(measured.items(), cases, strict=True):
        assert cell.setting == f"linf eps={radii[eps]} {loss}"
        assert (cell.n, cell.source, cell.seed) == (23, "generated", 0)
        found = attacks.fgsm(MODEL, IMAGES, LABELS, eps, loss=loss)
        assert_measured(own, found)
    right = [own.rows["right"].sum() for own in measured.values()]
    assert 0.85 * 23 > right[0] > right[2]
    softmax = toys.random_model(softmax=True)
    softmax.set_weights(MODEL.get_weights())
    compile_one = distribution.Replicas.compile
    spy = unittest.mock.create_autospec(compile_one, side_effect=compile_one)
    monkeypatch.setattr(distribution.Replicas, "compile", spy)
    hidden = toys.run(softmax, DATA, **options).scores.values()
    assert [own.rows["right"].sum() for own in hidden] == right
    # The first one is the model; radii and the last batch trace nothing more.
    compiled = [call.args[1] for call in spy.call_args_list[1:]]
    traces = [f.experimental_get_tracing_count() for f in compiled]
    assert traces == [1, 1]


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
    own |= {"norms": (norm,), "attack_losses": (own.pop("loss", loss),)}
    own["eps" if norm == "linf" else "l2_eps"] = (eps,)
    (task,) = evaluation.plan(None, DATA, **PGD, **own).tasks
    assert task.passes == 1 + 3 * 3 * more.get("restarts", 1)
    results = toys.run(MODEL, DATA, **PGD, **own)
    ((cell, scores),) = results.scores.items()
    radius = {"linf": "1/255", "l2": "0.2"}[norm]
    attack = f"{norm} eps={radius} {loss}, 3 steps of 0.5 eps"
    assert cell.setting == f"{attack}, {words}"
    assert cell.seed == more.get("seed", 0)
    more = {"norm": norm, "steps": 3, "step_size": 0.5 * eps, **more}
    assert_measured(scores, attacks.pgd(MODEL, IMAGES, LABELS, eps, **more))
    notes = str(results.report.sections[0].notes)
    assert ("weaker than log_odds" in notes) == (loss == "cross_entropy")


def test_auto_attack_and_what_it_lacks_is_told_first(monkeypatch):
    """A package; or classes: the other suites had been measured by then."""
    calls, options = [], {"suites": ("clean", "autoattack")}
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    call = lambda: evaluation.plan(None, toys.dataset(), **options)  # noqa: E731
    assert_usage_error(call, "noisymix_tf[autoattack]")
    monkeypatch.setattr(suites_attacks, "require_packages", lambda: None)
    assert_usage_error(call, "at least 4 classes, flat has 3")

    def darken(model, images, labels, eps, **options):
        calls.append((len(images), round(eps * 255), options))
        return tf.maximum(tf.cast(images, tf.float32) - 255.0 * eps, 0.0)

    monkeypatch.setattr(attacks, "auto_attack", darken)
    data = toys.dataset(num_classes=4)
    options = dict(suites=("autoattack",), eps=("1/255", "80/255"), seed=3)
    scores = toys.run(toys.brightness_model(4), data, **options).scores
    weak, strong = (own.rows["right"].sum() for own in scores.values())
    # 20, 87, 153 and 220 become 0, 7, 73 and 140: only the darkest stays.
    assert (weak, strong) == (23, (data.test.labels == 0).sum())
    own = {"norm": "linf", "seed": 3, "batch_size": 8, "from_logits": True}
    wanted = itertools.product((8, 8, 7), (1, 80))
    assert calls == [(n, level, own) for n, level in wanted]
    assert "batches of 8" in next(iter(scores)).setting
