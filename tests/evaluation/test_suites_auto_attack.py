"""Suite autoattack: its cells, with the attack itself replaced."""

import sys

import pytest
import tensorflow as tf

from noisymix_tf import attacks, evaluation
from noisymix_tf.evaluation.suites import auto_attack
from support.evaluation_toys import brightness_model, dataset, run
from support.usage import assert_usage_error


def test_cells_hold_what_the_attack_leaves(monkeypatch):
    calls = []

    def darken(model, images, labels, eps, **options):
        calls.append((len(images), round(eps * 255), options))
        return tf.maximum(tf.cast(images, tf.float32) - 255.0 * eps, 0.0)

    monkeypatch.setattr(attacks, "auto_attack", darken)
    monkeypatch.setattr(auto_attack, "require_packages", lambda: None)
    data = dataset(num_classes=4)
    options = {"suites": ("autoattack",), "eps": ("1/255", "80/255"), "seed": 3}
    results = run(brightness_model(4), data, **options)
    weak, strong = (
        results.figures[f"autoattack/accuracy[{cell.setting}]"]
        for cell in results.planned
    )
    assert weak == 1.0
    # 20, 87, 153 and 220 become 0, 7, 73 and 140: only the darkest stays.
    assert strong == pytest.approx((data.test.labels == 0).mean())
    assert [call[0] for call in calls] == [8, 8, 7] * 2
    assert [call[1] for call in calls] == [1] * 3 + [80] * 3
    options = {"norm": "linf", "seed": 3, "batch_size": 8, "from_logits": True}
    assert calls[0][2] == options
    assert "batches of 8" in results.planned[0].setting


def test_what_it_lacks_is_told_before_anything_is_measured(monkeypatch):
    """A package; or classes: the other suites had been measured by then."""
    calls = []

    def measure():
        progress = lambda *call: calls.append(call)  # noqa: E731
        run(suites=("clean", "autoattack"), progress=progress)

    words = "noisymix_tf[autoattack]"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyautoattack", None)
        selection = ("autoattack",), dataset()
        assert_usage_error(
            lambda: evaluation.check_selection(*selection), words
        )
        assert_usage_error(measure, words)
    monkeypatch.setattr(auto_attack, "require_packages", lambda: None)
    assert_usage_error(measure, "at least 4 classes, flat has 3")
    assert not calls
