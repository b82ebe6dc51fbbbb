"""Half precision: what stays float32, what overflows, what is skipped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, evaluation, models, serving
from noisymix_tf.callbacks import StopOnNaN, TrainingDiverged
from noisymix_tf.mixing import ManifoldMixing, MixPlan, feature_noise
from noisymix_tf.training import checkpoint, loop, precision
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models

HALF = ["mixed_bfloat16", "mixed_float16"]
QUIET = {
    "mixing": "none",
    "additive_noise": 0.0,
    "multiplicative_noise": 0.0,
}


def _trainer(policy, *extra, **options):
    with precision.dtype_policy(policy):
        classifier = fit_models.classifier(*extra)
    return _compiled(classifier, **options)


def _compiled(classifier, optimizer=None, jit_compile=False, **method):
    trainer = NoisyMix(classifier, ["normalize", "relu"], **method)
    trainer.compile(
        optimizer or keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return trainer


def _scaled(scale):
    sgd = keras.optimizers.SGD(0.02, momentum=0.9)
    return keras.optimizers.LossScaleOptimizer(sgd, initial_scale=scale)


@pytest.mark.parametrize("policy", HALF)
def test_the_trainer_takes_the_classifiers_policy(policy, tmp_path):
    before = keras.config.dtype_policy().name
    trainer = _trainer(policy)
    assert keras.config.dtype_policy().name == before
    assert trainer.dtype_policy.name == policy
    scaled = policy == "mixed_float16"
    assert precision.scales_loss(trainer.optimizer) == scaled
    # Pixels reach the first layer as they are.
    image = np.full([1, 8, 8, 3], 200.3, np.float32)
    np.testing.assert_array_equal(
        trainer(image), trainer.model(image, training=False)
    )
    trainer.model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert precision.policy_of(copy).name == policy
    np.testing.assert_array_equal(
        copy(image, training=False), trainer.model(image, training=False)
    )


@pytest.mark.parametrize("policy", ["float32", *HALF])
def test_loss_and_gradients_are_finite_at_logits_of_ten_thousand(policy):
    classifier = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(1.0, name="normalize", dtype="float32"),
            keras.layers.Dense(3, dtype=policy, name="relu", use_bias=False),
            keras.layers.Activation("linear", dtype=policy),
        ]
    )
    kernel = 1e4 * np.array([[1, -1, 0], [-1, 1, 0], [0, 1, -1], [1, 0, -1]])
    classifier.layers[1].set_weights([kernel])
    # So sure of the wrong class that the gradient is one, not more.
    trainer = _compiled(classifier, keras.optimizers.SGD(1.0), **QUIET)
    x = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]]
    views = np.stack([x, x[::-1], x[[1, 0, 3, 2]]], axis=1)
    logs = trainer.fit(views, np.array([0, 0, 1, 2]), verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    assert logs["cross_entropy"][0] == pytest.approx(1e4, rel=1e-2)
    assert 0.0 < logs["jsd"][0] < np.log(3)
    moved = classifier.layers[1].get_weights()[0] - kernel
    assert np.isfinite(moved).all() and np.abs(moved).max() < 50.0
    assert precision.policy_of(classifier).name == policy


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_mixing_and_noise_stay_in_range_and_dtype(dtype):
    x = tf.cast(tf.fill([3, 4, 5], 3e4), dtype) * tf.constant(
        [[[1], [-1], [1], [-1]]], dtype
    )
    plan = MixPlan(tf.constant(0), tf.constant(0.3), tf.constant([1, 0, 3, 2]))
    mixed = ManifoldMixing().bind(1, 1.0).mix(x, plan)
    noisy = feature_noise(x, [1, 2], [0.5] * 3, [0.5] * 3, 0.5)
    for y in (mixed, noisy):
        assert y.dtype == dtype and np.isfinite(tf.cast(y, tf.float32)).all()
    np.testing.assert_allclose(
        tf.cast(mixed, tf.float32), 0.4 * tf.cast(-x, tf.float32), rtol=2e-2
    )


def test_whole_step_compiles_with_xla_under_bfloat16():
    logs = {}
    for policy in ("float32", "mixed_bfloat16"):
        is_half = policy != "float32"
        trainer = _trainer(policy, jit_compile=is_half, ema=0.9)
        logs[policy] = fit_models.fit(trainer)
    for name, value in logs["float32"].items():
        half = logs["mixed_bfloat16"][name]
        np.testing.assert_allclose(half, value, rtol=0.1, atol=0.05)


def test_an_overflowing_gradient_skips_the_step_and_halves_the_scale():
    trainer = _trainer("mixed_float16", optimizer=_scaled(2.0**40), **QUIET)
    before = [np.asarray(v) for v in trainer.trainable_variables]
    logs = fit_models.fit(trainer, callbacks=[StopOnNaN()])
    for a, b in zip(before, trainer.trainable_variables):
        np.testing.assert_array_equal(a, b)
    assert int(trainer.step) == 4 and int(trainer.optimizer.iterations) == 0
    assert float(trainer.optimizer.dynamic_scale) == 2.0**36
    assert np.isfinite(logs["loss"]).all()
    fit_models.fit(trainer, epochs=7, callbacks=[StopOnNaN()])
    assert 0 < int(trainer.optimizer.iterations) < int(trainer.step) == 32
    assert all(np.isfinite(w).all() for w in trainer.model.get_weights())
    after = [np.asarray(v) for v in trainer.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after))


def test_a_step_that_overflows_forwards_leaves_no_trace():
    """Neither in the moving statistics nor in the mean loss of the epoch."""
    views, labels = next(iter(fit_models.batches("noisymix")))
    bad, good = [
        tf.data.Dataset.from_tensors((views * factor, labels))
        for factor in (1e30, 1.0)
    ]
    trainer = _trainer("mixed_float16", **QUIET)
    before = trainer.model.get_weights()
    trainer.fit(bad, verbose=0, callbacks=[StopOnNaN()])
    for a, b in zip(before, trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    logs = trainer.fit(bad.concatenate(good), verbose=0).history
    assert int(trainer.step) == 3 and int(trainer.optimizer.iterations) == 1
    alone = _trainer("mixed_float16", **QUIET).fit(good, verbose=0).history
    for name in ("loss", "cross_entropy", "jsd"):
        np.testing.assert_allclose(logs[name], alone[name], rtol=1e-3)


def test_training_stops_where_no_scale_helps():
    trainer = _trainer("mixed_float16", optimizer=_scaled(2.0), **QUIET)
    views, labels = next(iter(fit_models.batches("noisymix")))
    data = tf.data.Dataset.from_tensors((views * 1e30, labels)).repeat(5)
    with pytest.raises(TrainingDiverged, match=r"fell to 0\.5 by step 2"):
        trainer.fit(data, verbose=0, callbacks=[StopOnNaN()])


def test_an_overflow_on_one_replica_is_one_on_all():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        trainer = _trainer("mixed_float16", **QUIET)
    views, labels = next(iter(fit_models.batches("noisymix")))
    scale = tf.constant([1.0] * 4 + [1e30] * 4)[:, None, None, None, None]
    before = [v.numpy() for v in trainer.trainable_variables]
    for factor, iterations in ((scale, 0), (tf.ones_like(scale), 1)):
        data = tf.data.Dataset.from_tensors((views * factor, labels))
        data = data.unbatch().batch(8, drop_remainder=True)
        trainer.fit(data, verbose=0)
        assert int(trainer.optimizer.iterations.numpy()) == iterations
        after = [v.numpy() for v in trainer.trainable_variables]
        trained = any((a != b).any() for a, b in zip(before, after))
        assert trained == bool(iterations)


@pytest.mark.parametrize("policy", HALF)
def test_a_run_cut_inside_an_epoch_ends_with_the_same_weights(policy, tmp_path):
    class _Stop(Exception):
        pass

    class _StopAt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.step.numpy()) == 6:
                raise _Stop

    def run(name, *callbacks):
        # A scale so high that the first steps are skipped.
        optimizer = _scaled(2.0**36) if policy == "mixed_float16" else None
        trainer = _trainer(policy, optimizer=optimizer)
        loop.train(
            trainer,
            lambda step: fit_models.batches("noisymix", step),
            epochs=6,
            steps_per_epoch=fit_models.STEPS,
            checkpoints=checkpoint.CheckpointFolder(tmp_path / name),
            checkpoint_steps=1,
            callbacks=list(callbacks),
            verbose=0,
        )
        state = checkpoint.state_variables(trainer)
        return [np.asarray(variable) for variable in state]

    whole = run("whole")
    with pytest.raises(_Stop):
        run("cut", _StopAt())
    for a, b in zip(whole, run("cut"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", HALF)
def test_networks_in_half_precision_are_measured_attacked_and_exported(
    policy, tmp_path
):
    with precision.dtype_policy(policy):
        model = models.build("resnet20", width=0.5, num_classes=4)
    assert model.output.dtype == "float32"
    assert model.get_layer("stage1").output.dtype == policy.split("_")[1]
    images = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    labels = np.arange(8) % 4
    predict = evaluation.predictor.Predictor(model, 4, images, 8)
    assert predict.from_logits and predict(images).dtype == np.float32
    attacked = attacks.pgd(model, images, labels, eps=8 / 255, steps=3)
    before = keras.losses.sparse_categorical_crossentropy(
        labels, predict(images), from_logits=True
    )
    after = keras.losses.sparse_categorical_crossentropy(
        labels, model(np.float32(attacked), training=False), from_logits=True
    )
    assert np.mean(after) > np.mean(before)
    exported = serving.export(model, tmp_path / "serving", fresh_process=False)
    assert exported.max_abs_difference <= 1e-5
