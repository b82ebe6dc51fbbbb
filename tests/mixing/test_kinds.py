"""Every kind of mixing in the train step of a small classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import config
from noisymix_tf.mixing import MIXINGS, CutMix, PuzzleMix
from noisymix_tf.training import setup
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.trainer import NoisyMix
from support.usage import assert_usage_error

# Two divides six, four does not: one grid, and little to compile.
B, SIDE, K = 8, 6, 3
QUIET = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SOFT = keras.losses.CategoricalCrossentropy(
    from_logits=True, label_smoothing=0.2
)
KINDS = {
    "input": "input",
    "cutmix": CutMix(0.8),
    "puzzlemix": PuzzleMix(0.8, neigh_size=1, transport_size=1),
    "adversarial": PuzzleMix(
        adversarial_probability=0.5, neigh_size=1, transport_size=1
    ),
}


def _classifier(dtype=None, l2=0.0, softmax=False):
    def init(seed):
        return keras.initializers.GlorotUniform(seed=seed)

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
            keras.layers.Conv2D(
                4, 3, kernel_initializer=init(1), name="conv", dtype=dtype
            ),
            keras.layers.BatchNormalization(name="norm", dtype=dtype),
            keras.layers.ReLU(name="relu", dtype=dtype),
            keras.layers.Flatten(name="flatten", dtype=dtype),
            keras.layers.Dense(
                K,
                "softmax" if softmax else None,
                kernel_initializer=init(2),
                kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
                name="logits",
                dtype="float32",
            ),
        ]
    )


def _trainer(
    mixing, *, model=None, loss=SPARSE, jit_compile=False, taps=None, **options
):
    trainer = NoisyMix(
        model or _classifier(),
        taps or ["normalize", "relu"],
        mixing=mixing,
        **options,
    )
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.02),
        loss=loss,
        run_eagerly=not jit_compile,
        jit_compile=jit_compile,
    )
    return trainer


def _batch(views=3):
    key = [0, 7]
    x = tf.random.stateless_uniform([B, views, SIDE, SIDE, 3], key, 0, 255)
    return x, tf.random.stateless_uniform([B], key, 0, K, tf.int32)


def _fit(trainer, steps=1):
    batches = tf.data.Dataset.from_tensors(_batch()).repeat()
    history = trainer.fit(
        batches, steps_per_epoch=steps, verbose=0, shuffle=False
    ).history
    return {name: values[0] for name, values in history.items()}


def test_a_step_is_one_program_of_xla_and_repeats_from_its_state():
    """With noise, views, the Jensen-Shannon term and all of PuzzleMix."""
    trainer = _trainer(KINDS["adversarial"], jit_compile=True, seed=5)
    start = [v.numpy() for v in trainer.variables]
    after = []
    for _ in range(2):
        for variable, value in zip(trainer.variables, start, strict=False):
            variable.assign(value)
        logs = _fit(trainer, steps=2)
        assert np.isfinite(logs["loss"]) and logs["jsd"] > 0
        total = logs["cross_entropy"] + 12.0 * logs["jsd"]
        np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
        after.append(trainer.get_weights())
    for a, b in zip(*after, strict=True):
        np.testing.assert_array_equal(a, b)


def _case(name):
    """Loss, labels, weights and label shares `[B, K]` of a batch."""
    labels = _batch()[1].numpy()
    one_hot = np.eye(K)[labels]
    weight = np.linspace(0.5, 2.0, B).astype("float32")
    if name == "numbers":
        return SPARSE, labels, None, one_hot
    if name == "weighted":
        return SPARSE, labels, weight, one_hot
    if name == "smoothed":
        return SmoothedCrossEntropy(0.3), labels, weight, 0.7 * one_hot + 0.1
    soft = np.random.default_rng(0).dirichlet(np.ones(K), B).astype("float32")
    return SOFT, soft, None, 0.8 * soft + 0.2 / K


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("input", "numbers"),
        ("cutmix", "weighted"),
        ("puzzlemix", "smoothed"),
        ("adversarial", "soft"),
    ],
)
def test_losses_and_steps_are_those_of_labels_mixed_by_the_pixels(kind, case):
    """Cross-entropy with the label shares that the mixed images have.

    Regularisation counts once; no gradient runs through the plan.
    """
    loss, labels, weight, shares = _case(case)
    model = _classifier(l2=0.1)
    trainer = _trainer(
        KINDS[kind], model=model, loss=loss, jsd_weight=0.0, seed=10, **QUIET
    )
    x = _batch(views=1)[0]
    plan = trainer._plan(trainer._view_major(x)[0], tf.constant(labels))
    permutation = plan.permutation.numpy()
    # Each image's own pixels are marked by ones, in a view without an attack.
    own = []
    for b in range(B):
        marks = tf.one_hot(b, B)[:, None, None, None]
        marks = tf.tile(marks, [1, SIDE, SIDE, 3])
        views = tf.stack([marks, marks])
        own.append(trainer._mixing.mix(views, plan).numpy()[1, b, ..., 0])
    share = np.mean(own, axis=(1, 2))
    share[permutation == np.arange(B)] = 1.0
    assert 0 < share.min() < 1
    targets = share[:, None] * shares
    partners = (1 - share)[:, None] * shares[permutation]
    if weight is not None:
        targets = targets * weight[:, None]
        partners = partners * weight[permutation][:, None]
    kernel = model.layers[-1].kernel
    state = model.get_weights()
    with tf.GradientTape() as tape:
        h = trainer._mixing.mix(model.layers[0](x[:, 0])[None], plan)[0]
        for layer in model.layers[1:]:
            h = layer(h, training=True)
        each = (targets + partners) * tf.nn.log_softmax(h)
        expected = -tf.reduce_mean(tf.reduce_sum(each, -1))
        expected += 0.1 * tf.reduce_sum(tf.square(kernel))
    slope = tape.gradient(expected, kernel.value)
    model.set_weights(state)
    before = kernel.numpy()
    parts = (x, labels) if weight is None else (x, labels, weight)
    logs = trainer.train_step(tuple(map(tf.constant, parts)))
    np.testing.assert_allclose(float(logs["loss"]), expected, rtol=1e-5)
    np.testing.assert_allclose(before - kernel, 0.02 * slope, atol=1e-6)


@pytest.mark.parametrize("softmax", [False, True])
def test_saliency_is_the_gradient_of_each_images_loss(softmax):
    """Up to a factor for each image; the network stays as it is."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model = _classifier(softmax=softmax)
    trainer = _trainer("none", model=model, loss=loss)
    before = model.get_weights()
    x, labels = _batch(views=1)
    features = model.layers[0](x[:, 0])
    ours = trainer._slope(features, labels).numpy()
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = features
        for layer in model.layers[1:]:
            outputs = layer(outputs, training=False)
        each = -tf.gather(
            tf.math.log(outputs) if softmax else tf.nn.log_softmax(outputs),
            labels,
            batch_dims=1,
        )
    theirs = tape.gradient(each, features).numpy()
    axes = (1, 2, 3)
    factors = (ours * theirs).sum(axes) / (theirs**2).sum(axes)
    assert (factors > 0).all()
    np.testing.assert_allclose(
        ours, factors[:, None, None, None] * theirs, atol=1e-5 * abs(ours).max()
    )
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_trains_and_its_saliency_is_exact_enough():
    """Also of images of which the network is sure."""
    model = _classifier("mixed_float16")
    logits = model.layers[-1]
    logits.kernel.assign(100.0 * logits.kernel)
    x, _ = _batch(views=1)
    features = model.layers[0](x[:, 0])
    labels = tf.argmax(model(x[:, 0]), axis=-1)
    trainer = _trainer(KINDS["adversarial"], model=model)
    ours = trainer._slope(features, labels)
    assert ours.dtype == tf.float32
    exact = _classifier()
    exact.set_weights(model.get_weights())
    theirs = _trainer("none", model=exact)._slope(features, labels)
    for a, b in zip(ours.numpy(), theirs.numpy()):
        assert np.abs(a).max() > 0
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    for mixing in ("cutmix", KINDS["adversarial"]):
        model = _classifier("mixed_bfloat16")
        assert np.isfinite(_fit(_trainer(mixing, model=model))["loss"])


