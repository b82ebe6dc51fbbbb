"""What Keras users pass to `compile` and `fit`, in any combination."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training.losses import JensenShannon
from support import fit_models
from support.fit_models import NO_NOISE, QUIET, SPARSE, step
from support.usage import assert_usage_error

B, K = 8, 4
SGD = keras.optimizers.SGD
LAM, ORDER = 0.3, [2, 0, 1, 4, 3, 7, 5, 6]
EAGER = {"verbose": 0, "shuffle": False}


def _classifier(units=K, end=None, **more):
    init = [keras.initializers.GlorotUniform(seed) for seed in (1, 2)]
    more |= {"kernel_initializer": init[0], "name": "hidden"}
    hidden = keras.layers.Dense(8, "tanh", **more)
    logits = keras.layers.Dense(units, end, kernel_initializer=init[1])
    norm = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((6,)), hidden, norm, logits])


def _trainer(model=None, loss=SPARSE, **options):
    """A trainer of eager steps."""
    options = {"loss": loss, "run_eagerly": True, **options}
    taps, model = ["input", "hidden"], model or _classifier()
    return fit_models.compiled("noisymix", model, taps, **options)


VIEWS = tf.random.stateless_normal([B, 3, 6], [0, 1])
LABELS = tf.random.stateless_uniform([B], [0, 2], 0, K, tf.int32)
SOFT = tf.nn.softmax(tf.random.stateless_normal([B, K], [5, 5]))
DATA = tf.data.Dataset.from_tensors((VIEWS, LABELS))


def _own(y, p):
    return keras.ops.mean((keras.ops.one_hot(y, K) - p) ** 2, -1)


CATEGORICAL = keras.losses.CategoricalCrossentropy
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)
FORMS = {
    "sparse": (SPARSE, LABELS),
    "sparse int64 column": (SPARSE, tf.cast(LABELS[:, None], tf.int64)),
    "soft": (CATEGORICAL(from_logits=True), SOFT),
    "smoothing": (CATEGORICAL(from_logits=True, label_smoothing=0.1), SOFT),
    "hinge": (keras.losses.CategoricalHinge(), tf.one_hot(LABELS, K)),
    "multi-label": (BINARY, tf.cast(SOFT > 0.25, tf.float32)),
    "own function": (_own, LABELS),
}


@pytest.mark.parametrize("weight", [None, tf.linspace(0.5, 2.0, B)])
@pytest.mark.parametrize("form", FORMS)
def test_loss_is_the_formula_for_every_form_of_labels(form, weight):
    """Against Keras' own loss of a model that is called with mixed inputs."""
    loss, labels = FORMS[form]
    plan = fit_models.Fixed(0, LAM, ORDER)
    trainer = _trainer(loss=loss, rate=0.0, mixing=plan, **NO_NOISE)
    mixed = LAM * VIEWS + (1 - LAM) * tf.gather(VIEWS, ORDER)
    flat = tf.reshape(tf.transpose(mixed, [1, 0, 2]), [3 * B, 6])
    views = tf.reshape(trainer.model(flat, training=True), [3, B, K])

    def cross_entropy(order):
        y = tf.gather(labels, order)
        w = None if weight is None else tf.gather(weight, order)
        if form == "own function":
            return tf.reduce_mean(_own(y, views[0]) * (1.0 if w is None else w))
        return loss(y, views[0], sample_weight=w)

    ce = LAM * cross_entropy(range(B)) + (1 - LAM) * cross_entropy(ORDER)
    divergence = JensenShannon(multi_label=form == "multi-label")(
        views[0], tf.transpose(views[1:], [1, 0, 2]), sample_weight=weight
    )
    data = [VIEWS, labels] + ([] if weight is None else [weight])
    logs = step(trainer, *data)
    assert logs["jsd"] > 1e-3
    if form == "sparse":
        # Of whoever has the larger share: here the partner.
        hits = np.argmax(views[0], -1) == tf.gather(LABELS, ORDER)
        assert logs.pop("accuracy") == pytest.approx(np.mean(hits))
    logs.pop("accuracy", None)
    names, terms = ["loss", "cross_entropy", "jsd"], [ce, divergence]
    values = map(float, [ce + 12.0 * divergence, *terms])
    assert logs == pytest.approx(dict(zip(names, values)), rel=1e-4)


@pytest.mark.parametrize(
    "units, end", [(1, "sigmoid"), (3, "sigmoid"), (K, "softmax")]
)
def test_probabilities_train_like_their_logits(units, end):
    kind = keras.losses.BinaryCrossentropy
    labels = tf.cast(SOFT[:, :units] > 0.25, tf.float32)
    if end == "softmax":
        kind, labels = keras.losses.SparseCategoricalCrossentropy, LABELS
    logs = []
    for given in (None, end):
        loss = kind(from_logits=given is None)
        trainer = _trainer(_classifier(units, given), loss)
        logs.append(step(trainer, VIEWS, labels))
    assert logs[0]["jsd"] > 1e-5
    assert logs[1] == pytest.approx(logs[0], rel=1e-3)


