"""Two replicas on one machine against one device, in whole training runs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, augment, data, distribution, models
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MixPlan
from noisymix_tf.training import checkpoint, replica_draws, replica_state
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

BATCH = 8
STEPS = 4
QUIET = {"additive_noise": 0.0, "multiplicative_noise": 0.0}


@pytest.fixture(scope="module")
def two():
    strategy = distribution.strategy("mirrored")
    if strategy.num_replicas_in_sync != 2:
        pytest.skip("for two devices")
    return strategy


@pytest.fixture(scope="module")
def batches():
    """Views `[STEPS, B, 3, H, W, C]` and labels, made once for all runs."""
    made = data.views(
        data.load("digits", train_examples=40).train,
        batch_size=BATCH,
        seed=1,
        augment=augment.augmix_views,
    )
    views, labels = zip(*made.take(STEPS), strict=True)
    return tf.stack(views), tf.stack(labels)


def _plain_net():
    """Without statistics of the batch."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(inputs)
    for index, filters in enumerate((4, 6)):
        x = keras.layers.Conv2D(
            filters,
            3,
            strides=2,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=index),
            name=f"stage{index}",
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    init = keras.initializers.GlorotUniform(seed=7)
    outputs = keras.layers.Dense(10, kernel_initializer=init)(x)
    return keras.Model(inputs, outputs)


