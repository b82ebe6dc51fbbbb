"""Two replicas on one machine against one device, in whole training runs."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, data, distribution, models
from noisymix_tf.mixing import MixPlan
from noisymix_tf.training import checkpoint, replica_draws, replica_state
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix
from support.fresh_models import assert_equal
from support.usage import assert_usage_error

STEPS = 4
QUIET = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
# Batches of 8, and three views.
VIEWS = tf.random.stateless_uniform([STEPS, 8, 3, 8, 8, 3], [1, 2], 0, 255)
LABELS = tf.random.stateless_uniform([STEPS, 8], [3, 4], 0, 5, tf.int32)


@pytest.fixture(scope="module")
def two():
    return distribution.strategy("mirrored")


def _network(norm=None, dropout=0.0):
    """Without statistics of the batch, or with normalisation over it."""
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(x)
    init = keras.initializers.HeNormal(seed=1)
    x = keras.layers.Conv2D(4, 3, kernel_initializer=init)(x)
    if norm is not None:
        x = keras.layers.BatchNormalization(momentum=0.5, synchronized=norm)(x)
    x = keras.layers.ReLU(name="stage")(x)
    x = keras.layers.Dropout(dropout, seed=1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    init = keras.initializers.GlorotUniform(seed=7)
    return keras.Model(
        inputs, keras.layers.Dense(5, kernel_initializer=init)(x)
    )


def _trainer(strategy, network, **options):
    with distribution.scope(strategy):
        trainer = NoisyMix(network(), seed=3, **options)
        trainer.compile(
            optimizer=L2SGD(0.05, momentum=0.9, nesterov=True, l2=5e-4),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        )
    return trainer


def _fit(trainer, steps=slice(STEPS), views=3):
    parts = VIEWS[steps, :, :views], LABELS[steps]
    parts = tf.data.Dataset.from_tensor_slices(parts)
    parts = data.distribute(trainer.distribute_strategy, lambda _: parts)
    return trainer.fit(parts, shuffle=False, verbose=0).history


def _state(trainer):
    variables = checkpoint.state_variables(trainer)
    return [np.asarray(variable).copy() for variable in variables]


class _InHalves:
    """Mixing on one device as on two: partners in the own half."""

    hidden = True
    per_example = False

    def __init__(self, mixing):
        self.mix = mixing.mix
        self._plan = mixing.plan

    def plan(self, seed, batch_size):
        half = batch_size // 2
        plan = self._plan(seed, half)
        both = tf.concat([plan.permutation, plan.permutation + half], 0)
        return MixPlan(plan.tap, plan.lam, both)

    def settle(self, plan, clean):
        return plan


def test_two_replicas_train_as_one_device_with_mixing(two):
    options = {"taps": ("normalize", "stage"), **QUIET}
    one = _trainer(None, _network, **options)
    # Replaced for the test: on two devices partners are those of a replica.
    one._mixing = _InHalves(one._mixing)
    both = _trainer(two, _network, **options)
    logs, both_logs = _fit(one), _fit(both)
    for a, b in zip(one.model.get_weights(), both.model.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-6)
    assert both_logs.keys() == logs.keys()
    for name, values in logs.items():
        assert both_logs[name] == pytest.approx(values, rel=1e-4), name
    assert int(both.step.numpy()) == STEPS


def test_synchronized_statistics_are_those_of_the_whole_batch(two):
    options = {"mixing": "none", "jsd_weight": 0.0, **QUIET}
    one = _trainer(None, functools.partial(_network, False), **options)
    both = _trainer(two, functools.partial(_network, True), **options)
    for trainer in (one, both):
        _fit(trainer, slice(2), views=1)
    for a, b in zip(one.model.get_weights(), both.model.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)
    model = models.build("resnet20", width=0.25, sync_batch_norm=True)
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, kind)]
    assert norms and all(layer.synchronized for layer in norms)


def test_replicas_drop_different_units(two):
    """And one device those that Keras drops."""
    with two.scope():
        layer = keras.layers.Dropout(0.5, seed=1)

    @tf.function
    def masks():
        def replica():
            with replica_draws.distinct(layer):
                return layer(tf.ones([1000]), training=True)

        return two.run(replica)

    first, second = (m.numpy() > 0 for m in masks().values)
    assert 0.4 < np.mean(first != second) < 0.6
    again, _ = (m.numpy() > 0 for m in masks().values)
    assert 0.4 < np.mean(first != again) < 0.6
    assert "next" not in vars(layer.seed_generator)  # Nothing is left behind.
    a, b = (keras.layers.Dropout(0.5, seed=1) for _ in range(2))
    with replica_draws.distinct(a):
        x = a(tf.ones([100]), training=True)
    np.testing.assert_array_equal(x, b(tf.ones([100]), training=True))


def test_a_run_goes_on_from_a_checkpoint(two, tmp_path):
    """On as many devices bit for bit; also on others."""
    options = {"mixing": "none", "jsd_weight": 0.0}
    network = functools.partial(_network, True, dropout=0.1)
    both, one = (_trainer(s, network, **options) for s in (two, None))
    start = _state(both)
    _fit(both, slice(2), views=1)
    folder = CheckpointFolder(tmp_path)
    folder.save(both, 2)
    middle = _state(both)
    _fit(both, slice(2, STEPS), views=1)
    whole = _state(both)
    checkpoint.assign(checkpoint.state_variables(both), start)
    assert folder.restore(both)[0] == folder.restore(one)[0] == 2
    assert_equal(_state(both), middle)
    assert_equal(_state(one), middle)
    for trainer in (both, one):
        _fit(trainer, slice(2, STEPS), views=1)
        assert int(trainer.step.numpy()) == STEPS
    assert_equal(_state(both), whole)
    CheckpointFolder(tmp_path / "one").save(one, STEPS)
    assert CheckpointFolder(tmp_path / "one").restore(both)[0] == STEPS
    assert_equal(_state(one), _state(both))


@pytest.mark.parametrize(
    "options",
    [
        {"mixing": "none", "adversary": attacks.PGDAdversary(steps=1)},
        pytest.param({"mixing": "puzzlemix"}, marks=pytest.mark.slow),
    ],
    ids=["adversary", "puzzlemix"],
)
def test_a_run_goes_on_where_moving_statistics_are_used(two, options):
    """Each replica would use its own, a checkpoint hold those of the first,
    and a measurement of averages give these to all."""
    options = {"jsd_weight": 0.0, "ema": 0.5, **QUIET, **options}
    network = functools.partial(_network, False)
    trainer = _trainer(two, network, taps="normalize", **options)
    variables, start = checkpoint.state_variables(trainer), _state(trainer)
    _fit(trainer, views=1)
    whole = _state(trainer)
    checkpoint.assign(variables, start)
    _fit(trainer, slice(2), views=1)
    saved = _state(trainer)
    with trainer.evaluation_weights():
        pass
    for _ in range(2):
        _fit(trainer, slice(2, STEPS), views=1)
        assert_equal(_state(trainer), whole)
        checkpoint.assign(variables, saved)


def test_replicas_share_their_statistics_and_leave_the_rest(two):
    """Frozen layers and constants keep every bit, whatever their number."""
    with two.scope():
        norm, frozen = (keras.layers.BatchNormalization() for _ in range(2))
        constant = keras.layers.Normalization(mean=0.1, variance=0.3)
        model = keras.Sequential([keras.Input((3,)), norm, frozen, constant])
        frozen.trainable = False
        fixed = [w.copy() for w in frozen.get_weights()]

    @tf.function
    def step():
        def replica():
            context = tf.distribute.get_replica_context()
            x = tf.cast(context.replica_id_in_sync_group, tf.float32)
            with replica_state.in_common(model):
                model(tf.fill([4, 3], 1.0 + 2.0 * x), training=True)

        two.run(replica)

    step()
    first, second = norm.moving_mean.value.values
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, [0.02] * 3, rtol=1e-4)
    assert_equal(frozen.get_weights(), fixed)


def test_gradients_are_not_collected_over_devices(two):
    """Keras ends in a traceback: it would sum inside of a condition."""
    trainer = _trainer(two, _network)
    sgd = L2SGD(0.1, gradient_accumulation_steps=2)
    trainer.compile(sgd, trainer.loss)
    assert_usage_error(trainer.make_train_function, "--accumulation_steps=2")
