"""The train step: the reference's numbers, its random streams, its programs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import SGD

from noisymix_tf import models
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.fit_models import NO_NOISE, QUIET, SPARSE, B, step

VIEWS, LABELS = fit_models.batch()
IMAGES = VIEWS[:, 0]


@pytest.fixture(scope="module")
def reference(golden):
    """`(arrays, network, its weights)` of recorded steps."""
    file = golden("tiny_wrn10_1.npz")
    model = models.wide_resnet(10, 1, dropout=0.0)
    weights = {k[3:]: file[k] for k in file.files if k.startswith("w__")}
    models.load_torch_weights(model, weights)
    return file, model, model.get_weights()


@pytest.mark.parametrize("tap", range(4))
def test_loss_and_gradients_match_the_reference_at_each_tap(reference, tap):
    """A wrong tap, order of the views, share of a label, term or weight."""
    file, model, weights = reference
    model.set_weights(weights)
    plan = fit_models.Fixed(tap, file["lam"][0], file["perm"])
    trainer = NoisyMix(model, mixing=plan, **NO_NOISE)
    trainer.compile(L2SGD(1.0), SPARSE, jit_compile=False)
    images = file["images_uint8"].reshape(3, 8, 32, 32, 3)
    variables = {
        "conv1": model.get_layer("stem").kernel,
        "linear": model.get_layer("logits").kernel,
        "layer2_0_bn1_weight": model.get_layer("stage2_block1_bn1").gamma,
    }
    before = {name: v.numpy() for name, v in variables.items()}
    logs = step(trainer, images.swapaxes(0, 1), file["targets"])
    np.testing.assert_allclose(logs["loss"], file[f"loss_k{tap}"], rtol=1e-4)
    layouts = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    for name, variable in variables.items():
        expected = file[f"grad_{name}_k{tap}"]
        # With rate 1 and no momentum a step is the negative gradient. Rounding
        # flips a rectifier here and there, which moves few entries by 1e-3.
        np.testing.assert_allclose(
            before[name] - variable.numpy(),
            expected.transpose(layouts[expected.ndim]),
            atol=2e-3 * np.abs(expected).max(),
            err_msg=name,
        )


def test_without_mixing_noise_or_views_it_is_ordinary_training():
    """And so the fused normalisation is Keras' own."""
    plain = fit_models.model("plain", run_eagerly=True)
    ours = fit_models.model("noisymix", jsd_weight=0.0, **QUIET)
    for _ in range(3):
        expected = plain.train_on_batch(IMAGES, LABELS, return_dict=True)
        logs = step(ours, VIEWS[:, :1], LABELS)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(value, rel=1e-4)
    for a, b in zip(ours.model.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


class _Recorder(keras.Model):
    """A model without a graph of layers that shows what it is given."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen.append
        self.dense = keras.layers.Dense(fit_models.K)

    def call(self, x, training=False):
        if tf.executing_eagerly():
            self.seen(x.numpy())
        return self.dense(keras.ops.reshape(x / 255, [-1, 8 * 8 * 3]))


def _recorded(seen, **options):
    return fit_models.compiled("noisymix", _Recorder(seen), "input", **options)


def test_views_share_the_plan_and_not_the_noise():
    """Each view has fresh noise of its own level, and the same mixing."""

    def given(**options):
        seen = []
        trainer = _recorded(seen, **options)
        step(trainer, tf.stack([IMAGES] * 3, 1), LABELS)
        return seen[0].reshape(3, B, 8, 8, 3) - IMAGES.numpy()

    change = given(mixing="input", **NO_NOISE)
    assert change.any() and (change == change[0]).all()
    noise = given(mixing="none", noise_per_view=1)
    assert abs((noise == 0).mean() - 0.65**2) < 0.02
    pairs = np.corrcoef(noise.reshape(3, -1))[np.triu_indices(3, 1)]
    assert np.abs(pairs).max() < 0.06
    additive = {"mixing": "none", "multiplicative_noise": 0.0}
    noise = given(**additive, noise_per_view=(0, 1e-3, 1e3))
    assert not noise[0].any()
    assert 0 < np.abs(noise[1]).max() < 0.1 < 10 < np.abs(noise[2]).max()
    # Views beyond the last factor use the last.
    noise = given(**additive, noise_per_view=(0, 1))
    assert not noise[0].any() and noise[1].any() and noise[2].any()


def test_replicas_share_the_plan_and_not_the_noise():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )

    def same(**options):
        seen = []
        with strategy.scope():
            trainer = _recorded(seen, **options)
            trainer.model(IMAGES)
            trainer.optimizer.build(trainer.trainable_weights)
        seen.clear()
        strategy.run(trainer.train_step, args=((VIEWS, LABELS),))
        first, second = seen
        return (first == second).mean()

    assert same(mixing="input", **NO_NOISE) == 1.0
    assert same(mixing="none") < 0.5


@pytest.mark.parametrize("options", [NO_NOISE, {"mixing": "none"}])
def test_steps_are_functions_of_the_seed_and_of_their_number(options):
    trainer, other = (
        fit_models.model("noisymix", rate=0.0, seed=seed, **options)
        for seed in (1, 2)
    )
    first, second = (step(trainer, VIEWS, LABELS) for _ in range(2))
    assert first["loss"] != second["loss"]
    trainer.step.assign(0)
    assert step(trainer, VIEWS, LABELS) == first
    assert step(other, VIEWS, LABELS)["loss"] != first["loss"]


def test_the_whole_step_is_one_xla_program_that_levels_do_not_trace_again():
    """Equal to the eager steps; a level is no constant of the program."""
    xla, eager = (
        fit_models.model("noisymix", jit_compile=jit, optimizer=SGD(0.02))
        for jit in (True, False)
    )
    traces = []
    train_step = xla.train_step
    xla.train_step = lambda data: traces.append(1) or train_step(data)
    for trainer in (xla, eager):
        # XLA has a random generator of its own.
        trainer.alpha = trainer.additive_noise = 0.0
        trainer.multiplicative_noise = 0.0
    fit_models.fit(xla, steps_per_epoch=2)
    # A function that creates variables is traced twice.
    at_first = len(traces)
    assert at_first <= 2
    for batch in fit_models.batches("noisymix").take(2):
        step(eager, *batch)
    for a, b in zip(xla.model.get_weights(), eager.model.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)
    xla.optimizer.learning_rate = 0.0

    def logs(**levels):
        for name, value in levels.items():
            setattr(xla, name, value)
        xla.step.assign(0)
        history = fit_models.fit(xla, steps_per_epoch=1)
        return {name: values[0] for name, values in history.items()}

    silent = logs()
    heavier = logs(jsd_weight=24.0)
    assert heavier["loss"] - silent["loss"] == pytest.approx(
        12.0 * silent["jsd"], rel=1e-3
    )
    assert logs(alpha=1.0)["cross_entropy"] != silent["cross_entropy"]
    first = logs(additive_noise=0.5, jsd_weight=12.0)
    assert first["jsd"] != logs(multiplicative_noise=0.5)["jsd"]
    assert first["loss"] == pytest.approx(
        first["cross_entropy"] + 12.0 * first["jsd"], rel=1e-5
    )
    assert logs(multiplicative_noise=0.0) == first
    assert len(traces) == at_first


def test_a_level_of_zero_can_be_raised_later():
    """Its part is left out at first; raising it traces the step anew."""
    trainer = fit_models.model("noisymix", rate=0.0, jsd_weight=0.0, **QUIET)

    def jsd():
        trainer.step.assign(0)
        return fit_models.fit(trainer, steps_per_epoch=1)["jsd"][0]

    assert jsd() == 0.0
    trainer.jsd_weight = 1.0
    first = jsd()
    assert first > 0.0
    trainer.additive_noise = 3.0
    assert jsd() != first


@pytest.mark.parametrize("graph", [True, False])
def test_evaluate_and_predict_use_the_classifier_on_single_images(graph):
    model = fit_models.classifier() if graph else _Recorder([])
    trainer = fit_models.compiled("noisymix", model, "input", run_eagerly=True)
    expected = model(IMAGES, training=False)
    found = trainer.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    logs = trainer.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    assert logs["loss"] == pytest.approx(float(SPARSE(LABELS, expected)))
    if graph:
        # Of views it takes the clean one.
        np.testing.assert_array_equal(trainer(VIEWS), expected)


def test_trained_classifier_and_trainer_survive_saving(tmp_path):
    trainer = fit_models.model("noisymix", alpha=0.7, noise_per_view=2)
    step(trainer, VIEWS, LABELS)
    copies = []
    for model, name in ((trainer.model, "a.keras"), (trainer, "b.keras")):
        model.save(tmp_path / name)
        copies.append(keras.models.load_model(tmp_path / name))
        np.testing.assert_array_equal(copies[-1](IMAGES), trainer(IMAGES))
    copy = copies[1]
    assert copy.taps == ("normalize", "relu") and copy.alpha == 0.7
    assert copy.noise_per_view == (2.0,) and int(copy.step) == 1
    # Optimizer and streams go on where they were.
    assert step(copy, VIEWS, LABELS) == step(trainer, VIEWS, LABELS)