def _network(sync=False, dropout=0.0):
    """With normalisation over the batch."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(inputs)
    for index, filters in enumerate((4, 6)):
        init = keras.initializers.HeNormal(seed=index)
        x = keras.layers.Conv2D(filters, 3, strides=2, kernel_initializer=init)(
            x
        )
        x = keras.layers.BatchNormalization(
            momentum=0.5, synchronized=sync, name=f"norm{index}"
        )(x)
        x = keras.layers.ReLU(name=f"stage{index}")(x)
        x = keras.layers.Dropout(dropout, seed=index)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    init = keras.initializers.GlorotUniform(seed=7)
    outputs = keras.layers.Dense(10, kernel_initializer=init)(x)
    return keras.Model(inputs, outputs)


def test_the_zoo_can_synchronise_its_statistics():
    for sync in (False, True):
        model = models.build("resnet20", width=0.25, sync_batch_norm=sync)
        norms = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        assert norms and all(layer.synchronized is sync for layer in norms)


def _trainer(strategy, make, **options):
    with distribution.scope(strategy):
        trainer = NoisyMix(make(), seed=3, **options)
        trainer.compile(
            optimizer=L2SGD(0.05, momentum=0.9, nesterov=True, l2=5e-4),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    return trainer


def _fit(trainer, batches, steps=slice(STEPS)):
    views, labels = (part[steps] for part in batches)
    parts = tf.data.Dataset.from_tensor_slices((views, labels))
    parts = data.distribute(trainer.distribute_strategy, lambda _: parts)
    return trainer.fit(parts, shuffle=False, verbose=0).history


def _assert_close(some, others, **tolerance):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


class _InHalves:
    """Mixing on one device as on two: partners in the own half."""

    hidden = True
    per_example = False

    def __init__(self, mixing):
        self._mixing = mixing

    def plan(self, seed, batch_size):
        half = batch_size // 2
        plan = self._mixing.plan(seed, half)
        both = tf.concat([plan.permutation, plan.permutation + half], 0)
        return MixPlan(plan.tap, plan.lam, both)

    def settle(self, plan, clean):
        return plan

    def mix(self, x, plan):
        return self._mixing.mix(x, plan)


def test_two_replicas_train_as_one_device_with_mixing(two, batches):
    options = {"taps": ("normalize", "stage0"), **QUIET}
    one = _trainer(None, _plain_net, **options)
    one._mixing = _InHalves(one._mixing)
    both = _trainer(two, _plain_net, **options)
    logs, both_logs = _fit(one, batches), _fit(both, batches)
    _assert_close(one.model.get_weights(), both.model.get_weights(), atol=2e-6)
    assert both_logs.keys() == logs.keys()
    for name, values in logs.items():
        assert both_logs[name] == pytest.approx(values, rel=1e-4), name
    assert int(both.step.numpy()) == STEPS


def test_synchronized_statistics_are_those_of_the_whole_batch(two, batches):
    options = {"mixing": "none", **QUIET}
    one = _trainer(None, _network, **options)
    both = _trainer(two, lambda: _network(sync=True), **options)
    apart = _trainer(two, _network, **options)
    for trainer in (one, both, apart):
        _fit(trainer, batches, slice(2))
    weights = one.model.get_weights()
    _assert_close(weights, both.model.get_weights(), atol=1e-3)
    # Otherwise they would have been those of half a batch.
    assert any(
        np.abs(a - b).max() > 1e-2
        for a, b in zip(weights, apart.model.get_weights())
    )
    for layer in both.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            first, second = layer.moving_variance.value.values
            np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_replicas_drop_different_units(two):
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
    # Nothing is left behind, and one device draws what Keras draws.
    assert "next" not in vars(layer.seed_generator)


def test_one_device_drops_as_keras_does():
    a, b = (keras.layers.Dropout(0.5, seed=1) for _ in range(2))
    with replica_draws.distinct(a):
        x = a(tf.ones([100]), training=True)
    np.testing.assert_array_equal(x, b(tf.ones([100]), training=True))


@pytest.mark.parametrize(
    ("before", "after"), [(True, True), (True, False), (False, True)]
)
def test_a_run_goes_on_from_a_checkpoint(two, batches, tmp_path, before, after):
    """On as many devices bit for bit; on one or two, as near as ever."""

    def trainer(is_double):
        return _trainer(
            two if is_double else None,
            lambda: _network(sync=True, dropout=0.1),
            mixing="none",
            jsd_weight=0.0,
        )

    whole = trainer(before)
    _fit(whole, batches)
    folder = CheckpointFolder(tmp_path)
    first = trainer(before)
    _fit(first, batches, slice(2))
    folder.save(first, 2)
    second = trainer(after)
    assert folder.restore(second)[0] == 2
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)
    _fit(second, batches, slice(2, STEPS))
    assert int(second.step.numpy()) == STEPS
    if before == after:
        _assert_close(whole.get_weights(), second.get_weights(), atol=0, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"mixing": "none", "adversary": attacks.PGDAdversary(steps=1)},
        {"mixing": "puzzlemix"},
    ],
    ids=["adversary", "puzzlemix"],
)
def test_a_run_goes_on_where_moving_statistics_are_used(two, batches, options):
    """Each replica would use its own, a checkpoint hold those of the first,
    and a measurement of averages give these to all."""
    batches = batches[0][:, :, :1], batches[1]
    options = {"jsd_weight": 0.0, "ema": 0.5, **QUIET, **options}
    # One for all runs: it is long in tracing.
    trainer = _trainer(two, _network, taps="normalize", **options)
    variables = checkpoint.state_variables(trainer)

    def state():
        return [np.asarray(variable).copy() for variable in variables]

    start = state()
    _fit(trainer, batches)
    whole = state()
    checkpoint.assign(variables, start)
    _fit(trainer, batches, slice(2))
    saved = state()
    with trainer.evaluation_weights():
        pass
    _fit(trainer, batches, slice(2, STEPS))
    _assert_close(state(), whole, atol=0, rtol=0)
    checkpoint.assign(variables, saved)
    _fit(trainer, batches, slice(2, STEPS))
    _assert_close(state(), whole, atol=0, rtol=0)


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
    _assert_close(frozen.get_weights(), fixed, atol=0, rtol=0)


def test_gradients_are_not_collected_over_devices(two):
    """Keras ends in a traceback: it would sum inside of a condition."""
    trainer = _trainer(two, _plain_net)
    trainer.compile(
        L2SGD(0.1, gradient_accumulation_steps=2), trainer.loss, metrics=[]
    )
    with pytest.raises(UsageError, match="--accumulation_steps=2") as caught:
        trainer.make_train_function()
    assert "\n" not in str(caught.value)
    distribution.check_accumulation(two, 1)
    distribution.check_accumulation(tf.distribute.get_strategy(), 2)
    alone = tf.distribute.MirroredStrategy(["CPU:0"])
    with pytest.raises(UsageError, match="MirroredStrategy"):
        distribution.check_accumulation(alone, 2)
