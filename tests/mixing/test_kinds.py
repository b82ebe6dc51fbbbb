"""Every kind of mixing in the train step of a small classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import config
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS, CutMix, PuzzleMix
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

# Two divides six, four does not: one grid, and little to compile.
B, SIDE, K = 8, 6, 3
QUIET = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SOFT = keras.losses.CategoricalCrossentropy(
    from_logits=True, label_smoothing=0.2
)


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
        optimizer=L2SGD(0.02, momentum=0.9),
        loss=loss,
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")]
        if loss is SPARSE
        else None,
        jit_compile=jit_compile,
    )
    return trainer


def _batch(step=0, views=3):
    key = tf.stack([tf.cast(step, tf.int32), 7])
    x = tf.random.stateless_uniform([B, views, SIDE, SIDE, 3], key, 0, 255)
    return x, tf.random.stateless_uniform([B], key, 0, K, tf.int32)


def _fit(trainer, start=0, steps=4):
    batches = tf.data.Dataset.counter(start).map(_batch)
    history = trainer.fit(
        batches, steps_per_epoch=steps, verbose=0, shuffle=False
    ).history
    return {name: values[0] for name, values in history.items()}


KINDS = {
    "cutmix": CutMix(0.8),
    "puzzlemix": PuzzleMix(0.8, neigh_size=1, transport_size=1),
    "adversarial": PuzzleMix(adversarial_probability=0.5),
}


@pytest.mark.parametrize("kind", ["cutmix", "adversarial"])
def test_runs_resume_bit_by_bit_in_one_program(kind, tmp_path):
    """Compiled by XLA, with noise, views and the Jensen-Shannon term."""
    trainer = _trainer(KINDS[kind], jit_compile=True, seed=5)
    _fit(trainer, steps=2)
    folder = CheckpointFolder(tmp_path)
    folder.save(trainer, 2)
    logs = _fit(trainer, start=2, steps=2)
    assert np.isfinite(logs["loss"])
    assert logs["jsd"] > 0
    total = logs["cross_entropy"] + 12.0 * logs["jsd"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
    whole = trainer.get_weights()
    # The program is compiled already; a new trainer has but its state.
    folder.restore(trainer)
    assert int(trainer.step) == 2
    _fit(trainer, start=2, steps=2)
    for a, b in zip(whole, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def _log_softmax(logits):
    logits = np.asarray(logits, "float64")
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


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


@pytest.mark.parametrize("kind", ["cutmix", "puzzlemix"])
@pytest.mark.parametrize("case", ["numbers", "weighted", "smoothed", "soft"])
def test_losses_are_those_of_labels_mixed_by_the_pixels(kind, case):
    """Cross-entropy with the label shares that the mixed images have.

    Regularisation counts once.
    """
    loss, labels, weight, shares = _case(case)
    model = _classifier(l2=0.1)
    trainer = _trainer(
        KINDS[kind], model=model, loss=loss, jsd_weight=0.0, seed=10, **QUIET
    )
    x = _batch(views=1)[0]
    flat, _ = trainer._view_major(x)
    plan = trainer._plan(flat, tf.constant(labels))
    permutation = plan.permutation.numpy()
    # Each image's own pixels are marked by ones.
    own = np.stack(
        [
            trainer._mixing.mix(
                tf.reshape(tf.one_hot(b, B), [1, B, 1, 1, 1])
                * tf.ones([1, B, SIDE, SIDE, 3]),
                plan,
            ).numpy()[0, b, ..., 0]
            for b in range(B)
        ]
    )
    share = own.mean((1, 2))
    share[permutation == np.arange(B)] = 1.0
    assert 0 < share.min() < 1
    targets = share[:, None] * shares
    partners = (1 - share)[:, None] * shares[permutation]
    if weight is not None:
        targets = targets * weight[:, None]
        partners = partners * weight[permutation][:, None]
    mixed = trainer._mixing.mix(model.layers[0](x[:, 0])[None], plan)[0]
    for layer in model.layers[1:]:
        mixed = layer(mixed, training=True)
    expected = -((targets + partners) * _log_softmax(mixed)).sum(-1).mean()
    expected += 0.1 * np.square(model.layers[-1].kernel).sum()
    logs = trainer.train_step(
        (x, tf.constant(labels))
        if weight is None
        else (x, tf.constant(labels), tf.constant(weight))
    )
    np.testing.assert_allclose(float(logs["loss"]), expected, rtol=1e-5)


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


def test_saliency_is_exact_enough_in_half_precision():
    """Also of images of which the network is sure."""
    model = _classifier("mixed_float16")
    logits = model.layers[-1]
    logits.kernel.assign(100.0 * logits.kernel)
    x, _ = _batch(views=1)
    features = model.layers[0](x[:, 0])
    labels = tf.argmax(model(x[:, 0]), axis=-1)
    ours = _trainer("puzzlemix", model=model)._slope(features, labels)
    assert ours.dtype == tf.float32
    exact = _classifier()
    exact.set_weights(model.get_weights())
    theirs = _trainer("puzzlemix", model=exact)._slope(features, labels)
    for a, b in zip(ours.numpy(), theirs.numpy()):
        assert np.abs(a).max() > 0
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999


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
    first, second = joined.lam.values
    assert first.shape == [B]
    logs = _fit_both(strategy, puzzle)
    assert np.isfinite(logs["loss"])


def _fit_both(strategy, trainer):
    data = tf.data.Dataset.from_tensors(_batch()).unbatch().batch(B).repeat()
    data = strategy.experimental_distribute_dataset(data)
    history = trainer.fit(data, steps_per_epoch=2, verbose=0, shuffle=False)
    return {name: values[0] for name, values in history.history.items()}


@pytest.mark.parametrize("kind", ["cutmix", "adversarial"])
def test_half_precision_trains(kind):
    model = _classifier("mixed_bfloat16")
    logs = _fit(_trainer(KINDS[kind], model=model), steps=2)
    assert np.isfinite(logs["loss"])


@pytest.mark.parametrize("mixing", ["cutmix", *KINDS.values()])
def test_trainers_keep_their_mixing_when_saved(mixing, tmp_path):
    trainer = _trainer(mixing)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert type(copy._mixing) is type(trainer._mixing)
    assert copy._mixing.get_config() == trainer._mixing.get_config()


def test_flags_make_kinds_with_their_options():
    method = config.MethodConfig(mixing="puzzlemix", mixing_probability=0.5)
    puzzle = config.PuzzleMixConfig(puzzle_labels=2, puzzle_transport_size=-1)
    run = config.Config(method=method, puzzlemix=puzzle)
    made = setup.trainer(run, _classifier(), steps_per_epoch=1)._mixing
    expected = PuzzleMix(0.5, labels=2, transport_size=-1)
    assert made.get_config() == expected.get_config()
    # The flags' defaults are those of the kind.
    assert PuzzleMix(**config.PuzzleMixConfig().options()).get_config() == (
        PuzzleMix().get_config()
    )
    known = config.MethodConfig.__dataclass_fields__["mixing"].metadata
    assert set(known["choices"]) == set(MIXINGS.names())


@pytest.mark.parametrize(
    ("taps", "expected"),
    [
        (("auto:2",), ("normalize", "relu")),
        (("auto:1",), ("normalize",)),
        (("auto:9",), ("normalize", "relu")),
    ],
)
def test_the_first_taps_can_be_asked_for(taps, expected):
    run = config.Config(method=config.MethodConfig(taps=taps))
    assert setup.trainer(run, _classifier(), 1).taps == expected


@pytest.mark.parametrize("taps", ["auto:0", "auto:x", "auto:"])
def test_bad_numbers_of_taps_are_refused(taps):
    with pytest.raises(UsageError, match=f"taps='{taps}' must be 'auto'"):
        NoisyMix(_classifier(), taps=taps)


@pytest.mark.parametrize("kind", ["cutmix", "puzzlemix"])
def test_vectors_are_refused_at_once(kind):
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    with pytest.raises(UsageError, match=r"regions of images.*shape \[7\]"):
        NoisyMix(model, mixing=kind)


def test_other_mistakes_are_named():
    with pytest.raises(UsageError, match=r"mixing=3 must be one of none, inp"):
        NoisyMix(_classifier(), mixing=3)
    with pytest.raises(UsageError, match="let taps begin with 'input'"):
        _fit(_trainer("puzzlemix", taps=["conv"]))
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    with pytest.raises(UsageError, match="reduction='mean_with_sample_w"):
        _fit(_trainer("puzzlemix", loss=loss))
