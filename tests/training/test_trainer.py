"""The train step: the reference's numbers, random streams, programs, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import SGD

from noisymix_tf import models
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.fit_models import NO_NOISE, QUIET, SPARSE, B, classifier, step
from support.usage import assert_usage_error

VIEWS, LABELS = fit_models.batch()
IMAGES = VIEWS[:, 0]


def test_loss_and_gradients_match_the_reference_at_each_tap(golden):
    """A wrong tap, order of the views, share of a label, term or weight."""
    file = golden("tiny_wrn10_1.npz")
    model = models.wide_resnet(10, 1, dropout=0.0)
    weights = {k[3:]: file[k] for k in file.files if k.startswith("w__")}
    images = file["images_uint8"].reshape(3, 8, 32, 32, 3)
    variables = {
        "conv1": model.get_layer("stem").kernel,
        "linear": model.get_layer("logits").kernel,
        "layer2_0_bn1_weight": model.get_layer("stage2_block1_bn1").gamma,
    }
    layouts = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    for tap in range(4):
        models.load_torch_weights(model, weights)
        plan = fit_models.Fixed(tap, file["lam"][0], file["perm"])
        trainer = NoisyMix(model, mixing=plan, **NO_NOISE)
        trainer.compile(L2SGD(1.0), SPARSE, jit_compile=False)
        before = {name: v.numpy() for name, v in variables.items()}
        logs = step(trainer, images.swapaxes(0, 1), file["targets"])
        np.testing.assert_allclose(logs["loss"], file[f"loss_k{tap}"], 1e-4)
        for name, variable in variables.items():
            # With rate 1 and no momentum a step is the negative gradient.
            found = before[name] - variable.numpy()
            expected = file[f"grad_{name}_k{tap}"]
            expected = expected.transpose(layouts[expected.ndim])
            # Rounding flips a rectifier here and there: 1e-3 of few entries.
            atol = 2e-3 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, atol=atol)


def test_without_mixing_noise_or_views_it_is_ordinary_training():
    """And so the fused normalisation is Keras' own."""
    plain = fit_models.model("plain", run_eagerly=True)
    ours = fit_models.model("noisymix", jsd_weight=0.0, **QUIET)
    for _ in range(3):
        expected = plain.train_on_batch(IMAGES, LABELS, return_dict=True)
        logs = step(ours, VIEWS[:, :1], LABELS)
        logs = {name: logs[name] for name in expected}
        assert logs == pytest.approx(expected, rel=1e-4)
    for a, b in zip(ours.model.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def _recorder(**options):
    network = fit_models.Subclassed()
    trainer = fit_models.compiled("noisymix", network, "input", **options)
    return trainer, network.seen


def test_views_share_the_plan_and_not_the_noise():
    """Each view has fresh noise of its own level, and the same mixing."""

    def given(**options):
        trainer, seen = _recorder(**options)
        step(trainer, tf.stack([IMAGES] * 3, 1), LABELS)
        return seen[0].numpy().reshape(3, B, 8, 8, 3) - IMAGES.numpy()

    change = given(mixing="input", **NO_NOISE)
    assert change.any() and (change == change[0]).all()
    noise = given(mixing="none", noise_per_view=1)
    assert abs((noise == 0).mean() - 0.65**2) < 0.02
    pairs = np.corrcoef(noise.reshape(3, -1))[np.triu_indices(3, 1)]
    assert np.abs(pairs).max() < 0.06
    additive = {"mixing": "none", "multiplicative_noise": 0.0}
    low, mid, high = np.abs(given(**additive, noise_per_view=(0, 1e-3, 1e3)))
    assert not low.any() and 0 < mid.max() < 0.1 < 10 < high.max()
    # Views beyond the last factor use the last.
    noise = given(**additive, noise_per_view=(0, 1)).any(axis=(1, 2, 3, 4))
    assert list(noise) == [False, True, True]


def test_replicas_share_the_plan_and_not_the_noise():
    strategy = fit_models.two_replicas()

    def same(**options):
        with strategy.scope():
            trainer, seen = _recorder(**options)
            trainer.model(IMAGES)
            trainer.optimizer.build(trainer.trainable_weights)
        seen.clear()
        strategy.run(trainer.train_step, args=((VIEWS, LABELS),))
        return np.mean(seen[0] == seen[1])

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

    silent, heavier = logs(), logs(jsd_weight=24.0)
    gain = 12.0 * silent["jsd"]
    assert heavier["loss"] - silent["loss"] == pytest.approx(gain, rel=1e-3)
    heavier = logs(jsd_weight=24.0)
    assert heavier["loss"] - silent["loss"] == pytest.approx(
        12.0 * silent["jsd"], rel=1e-3
    )
    assert logs(alpha=1.0)["cross_entropy"] != silent["cross_entropy"]
    first = logs(additive_noise=0.5, jsd_weight=12.0)
    assert first["jsd"] != logs(multiplicative_noise=0.5)["jsd"]
    total = first["cross_entropy"] + 12.0 * first["jsd"]
    assert first["loss"] == pytest.approx(total, rel=1e-5)
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
    model = classifier() if graph else fit_models.Subclassed()
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
    for model in (trainer.model, trainer):
        model.save(tmp_path / "saved.keras")
        copy = keras.models.load_model(tmp_path / "saved.keras")
        np.testing.assert_array_equal(copy(IMAGES), trainer(IMAGES))
    assert copy.taps == ("normalize", "relu") and copy.alpha == 0.7
    assert copy.noise_per_view == (2.0,) and int(copy.step) == 1
    # Optimizer and streams go on where they were.
    assert step(copy, VIEWS, LABELS) == step(trainer, VIEWS, LABELS)


def _traced(*shape):
    """Cut at its taps, the model would train on images of any size."""
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    trainer = fit_models.compiled("noisymix", model, ["input", "conv"])
    step = tf.function(trainer.train_step, autograph=False)
    labels = tf.TensorSpec([2], tf.int32)
    return step.get_concrete_function((tf.TensorSpec(shape), labels))


def test_bad_arguments_name_the_value():
    nan, network, form = float("nan"), classifier(), "must be numbers of at"
    for arguments, words in (
        ({"alpha": -1.0}, "alpha=-1.0 must be a number at least 0"),
        ({"multiplicative_noise": nan}, "multiplicative_noise=nan must be"),
        ({"noise_sparsity": 1.5}, "noise_sparsity=1.5 must be a number in [0"),
        ({"stability": "l2"}, "'l2'"),
        # These trained, and failed later or never.
        ({"noise_per_view": (nan, 1)}, f"noise_per_view=(nan, 1) {form}"),
        ({"noise_per_view": (1, -1)}, f"noise_per_view=(1, -1) {form}"),
        ({"noise_per_view": ()}, f"noise_per_view=() {form}"),
        ({"noise_per_view": None}, f"noise_per_view=None {form}"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number of at most 32 bits"),
        ({"seed": 2**32}, "seed=4294967296 must be a whole number"),
        ({"seed": -(2**31) - 1}, "seed=-2147483649 must be a whole number"),
        # Such were AttributeErrors, or trained a trainer.
        ({"model": keras.Model}, "Model'>: build or load one first"),
        ({"model": NoisyMix(network)}, "attribute model"),
    ):
        given = {"model": network} | arguments
        assert_usage_error(lambda given=given: NoisyMix(**given), words)
    other = "but the model takes [8, 8, 3]: give it views of that shape"
    for shape, words in (
        ((2, 3, 16, 16, 3), other),
        ((2, 16, 16, 3), other),
        ((2, 3), other),
        ((2, None, 8, 8, 3), "do not say how many views an image has"),
    ):
        assert_usage_error(lambda shape=shape: _traced(*shape), words)


def test_factors_may_be_ints_or_one_number_and_seeds_have_a_sign():
    """Ints were a TypeError in the first step, one number at once."""
    for given, factors in (((1, 2), (1, 2)), (2, (2,)), (np.ones(1), (1,))):
        trainer = fit_models.model("noisymix", noise_per_view=given)
        assert trainer.noise_per_view == factors
        step(trainer, VIEWS, LABELS)
    for seed in (-(2**31), 2**32 - 1, np.int64(3)):
        assert NoisyMix(classifier(), seed=seed).seed == seed
