"""The mixing layer against the reference, the trainer and plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.layers import ManifoldMix
from noisymix_tf.mixing import ManifoldMixing, MixPlan, with_plan
from noisymix_tf.training.trainer import NoisyMix
from support.layer_contract import assert_layer_contract

PERMUTATION = [3, 1, 5, 0, 2, 4]


def _normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


def _plan(tap=0, lam=0.3, permutation=PERMUTATION):
    return MixPlan(
        tf.constant(tap),
        tf.constant(lam, tf.float32),
        tf.constant(permutation, tf.int32),
    )


def _per_example(plan):
    size = plan.permutation.shape[0]
    return (
        tf.fill([size], plan.tap),
        tf.fill([size], plan.lam),
        plan.permutation,
    )


@pytest.mark.parametrize("shape", [(6,), (6, 4, 4, 3)])
def test_contract(shape, tmp_path):
    assert_layer_contract(
        ManifoldMix(2, name="mix"),
        _normal(*shape),
        _per_example(_plan(tap=2)),
        tmp_path=tmp_path,
        atol=1e-6,
    )


def test_it_mixes_as_the_reference_does(golden):
    """Where the reference added noise, its levels are taken as they are."""
    file = golden("noisymix_mixnoise.npz")
    checked = 0
    for case in sorted({key.split("__")[0] for key in file.files}):
        additive, multiplicative, _, _, jsd = file[f"{case}__levels"]
        views = tf.constant(file[f"{case}__x"])
        views = tf.reshape(views, [3 if jsd else 1, -1, *views.shape[1:]])
        plan = _plan(0, file[f"{case}__lam"], file[f"{case}__perm"])
        mixed = [ManifoldMix()(x, plan, training=True) for x in views]
        np.testing.assert_array_equal(
            mixed, ManifoldMixing().bind(1, 1.0).mix(views, plan)
        )
        if not (additive or multiplicative):
            expected = file[f"{case}__out"].reshape(views.shape)
            np.testing.assert_allclose(mixed, expected, atol=2e-6)
            checked += 1
    assert checked


@pytest.mark.parametrize("jit_compile", [False, True])
def test_values_and_gradients_for_every_form_of_a_plan(jit_compile):
    x, weights = _normal(6, 3, 2), _normal(6, 3, 2, seed=1)
    layer = ManifoldMix(1)

    @tf.function(jit_compile=jit_compile)
    def run(x, plan):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, plan, training=True)
            total = tf.reduce_sum(y * weights)
        return y, tape.gradient(total, x)

    plan = _plan(tap=1)
    inverse = np.argsort(PERMUTATION)
    expected = 0.3 * x.numpy() + 0.7 * x.numpy()[PERMUTATION]
    slope = 0.3 * weights.numpy() + 0.7 * weights.numpy()[inverse]
    for form in (plan, tuple(plan), list(_per_example(plan))):
        y, gradient = run(x, form)
        np.testing.assert_allclose(y, expected, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=1e-6)
    y, gradient = run(x, plan._replace(tap=tf.constant(0)))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(gradient, weights)


def test_every_example_may_have_its_own_coefficient_and_tap():
    x = _normal(6, 3).numpy()
    lam = np.linspace(0, 1, 6, dtype="float32")
    tap = np.array([0, 1, 0, 1, 1, 0], "int32")
    plan = (tf.constant(tap), tf.constant(lam), tf.constant(PERMUTATION))
    y = ManifoldMix(1)(x, plan, training=True)
    own = np.where(tap == 1, lam, 1)[:, np.newaxis]
    np.testing.assert_allclose(
        y, own * x + (1 - own) * x[PERMUTATION], atol=1e-6
    )


def test_no_mixing_without_a_plan_or_at_inference():
    x = _normal(6, 3)
    for arguments in ((), (None,), ((None, None, None),)):
        y = ManifoldMix()(x, *arguments, training=True)
        np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(ManifoldMix()(x, _plan()), x)


def test_a_partner_outside_of_the_batch_is_not_silent():
    layer = ManifoldMix()
    x = _normal(3, 2)
    plan = _plan(permutation=[1, 5, 0])
    compiled = tf.function(layer, jit_compile=True)
    y = compiled(x, plan, training=True).numpy()
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="5"):
        layer(x, plan, training=True)


def test_masks_stay_those_of_the_example_itself():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(tokens)
    mixed = ManifoldMix()(x)
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(mixed))
    np.testing.assert_allclose(
        model(tf.constant([[3, 4]])),
        model(tf.constant([[3, 4, 0]])),
        rtol=1e-6,
    )


class _Network:
    """A small network as a function of images and, perhaps, a plan."""

    def __init__(self):
        def init(seed):
            return keras.initializers.GlorotUniform(seed=seed)

        self.scale = keras.layers.Rescaling(1 / 127.5, -1.0, name="scale")
        self.stem = keras.layers.Conv2D(
            5, 3, 2, activation="relu", name="stem", kernel_initializer=init(1)
        )
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(3, kernel_initializer=init(2))

    def __call__(self, images, plan=None):
        x = ManifoldMix(0)(self.scale(images), plan)
        x = ManifoldMix(1)(self.stem(x), plan)
        return self.head(self.pool(x))


def _inputs():
    return keras.Input((8, 8, 3)), MixPlan(
        keras.Input([], dtype="int32"),
        keras.Input([], dtype="float32"),
        keras.Input([], dtype="int32"),
    )


def _compiled(model, loss=keras.losses.CategoricalCrossentropy, **kwargs):
    model.compile(
        keras.optimizers.SGD(0.2, momentum=0.9),
        loss(from_logits=True),
        jit_compile=kwargs.pop("jit_compile", False),
        **kwargs,
    )
    return model


def _mixing_model(**kwargs):
    network = _Network()
    images, plan = _inputs()
    model = keras.Model([images, *plan], network(images, plan))
    return _compiled(model, **kwargs), network


def _batches(batch_size=8, count=4):
    n = batch_size * count
    images = tf.random.stateless_uniform([n, 8, 8, 3], [0, 1], 0.0, 255.0)
    labels = tf.random.stateless_uniform([n], [0, 2], 0, 3, tf.int32)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    return data.batch(batch_size, drop_remainder=True)


def _planned(num_taps=2, count=4, **kwargs):
    arguments = {"alpha": 1.0, "num_classes": 3, "seed": 5, **kwargs}
    data = _batches(count=count).enumerate()
    return data.map(with_plan(num_taps, **arguments))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_plain_fit_trains_as_the_trainer_does(jit_compile):
    """Manifold mixup by `fit` and by `NoisyMix`: the same run.

    The trainer is not compiled, for XLA would draw other numbers in it.
    """
    model, _ = _mixing_model(jit_compile=jit_compile)
    losses = model.fit(_planned(), verbose=0, shuffle=False).history["loss"]

    images, _ = _inputs()
    classifier = keras.Model(images, _Network()(images))
    trainer = NoisyMix(
        classifier,
        taps=["scale", "stem"],
        additive_noise=0.0,
        multiplicative_noise=0.0,
        jsd_weight=0.0,
        seed=5,
    )
    _compiled(trainer, keras.losses.SparseCategoricalCrossentropy)
    logs = trainer.fit(_batches(), verbose=0, shuffle=False).history
    np.testing.assert_allclose(losses, logs["loss"], rtol=1e-5)
    for a, b in zip(model.get_weights(), classifier.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_loss_of_mixed_labels_is_the_mixed_loss():
    """lam CE(y) + (1 - lam) CE(y[permutation]), mixed at either tap by hand."""
    model, network = _mixing_model()
    model.optimizer.learning_rate = 0.0
    taps = set()
    for ((images, tap, lam, order), mixed), (_, labels) in zip(
        _planned(count=6), _batches(count=6)
    ):
        lam, k = lam[0], int(tap[0])
        x = network.scale(images)
        if k == 0:
            x = lam * x + (1 - lam) * tf.gather(x, order)
        x = network.stem(x)
        if k == 1:
            x = lam * x + (1 - lam) * tf.gather(x, order)
        logits = network.head(network.pool(x))
        ce = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        expected = lam * ce(labels, logits) + (1 - lam) * ce(
            tf.gather(labels, order), logits
        )
        inputs = [images, tap, tf.fill([8], lam), order]
        loss = model.train_on_batch(inputs, mixed)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        taps.add(k)
    assert taps == {0, 1}


def test_the_classifier_that_is_served_needs_no_plan(tmp_path):
    model, network = _mixing_model()
    images, _ = _inputs()
    classifier = keras.Model(images, network(images))
    model.fit(_planned(), verbose=0, shuffle=False)
    x = next(iter(_batches()))[0]
    expected = network.head(network.pool(network.stem(network.scale(x))))
    np.testing.assert_allclose(
        classifier.predict(x, verbose=0), expected, atol=1e-6
    )
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(loaded(x, training=True), expected, atol=1e-6)
    # The model with a plan validates on unmixed batches.
    whole = model.evaluate(_planned(alpha=0), verbose=0)
    _compiled(classifier, keras.losses.SparseCategoricalCrossentropy)
    alone = classifier.evaluate(_batches(), verbose=0)
    np.testing.assert_allclose(whole, alone, rtol=1e-5)


def test_two_replicas_find_partners_in_their_own_part():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    planned = _planned(num_replicas=2)

    def in_whole_batch(inputs, mixed):
        images, tap, lam, order = inputs
        assert order.shape == [8]
        return (images, tap, lam, order + [0, 0, 0, 0, 4, 4, 4, 4]), mixed

    with strategy.scope():
        double, _ = _mixing_model()
    single, _ = _mixing_model()
    double.fit(planned, verbose=0, shuffle=False)
    single.fit(planned.map(in_whole_batch), verbose=0, shuffle=False)
    for a, b in zip(double.get_weights(), single.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_plans_are_a_function_of_seed_and_index():
    def plans(**kwargs):
        return [
            [np.array(part) for part in (tap, lam, order, mixed)]
            for (_, tap, lam, order), mixed in _planned(**kwargs)
        ]

    first, again, other = plans(), plans(), plans(seed=6)
    for a, b in zip(first, again):
        for ours, theirs in zip(a, b):
            np.testing.assert_array_equal(ours, theirs)
    assert len({float(lam[0]) for _, lam, _, _ in first + other}) == 8
    mixing = ManifoldMixing().bind(2, 1.0)
    labels = [y.numpy() for _, y in _batches()]
    for index, (tap, lam, order, mixed) in enumerate(first):
        plan = mixing.plan(rng.stream(5, index, "mixing"), 8)
        assert (tap == plan.tap.numpy()).all() and tap.dtype == np.int32
        assert lam.dtype == np.float32
        np.testing.assert_allclose(lam, [plan.lam] * 8, rtol=1e-6)
        np.testing.assert_array_equal(order, plan.permutation)
        one_hot = np.eye(3)[labels[index]]
        own = lam[:, np.newaxis]
        np.testing.assert_allclose(
            mixed, own * one_hot + (1 - own) * one_hot[order], atol=1e-6
        )
        # The layer mixes labels in the same way.
        by_layer = ManifoldMix(int(tap[0]))(
            tf.constant(one_hot, tf.float32), plan, training=True
        )
        np.testing.assert_allclose(mixed, by_layer, atol=1e-6)


def test_labels_may_be_numbers_a_column_or_one_hot():
    add_plan = with_plan(2, 1.0, 3)
    labels = tf.constant([0, 2, 1, 1])
    images = {"image": tf.zeros([4, 2]), "other": tf.zeros([4])}
    (same, *_), expected = add_plan(0, (images, labels))
    assert same is images
    for form in (labels[:, tf.newaxis], tf.one_hot(labels, 3, dtype=tf.uint8)):
        _, mixed = add_plan(0, (images, form))
        np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_allclose(tf.reduce_sum(expected, 1), 1, rtol=1e-6)


def test_batches_may_be_of_unknown_size():
    data = _batches(batch_size=8, count=2).unbatch().batch(6)
    sizes = [
        (len(order), len(mixed))
        for (_, _, _, order), mixed in data.enumerate().map(with_plan(2, 1, 3))
    ]
    assert sizes == [(6, 6), (6, 6), (4, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1.0, 3), "num_taps=0 .* at least 1"),
        ((2, -1.0, 3), "alpha=-1.0 .* at least 0"),
        ((2, float("nan"), 3), "alpha=nan"),
        ((2, 1.0, 2.5), "num_classes=2.5"),
        ((2, 1.0, 3, 0, 0), "num_replicas=0"),
    ],
)
def test_with_plan_refuses_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        with_plan(*arguments)


def test_with_plan_refuses_batches_that_do_not_fit():
    images, labels = tf.zeros([4, 2]), tf.zeros([4], tf.int32)
    with pytest.raises(UsageError, match="without weights"):
        with_plan(2, 1.0, 3)(0, (images, labels, tf.ones([4])))
    with pytest.raises(UsageError, match=r"\(4, 5\).*num_classes=3"):
        with_plan(2, 1.0, 3)(0, (images, tf.zeros([4, 5])))
    with pytest.raises(UsageError, match=r"batch of 4 .* into 3"):
        with_plan(2, 1.0, 3, num_replicas=3)(0, (images, labels))


def test_refuses_what_is_no_plan():
    x = _normal(6, 3)
    for tap in (-1, 0.5, None):
        with pytest.raises(UsageError, match=f"tap={tap} must be a whole"):
            ManifoldMix(tap)
    with pytest.raises(UsageError, match="must be a MixPlan"):
        ManifoldMix()(x, tf.constant([0, 1]))
    with pytest.raises(UsageError, match=r"permutation .* \[B\], got \(\)"):
        ManifoldMix()(x, _plan(permutation=1))
    with pytest.raises(UsageError, match=r"lam .* got None"):
        ManifoldMix()(x, [tf.constant(0), None, tf.constant(PERMUTATION)])
    with pytest.raises(UsageError, match="ManifoldMix takes floats, got int32"):
        ManifoldMix()(tf.ones([6, 3], tf.int32), _plan())
