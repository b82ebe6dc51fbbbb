"""What Keras users pass to `compile` and `fit`, in any combination."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.training.losses import JensenShannon
from noisymix_tf.training.trainer import NoisyMix

B, K = 8, 4
# XLA takes five seconds to compile the noise and as long for the mixing.
NO_NOISE = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classifier(units=K, end=None, regularizer=None):
    def dense(units, name, activation=None, **kwargs):
        init = keras.initializers.GlorotUniform(seed=len(name))
        return keras.layers.Dense(
            units, activation, name=name, kernel_initializer=init, **kwargs
        )

    return keras.Sequential(
        [
            keras.Input((6,)),
            dense(8, "hidden", "tanh", kernel_regularizer=regularizer),
            keras.layers.BatchNormalization(),
            dense(units, "logits", end),
        ]
    )


def _trainer(model=None, loss=SPARSE, *, rate=0.1, compile_with=(), **kwargs):
    trainer = NoisyMix(model or _classifier(), ["input", "hidden"], **kwargs)
    arguments = {
        "optimizer": keras.optimizers.SGD(rate, momentum=0.9),
        "jit_compile": False,
        **dict(compile_with),
    }
    trainer.compile(loss=loss, **arguments)
    return trainer


def _views(num=B, seed=0):
    return tf.random.stateless_normal([num, 3, 6], [seed, 1])


def _sparse(num=B, seed=0):
    return tf.random.stateless_uniform([num], [seed, 2], 0, K, tf.int32)


def _soft():
    return tf.nn.softmax(tf.random.stateless_normal([B, K], [5, 5]))


LABELS = {
    "sparse": (SPARSE, _sparse),
    "sparse int64 column": (
        SPARSE,
        lambda: tf.cast(_sparse()[:, None], tf.int64),
    ),
    "one-hot": (
        keras.losses.CategoricalCrossentropy(from_logits=True),
        lambda: tf.one_hot(_sparse(), K),
    ),
    "soft": (keras.losses.CategoricalCrossentropy(from_logits=True), _soft),
    "smoothing": (
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.1
        ),
        lambda: tf.one_hot(_sparse(), K),
    ),
    "focal": (
        keras.losses.CategoricalFocalCrossentropy(from_logits=True),
        lambda: tf.one_hot(_sparse(), K),
    ),
    "hinge": (
        keras.losses.CategoricalHinge(),
        lambda: tf.one_hot(_sparse(), K),
    ),
    "multi-label": (
        keras.losses.BinaryCrossentropy(from_logits=True),
        lambda: tf.cast(_soft() > 0.25, tf.float32),
    ),
    "own function": (
        lambda y, p: keras.ops.mean((keras.ops.one_hot(y, K) - p) ** 2, -1),
        _sparse,
    ),
}
WEIGHTS = {"unweighted": None, "weighted": tf.linspace(0.5, 2.0, B)}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("form", LABELS)
def test_loss_is_the_formula_for_every_form_of_labels(form, weights):
    """Against Keras' own loss of the same predictions, put together by hand.

    The steps with weights run eagerly, which is faster than to trace them.
    """
    loss, labels = LABELS[form]
    labels, weight = labels(), WEIGHTS[weights]
    trainer = _trainer(
        loss=loss,
        rate=0.0,
        compile_with={"run_eagerly": weight is not None},
    )
    plan = trainer._mixing.plan(rng.stream(0, 0, "mixing"), B)
    x, num_views = trainer._view_major(_views())
    views = trainer._forward(x, num_views, plan)
    function = loss
    if not isinstance(loss, keras.losses.Loss):

        def function(y, p, sample_weight):
            values = loss(y, p)
            return tf.reduce_mean(
                values if sample_weight is None else values * sample_weight
            )

    def cross_entropy(order):
        return function(
            tf.gather(labels, order),
            views[0],
            sample_weight=None if weight is None else tf.gather(weight, order),
        )

    mixed = plan.lam * cross_entropy(tf.range(B))
    mixed += (1 - plan.lam) * cross_entropy(plan.permutation)
    divergence = JensenShannon(multi_label=form == "multi-label")(
        views[0], tf.transpose(views[1:], [1, 0, 2]), sample_weight=weight
    )
    data = (_views(), labels) if weight is None else (_views(), labels, weight)
    logs = trainer.fit(
        tf.data.Dataset.from_tensors(data), verbose=0, shuffle=False
    ).history
    np.testing.assert_allclose(logs["cross_entropy"][0], mixed, rtol=2e-5)
    np.testing.assert_allclose(logs["jsd"][0], divergence, rtol=2e-4)
    np.testing.assert_allclose(
        logs["loss"][0], mixed + 12.0 * divergence, rtol=1e-4
    )


@pytest.mark.parametrize("units", [1, 3])
def test_sigmoid_outputs_train_like_their_logits(units):
    labels = tf.cast(_soft()[:, :units] > 0.25, tf.float32)
    data = tf.data.Dataset.from_tensors((_views(), labels)).repeat(3)
    logs = []
    for end in (None, "sigmoid"):
        trainer = _trainer(
            _classifier(units, end),
            keras.losses.BinaryCrossentropy(from_logits=end is None),
        )
        logs.append(trainer.fit(data, verbose=0, shuffle=False).history)
    assert logs[0]["jsd"][0] > 1e-5
    for name in ("loss", "jsd"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-3)


def test_class_weights_are_the_sample_weights_they_stand_for():
    class_weight = {0: 1.0, 1: 2.0, 2: 0.5, 3: 3.0}
    labels = _sparse()
    weight = tf.gather(list(class_weight.values()), labels)
    by_class, by_sample = _trainer(), _trainer()
    data = tf.data.Dataset.from_tensors((_views(), labels))
    weighted = tf.data.Dataset.from_tensors((_views(), labels, weight))
    options = {"verbose": 0, "shuffle": False}
    first = by_class.fit(data, class_weight=class_weight, **options).history
    second = by_sample.fit(weighted, **options).history
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-6)
    assert first["loss"] != _trainer().fit(data, **options).history["loss"]


def test_arrays_are_taken_too():
    data = tf.data.Dataset.from_tensors((_views(), _sparse()))
    options = {"verbose": 0, "shuffle": False}
    expected = _trainer().fit(data, **options).history
    arrays = _trainer().fit(
        _views().numpy(), _sparse().numpy(), batch_size=B, **options
    )
    assert arrays.history == expected


def test_validation_measures_the_classifier_without_training_terms():
    trainer = _trainer(
        compile_with={
            "metrics": ["accuracy"],
            "weighted_metrics": ["sparse_categorical_accuracy"],
        }
    )
    images, labels = _views()[:, 0], _sparse()
    history = trainer.fit(
        _views(),
        labels,
        batch_size=B,
        epochs=2,
        validation_data=(images, labels),
        validation_batch_size=3,
        verbose=0,
    ).history
    expected = trainer.model(images, training=False)
    np.testing.assert_allclose(
        history["val_loss"][-1], SPARSE(labels, expected), rtol=1e-5
    )
    accuracy = np.mean(np.argmax(expected, -1) == labels.numpy())
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)
    assert not {"val_jsd", "val_cross_entropy"} & set(history)
    names = trainer.evaluate(images, labels, return_dict=True, verbose=0)
    assert set(names) == {
        "loss",
        "accuracy",
        "sparse_categorical_accuracy",
    }


@pytest.mark.parametrize("jit_compile", [False, True])
def test_several_steps_per_execution_are_the_same_steps(jit_compile):
    levels = NO_NOISE if jit_compile else {}
    data = tf.data.Dataset.from_tensors((_views(), _sparse())).repeat(8)
    weights = []
    for steps in (1, 4):
        trainer = _trainer(
            compile_with={
                "jit_compile": jit_compile,
                "steps_per_execution": steps,
            },
            **levels,
        )
        trainer.fit(data, verbose=0, shuffle=False)
        assert int(trainer.step) == 8
        weights.append(trainer.model.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_gradient_accumulation_applies_the_mean_gradient():
    """Two accumulated steps from the same weights, against both by hand."""
    sgd = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    trainer = _trainer(compile_with={"optimizer": sgd})
    before = [np.asarray(v) for v in trainer.trainable_variables]
    gradients = []
    for step in range(2):
        single = _trainer(compile_with={"optimizer": keras.optimizers.SGD(1.0)})
        single.step.assign(step)
        single.fit(_views(), _sparse(), batch_size=B, verbose=0, shuffle=False)
        gradients.append(
            [
                b - np.asarray(v)
                for b, v in zip(before, single.model.trainable_variables)
            ]
        )
    data = tf.data.Dataset.from_tensors((_views(), _sparse())).repeat(2)
    trainer.fit(data, verbose=0, shuffle=False)
    for variable, start, first, second in zip(
        trainer.trainable_variables, before, *gradients
    ):
        np.testing.assert_allclose(
            variable, start - (first + second) / 2, atol=1e-5
        )


def test_ema_ends_with_the_average_of_the_weights():
    sgd = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    trainer = _trainer(compile_with={"optimizer": sgd})
    sgd = keras.optimizers.SGD(0.1)
    plain = _trainer(compile_with={"optimizer": sgd})
    data = tf.data.Dataset.from_tensors((_views(), _sparse()))
    averages = None
    for _ in range(3):
        plain.fit(data, verbose=0, shuffle=False)
        current = [np.asarray(v) for v in plain.trainable_variables]
        # Keras starts the average from the weights after the first step.
        averages = [0.5 * (a + c) for a, c in zip(averages or current, current)]
    trainer.fit(data.repeat(3), verbose=0, shuffle=False)
    for average, variable in zip(averages, trainer.trainable_variables):
        np.testing.assert_allclose(variable, average, atol=1e-5)


def test_regularization_counts_once():
    regularizer = keras.regularizers.L2(0.1)
    model = _classifier(regularizer=regularizer)
    data = tf.data.Dataset.from_tensors((_views(), _sparse()))
    options = {"verbose": 0, "shuffle": False}
    kernel = model.get_layer("hidden").kernel
    penalty = 0.1 * float(tf.reduce_sum(kernel**2))
    plain = _trainer(rate=0.0).fit(data, **options).history
    ours = _trainer(model, rate=0.0).fit(data, **options).history
    np.testing.assert_allclose(
        ours["loss"][0] - plain["loss"][0], penalty, rtol=1e-3
    )


@keras.saving.register_keras_serializable("tests")
class _Penalty(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(x**2))
        return x


def test_losses_of_layers_count_once_and_train():
    model = _classifier()
    hidden = model.get_layer("hidden").output
    penalised = keras.Model(
        model.inputs, model.get_layer("logits")(_Penalty()(hidden))
    )
    trainer = _trainer(
        penalised, rate=0.0, additive_noise=0.0, multiplicative_noise=0.0
    )
    logs = trainer.train_step((_views(), _sparse()))
    assert len(trainer.losses) == 1
    penalty = float(trainer.losses[0])
    mixed = logs["cross_entropy"] + 12.0 * logs["jsd"]
    np.testing.assert_allclose(logs["loss"], mixed, rtol=1e-5)
    assert penalty > 0


def test_levels_change_without_a_new_trace():
    trainer = _trainer(rate=0.0, compile_with={"jit_compile": True})
    traces = []
    step = trainer.train_step
    trainer.train_step = lambda data: traces.append(1) or step(data)
    data = tf.data.Dataset.from_tensors((_views(), _sparse()))

    def logs(**levels):
        for name, value in levels.items():
            setattr(trainer, name, value)
        trainer.step.assign(0)
        history = trainer.fit(data, verbose=0, shuffle=False).history
        return {name: values[0] for name, values in history.items()}

    first = logs()
    at_first = len(traces)
    heavier = logs(jsd_weight=24.0)
    np.testing.assert_allclose(
        heavier["loss"] - first["loss"], 12.0 * first["jsd"], rtol=1e-3
    )
    silent = logs(additive_noise=0.0, multiplicative_noise=0.0)
    assert silent["jsd"] != first["jsd"]
    unmixed = logs(alpha=0.0)
    assert unmixed["cross_entropy"] != silent["cross_entropy"]
    again = logs(
        alpha=1.0, additive_noise=0.5, multiplicative_noise=0.5, jsd_weight=12.0
    )
    assert again == first
    assert len(traces) == at_first


def test_a_level_of_zero_can_be_raised_later():
    """Its part is left out at first; raising it traces the step anew."""
    levels = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
    trainer = _trainer(rate=0.0, jsd_weight=0.0, **levels)
    data = tf.data.Dataset.from_tensors((_views(), _sparse()))

    def jsd():
        trainer.step.assign(0)
        return trainer.fit(data, verbose=0, shuffle=False).history["jsd"][0]

    assert jsd() == 0.0
    trainer.jsd_weight = 1.0
    first = jsd()
    assert first > 0.0
    trainer.additive_noise = 3.0
    assert jsd() != first


def test_single_views_with_a_stability_term_are_warned_of():
    data = tf.data.Dataset.from_tensors((_views()[:, :1], _sparse()))
    with pytest.warns(UserWarning, match="one view of each image"):
        _trainer().fit(data, verbose=0, shuffle=False)


def test_a_loss_that_does_not_fit_the_model_is_refused():
    trainer = _trainer(loss="sparse_categorical_crossentropy")
    with pytest.raises(UsageError, match="give a loss with from_logits=True"):
        trainer.fit(_views(), _sparse(), verbose=0)
    with pytest.raises(UsageError, match="give a loss with from_logits=False"):
        _trainer(_classifier(end="softmax")).fit(_views(), _sparse())


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_end_of_data_of_unknown_length_is_no_step(jit_compile):
    """The call that finds no batch left must not move the random streams."""
    data = tf.data.Dataset.from_tensors((_views(), _sparse())).repeat(3)
    data = data.filter(lambda views, labels: True)
    assert data.cardinality() == tf.data.UNKNOWN_CARDINALITY
    quiet = {"mixing": "none", **NO_NOISE} if jit_compile else {}
    trainer = _trainer(compile_with={"jit_compile": jit_compile}, **quiet)
    trainer.fit(data, epochs=4, verbose=0, shuffle=False)
    assert int(trainer.step) == 12
    assert int(trainer.optimizer.iterations) == 12
