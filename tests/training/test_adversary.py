"""Adversarial training: the attack in a train step, and its options."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import attacks, config, options, rng
from noisymix_tf.attacks import FastAdversary, PGDAdversary
from noisymix_tf.mixing import PuzzleMix
from noisymix_tf.registry import Registry
from noisymix_tf.training import setup, step
from support import small_trainer
from support.fit_models import QUIET, two_replicas
from support.small_trainer import SIDE, K
from support.usage import assert_usage_error

B = 16
KINDS = {
    "pgd": PGDAdversary(steps=3),
    "fast": FastAdversary(),
    "l2": PGDAdversary(60.0, "l2", 3, 30.0, random_start=False, share=0.5),
}


def _classifier(**options):
    return small_trainer.classifier(dropout=0.2, **options)


def _trainer(adversary, model=None, **options):
    model = model or _classifier()
    return small_trainer.trainer(model, adversary=adversary, **options)


# Half-black, half-white images: many pixels at the limits.
VIEWS = np.random.default_rng(0).uniform(-200, 455, (B, 3, SIDE, SIDE, 3))
VIEWS = VIEWS.clip(0, 255).astype("float32")
IMAGES, LABELS = VIEWS[:, 0], np.arange(B, dtype="int32") % K
X, Y, ONE_HOT = tf.constant(IMAGES), tf.constant(LABELS), tf.one_hot(LABELS, K)


def _attacked(trainer, x=X, labels=Y):
    return step.attacked(trainer.parts(), x, labels)


def _by_evaluation(trainer, adversary, count=B, replica=0):
    """What the attack that evaluation measures with finds."""
    key = rng.stream(trainer.seed, trainer.step, "adversary", replica)
    step_size = adversary.step_size or adversary.relative_step * adversary.eps
    batch = trainer.model, IMAGES[:count], LABELS[:count]
    names = "norm", "steps", "random_start"
    options = {name: getattr(adversary, name) for name in names}
    options |= {"step_size": step_size / 255, "jit_compile": False}
    options["seed"] = int(key[0]) & 0x7FFFFFFF
    return attacks.pgd(*batch, adversary.eps / 255, **options).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_trains_on_what_evaluation_would_attack_with(kind):
    """Bit by bit, before mixing and noise; in the ball and in 0..255."""
    adversary, quiet = KINDS[kind], {} if kind == "l2" else QUIET
    count = B // 2 if kind == "l2" else B

    def trainer(adversary):
        trainer = _trainer(adversary, seed=5, **quiet)
        trainer.step.assign(7)
        return trainer

    found = VIEWS.copy()
    found[:count, 0] = _by_evaluation(trainer(adversary), adversary, count)
    assert found.min() >= 0 and found.max() <= 255
    moved = (found - VIEWS).reshape(B, -1).astype("float64")
    moved = np.linalg.norm(moved, 2 if kind == "l2" else np.inf, axis=1)
    assert (moved <= adversary.eps * (1 + 1e-5)).all()
    assert (moved[:count] > 0.5 * adversary.eps).all()
    # What a step makes of a network, of these images and of the clean ones.
    ends, cases = [], [(VIEWS, adversary), (found, "none"), (VIEWS, "none")]
    for images, attack in cases:
        subject = trainer(attack)
        logs = subject.train_step((tf.constant(images), Y))
        ends.append([float(logs["loss"]), *subject.model.get_weights()])
    for ours, theirs in zip(*ends[:2], strict=True):
        assert_array_equal(ours, theirs)
    assert ends[0][0] > ends[2][0]


def test_xla_makes_the_same_attack_and_replicas_start_apart():
    adversary = PGDAdversary(steps=2, random_start=False)
    trainer = _trainer(adversary)
    attack = functools.partial(_attacked, trainer)
    found = tf.function(attack, jit_compile=True)(X, Y)
    # The sign of a slope of nearly zero is a matter of rounding.
    assert np.mean(found == _by_evaluation(trainer, adversary)) > 0.99
    strategy = two_replicas()
    with strategy.scope():
        trainer = _trainer(KINDS["fast"], seed=3, **QUIET)
    attacked = tf.function(lambda: strategy.run(_attacked, (trainer,)))
    alone = _trainer("none", seed=3)
    for replica, found in enumerate(attacked().values):
        expected = _by_evaluation(alone, KINDS["fast"], replica=replica)
        assert_array_equal(found, expected)


def test_labels_outputs_and_batches_of_other_forms_are_attacked_alike():
    trainer = _trainer(PGDAdversary(steps=2))
    expected = _attacked(trainer)
    for labels in (Y[:, None], tf.cast(Y, "float32"), 0.7 * ONE_HOT + 0.1):
        assert_array_equal(_attacked(trainer, X, labels), expected)
    loss = "sparse_categorical_crossentropy"
    model = _classifier(activation="softmax")
    found = _attacked(_trainer(PGDAdversary(steps=2), model, loss=loss))
    assert_allclose(found, expected, atol=1e-4)
    trainer = _trainer(PGDAdversary(steps=1, share=0.3, random_start=False))
    specs = tf.TensorSpec([None, SIDE, SIDE, 3]), tf.TensorSpec([None], "int32")
    attack = functools.partial(_attacked, trainer)
    attack = tf.function(attack, input_signature=specs)
    for size, count in ((16, 5), (4, 1), (1, 1)):
        images = IMAGES[:size] * 2 - 100
        found = attack(images, LABELS[:size]).numpy()
        assert found[:count].min() >= 0 and found[:count].max() <= 255
        assert np.abs((found - np.clip(images, 0, 255))[:count]).max() <= 8.1
        assert_array_equal(found[count:], images[count:])
        again = _attacked(trainer, tf.constant(images), Y[:size])
        assert_array_equal(found, again)


def test_flags_make_adversaries_with_their_options():
    def made(kind="none", **options):
        options = {f"adversary_{k}": v for k, v in options.items()}
        run = config.Config(adversary=kind, **options)
        return setup.trainer(run, _classifier(), 1)._adversary

    assert made() is None
    for kind, cls in attacks.ADVERSARIES.items():
        if cls is None:  # none
            continue
        assert type(made(kind)) is cls
        again = cls.from_config(cls().get_config())
        assert made(kind).get_config() == again.get_config()
    options = PGDAdversary(100.0, "l2", 3, 50.0, False, 0.5).get_config()
    assert made("pgd", **options).get_config() == options


def test_kinds_of_ones_own_that_have_a_flag_of_another_are_refused():
    """One that has none is in `support.own_parts`."""
    registry = Registry("adversary")

    @registry.register("brighter")
    @dataclasses.dataclass(eq=False)
    class Brighter(attacks.Adversary):
        eps: float = options.option(3.0, "By how much.")

    registry.register("pgd")(PGDAdversary)
    command = type("Command", (options.Options,), {"PARTS": (registry,)})
    words = "--adversary_eps is an option of Brighter and of PGDAdversary: give"
    assert_usage_error(lambda: options.with_parts(command), words)


def test_bad_options_and_what_cannot_be_attacked_are_refused():
    refused = assert_usage_error
    pgd = functools.partial(config.Config, adversary="pgd")
    refused(lambda: pgd(adversary_eps=8 / 255), "range give 8.")
    fast = {"adversary": "fast", "adversary_steps": 6}
    refused(lambda: config.Config(**fast), "--adversary_steps=6 does nothing")
    refused(lambda: PGDAdversary(0), "eps=0 must be greater than 0")
    refused(lambda: PGDAdversary(float("inf")), "eps=inf must be")
    refused(lambda: PGDAdversary(0.5, "l2"), "0.5 of their range give 127.5")
    refused(lambda: PGDAdversary(norm="l1"), "norm 'l1'. Known: linf, l2")
    refused(lambda: PGDAdversary(share=1.1), "share=1.1 must be above 0")
    PGDAdversary(256.0, "l2").check((SIDE, SIDE, 3))
    refused(lambda: _trainer("fgsm"), "must be one of none, pgd, fast, or")
    refused(lambda: _trainer(PGDAdversary(256.0)), "eps=256 is more than the")
    vectors = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    refused(lambda: _trainer("pgd", vectors, taps=["input"]), "has shape [7]")
    mixing = PuzzleMix(adversarial_probability=0.1)
    refused(lambda: _trainer("pgd", mixing=mixing), "attacks the images itself")
    several = _classifier(activation="sigmoid")
    several = _trainer("pgd", several, loss="binary_crossentropy")
    refused(lambda: _attacked(several, X, ONE_HOT), "yes or no to several")
    one = _trainer("pgd", _classifier(units=1), loss="mse")
    refused(lambda: _attacked(one), "gives [16, 1]")
