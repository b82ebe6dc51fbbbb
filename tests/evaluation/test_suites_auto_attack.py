"""Suite autoattack: its cells, with the attack itself replaced."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, evaluation
from noisymix_tf.attacks import autoattack
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.suites import auto_attack
from support.evaluation_toys import brightness_model, dataset, run


def test_cells_hold_what_the_attack_leaves(monkeypatch):
    calls = []

    def darken(model, images, labels, eps, **options):
        calls.append((len(images), round(eps * 255), options))
        return tf.constant(np.maximum(images - 255.0 * eps, 0.0))

    monkeypatch.setattr(attacks, "auto_attack", darken)
    monkeypatch.setattr(auto_attack, "require_packages", lambda: None)
    data = dataset(num_classes=4)
    results = evaluation.evaluate(
        brightness_model(4),
        data,
        suites=("autoattack",),
        eps=("1/255", "80/255"),
        batch_size=8,
        seed=3,
        progress=None,
    )
    weak, strong = [
        results.figures[f"autoattack/accuracy[{cell.setting}]"]
        for cell in results.planned
    ]
    assert weak == 1.0
    # 20, 87, 153 and 220 become 0, 7, 73 and 140: only the darkest stays.
    assert strong == pytest.approx((data.test.labels == 0).mean())
    assert [call[0] for call in calls] == [8, 8, 7] * 2
    assert {call[1] for call in calls} == {1, 80}
    options = {"norm": "linf", "seed": 3, "batch_size": 8, "from_logits": True}
    assert calls[0][2] == options
    assert "batches of 8" in results.planned[0].setting


@pytest.mark.skipif(
    importlib.util.find_spec("pyautoattack") is not None,
    reason="the package is installed",
)
def test_a_missing_package_is_told_before_anything_is_measured():
    with pytest.raises(UsageError, match=r"noisymix_tf\[autoattack\]"):
        evaluation.check_selection(("autoattack",), dataset())
    with pytest.raises(UsageError, match=r"noisymix_tf\[autoattack\]"):
        evaluation.evaluate(
            brightness_model(), dataset(), suites=("autoattack",)
        )
    assert autoattack.VERSIONS.get("standard")[0] == "apgd-ce"


def test_too_few_classes_are_told_before_anything_is_measured(monkeypatch):
    """One of its attacks needs four; the others had been measured by then."""
    monkeypatch.setattr(auto_attack, "require_packages", lambda: None)
    calls = []
    for measure in (
        lambda: evaluation.check_selection(("autoattack",), dataset()),
        lambda: run(
            suites=("clean", "autoattack"),
            progress=lambda *call: calls.append(call),
        ),
    ):
        with pytest.raises(UsageError, match="at least 4 classes, flat has 3"):
            measure()
    assert not calls