def test_arrays_and_class_weights_are_taken_as_data_and_sample_weights():
    weights = [1.0, 2.0, 0.5, 3.0]
    plain = step(_trainer(), VIEWS, LABELS)
    arrays = (VIEWS.numpy(), LABELS.numpy())
    logs = _trainer().fit(*arrays, batch_size=B, **EAGER).history
    assert {name: values[0] for name, values in logs.items()} == plain
    weighted = step(_trainer(), VIEWS, LABELS, tf.gather(weights, LABELS))
    options = {"class_weight": dict(enumerate(weights)), **EAGER}
    logs = _trainer().fit(DATA, **options).history
    assert logs["loss"][0] == pytest.approx(weighted["loss"], rel=1e-6)
    assert weighted["loss"] != plain["loss"]


def test_validation_measures_the_classifier_without_training_terms():
    trainer = _trainer()
    accuracy = keras.metrics.SparseCategoricalAccuracy("weighted")
    metrics = {"metrics": ["accuracy"], "weighted_metrics": [accuracy]}
    trainer.compile(loss=SPARSE, run_eagerly=True, **metrics)
    options = {"validation_data": (VIEWS[:, 0], LABELS), **EAGER}
    history = trainer.fit(DATA, validation_batch_size=3, **options).history
    expected = trainer.model(VIEWS[:, 0], training=False)
    loss = float(SPARSE(LABELS, expected))
    assert history["val_loss"][0] == pytest.approx(loss, rel=1e-5)
    accuracy = np.mean(np.argmax(expected, -1) == LABELS)
    assert history["val_accuracy"][0] == pytest.approx(accuracy)
    assert not {"val_jsd", "val_cross_entropy"} & set(history)
    assert {"val_weighted", "weighted", "jsd", "cross_entropy"} <= set(history)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_in_one_execution_and_the_end_of_data_change_nothing(jit_compile):
    """The call that finds no batch left must not move the random streams."""
    data = DATA.repeat(4)
    unknown = data.filter(lambda views, labels: True)
    assert unknown.cardinality() == tf.data.UNKNOWN_CARDINALITY
    # XLA takes five seconds to compile the noise and as long for the mixing.
    parts = QUIET if jit_compile else {}
    weights = []
    for steps, batches in ((1, unknown), (4, data)):
        trainer = _trainer(**parts)
        options = {"jit_compile": jit_compile, "steps_per_execution": steps}
        trainer.compile(SGD(0.1, momentum=0.9), SPARSE, **options)
        trainer.fit(batches, epochs=2, **EAGER)
        assert int(trainer.step) == int(trainer.optimizer.iterations) == 8
        weights.append(trainer.model.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


def _trained(trainer):
    return [v.numpy() for v in trainer.trainable_variables]


def test_gradient_accumulation_applies_the_mean_gradient():
    """Two accumulated steps from the same weights, against both by hand."""
    trainer = _trainer(optimizer=SGD(1.0, gradient_accumulation_steps=2))
    before = _trained(trainer)
    gradients = []
    for number in range(2):
        single = _trainer(optimizer=SGD(1.0))
        single.step.assign(number)
        step(single, VIEWS, LABELS)
        gradients.append([b - a for b, a in zip(before, _trained(single))])
        step(trainer, VIEWS, LABELS)
    for after, start, *both in zip(_trained(trainer), before, *gradients):
        np.testing.assert_allclose(after, start - sum(both) / 2, atol=1e-5)


def test_ema_of_keras_optimizer_ends_with_the_average_of_the_weights():
    plain = _trainer(optimizer=SGD(0.1))
    trainer = _trainer(optimizer=SGD(0.1, use_ema=True, ema_momentum=0.5))
    averages = None
    for _ in range(3):
        step(plain, VIEWS, LABELS)
        now = _trained(plain)
        # Keras starts the average from the weights after the first step.
        averages = [(a + b) / 2 for a, b in zip(averages or now, now)]
    trainer.fit(DATA.repeat(3), **EAGER)
    for expected, average in zip(averages, _trained(trainer)):
        np.testing.assert_allclose(average, expected, atol=1e-5)


def test_losses_of_layers_count_once():
    """Not with the shares of both partners, nor once for each view."""
    model = _classifier(
        kernel_regularizer=keras.regularizers.L2(0.1),
        activity_regularizer=lambda h: tf.constant(5.0),
    )
    kernel = model.get_layer("hidden").kernel.numpy()
    # Keras divides what a regularizer says of activities by their number.
    penalty = 5.0 / (3 * B) + 0.1 * np.sum(kernel**2)
    plain = step(_trainer(), VIEWS, LABELS)
    ours = step(_trainer(model), VIEWS, LABELS)
    assert ours["loss"] - plain["loss"] == pytest.approx(penalty, rel=1e-3)
    assert ours["jsd"] == plain["jsd"]


def test_single_views_with_a_stability_term_are_warned_of():
    with pytest.warns(UserWarning, match="one view of each image"):
        assert step(_trainer(), VIEWS[:, :1], LABELS)["jsd"] == 0.0


def test_a_loss_that_does_not_fit_the_model_is_refused():
    probabilities = _trainer(loss="sparse_categorical_crossentropy")
    logits = _trainer(_classifier(end="softmax"))
    for trainer, right in ((probabilities, True), (logits, False)):
        words = f"give a loss with from_logits={right}"
        assert_usage_error(lambda t=trainer: t.fit(DATA, **EAGER), words)