def test_two_replicas_share_boxes_grids_and_attacks_but_not_their_starts():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    options = {"adversarial_probability": 1.0, "transport": False}
    with strategy.scope():
        boxes, puzzle = _trainer("cutmix"), _trainer(PuzzleMix(**options))
    x, labels = _batch(views=1)
    images = x[:, 0]

    @tf.function
    def plans():
        return strategy.run(
            lambda: (boxes._plan(images, labels), puzzle._plan(images, labels))
        )

    box, joined = plans()
    for values in (box.lam, box.inside, joined.permutation, joined.chances):
        first, second = values.values
        np.testing.assert_array_equal(first, second)
    first, second = joined.attack.values
    assert 0.1 < np.mean(first.numpy() != second.numpy())
    assert joined.lam.values[0].shape == [B]


@pytest.mark.parametrize("mixing", ["cutmix", *KINDS.values()])
def test_trainers_keep_their_mixing_when_saved(mixing, tmp_path):
    trainer = _trainer(mixing)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert type(copy._mixing) is type(trainer._mixing)
    assert copy._mixing.get_config() == trainer._mixing.get_config()


def test_flags_make_kinds_with_their_options_and_the_first_taps():
    def made(puzzle=None, **method):
        run = config.Config(
            method=config.MethodConfig(**method),
            puzzlemix=puzzle or config.PuzzleMixConfig(),
        )
        return setup.trainer(run, _classifier(), steps_per_epoch=1)

    puzzle = config.PuzzleMixConfig(puzzle_labels=2, puzzle_transport_size=-1)
    mixing = made(puzzle, mixing="puzzlemix", mixing_probability=0.5)._mixing
    expected = PuzzleMix(0.5, labels=2, transport_size=-1)
    assert mixing.get_config() == expected.get_config()
    assert expected.get_config()["labels"] == 2
    # The flags' defaults are those of the kind.
    assert PuzzleMix(**config.PuzzleMixConfig().options()).get_config() == (
        PuzzleMix().get_config()
    )
    known = config.MethodConfig.__dataclass_fields__["mixing"].metadata
    assert set(known["choices"]) == set(MIXINGS.names())
    assert made(taps=("auto:1",)).taps == ("normalize",)
    assert made(taps=("auto:9",)).taps == ("normalize", "relu")


def _vectors():
    return keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])


def _weighted_mean():
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NoisyMix(_classifier(), taps="auto:0"), "taps='auto:0' must"),
        (lambda: NoisyMix(_classifier(), taps="auto:x"), "taps='auto:x' must"),
        (lambda: NoisyMix(_vectors(), mixing="cutmix"), "an example has shape"),
        (lambda: NoisyMix(_vectors(), mixing="puzzlemix"), "has shape [7]"),
        (
            lambda: NoisyMix(_classifier(), mixing=3),
            "mixing=3 must be one of none, inp",
        ),
        (
            lambda: _fit(_trainer("puzzlemix", taps=["conv"])),
            "let taps begin with 'input'",
        ),
        (
            lambda: _fit(_trainer("puzzlemix", loss=_weighted_mean())),
            "reduction='mean_with_sample_w",
        ),
    ],
)
def test_mistakes_are_named(call, words):
    assert_usage_error(call, words)
