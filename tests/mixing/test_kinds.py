"""Every kind of mixing in the train step of a small classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import config
from noisymix_tf.mixing import MIXINGS, CutMix, PuzzleMix
from noisymix_tf.training import setup
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.trainer import NoisyMix
from support import small_trainer
from support.small_trainer import QUIET, SIDE, SPARSE, K, classifier
from support.usage import assert_usage_error

B = 8
KINDS = {
    "input": "input",
    "cutmix": CutMix(0.8),
    "puzzlemix": PuzzleMix(0.8, transport_size=-1),
    "adversarial": PuzzleMix(adversarial_probability=0.5, neigh_size=1),
}


def _trainer(mixing, model=None, **options):
    return small_trainer.trainer(model, mixing=mixing, **options)


def _batch(views=3):
    shape = B, views, SIDE, SIDE, 3
    x = tf.random.stateless_uniform(shape, [0, 7], 0, 255)
    return x, tf.range(B) % K


def test_a_step_is_one_program_of_xla_and_repeats_from_its_state():
    """With views, the Jensen-Shannon term and all of PuzzleMix."""
    trainer = _trainer(KINDS["adversarial"], jit=True, seed=5, **QUIET)
    data = tf.data.Dataset.from_tensors(_batch()).repeat(2)
    start, ends = [v.numpy() for v in trainer.variables], []
    for _ in range(2):
        for variable, value in zip(trainer.variables, start):
            variable.assign(value)
        logs = trainer.fit(data, verbose=0, shuffle=False).history
        ends.append(trainer.get_weights())
    for a, b in zip(*ends, strict=True):
        assert_array_equal(a, b)
    assert np.isfinite(logs["loss"][0]) and logs["jsd"][0] > 0
    total = logs["cross_entropy"][0] + 12.0 * logs["jsd"][0]
    assert_allclose(logs["loss"][0], total, rtol=1e-5)


LABELS = np.arange(B, dtype="int32") % K
ONE_HOT, WEIGHT = np.eye(K)[LABELS], np.linspace(0.5, 2.0, B, dtype="f")
SHARES = np.random.default_rng(0).dirichlet(np.ones(K), B).astype("f")
SMOOTH = SmoothedCrossEntropy(0.3)
OF_SHARES = keras.losses.CategoricalCrossentropy(True, label_smoothing=0.2)


@pytest.mark.parametrize(
    ("kind", "loss", "labels", "weight", "shares"),
    [
        ("input", SPARSE, LABELS, None, ONE_HOT),
        ("cutmix", SPARSE, LABELS, WEIGHT, ONE_HOT),
        ("puzzlemix", SMOOTH, LABELS, WEIGHT, 0.7 * ONE_HOT + 0.1),
        ("adversarial", OF_SHARES, SHARES, None, 0.8 * SHARES + 0.2 / K),
    ],
    ids=KINDS,
)
def test_losses_and_steps_are_those_of_labels_mixed_by_the_pixels(
    kind, loss, labels, weight, shares
):
    """Cross-entropy with the label shares that the mixed images have.

    Regularisation counts once; no gradient runs through the plan.
    """
    model = classifier(l2=0.1)
    options = {"loss": loss, "jsd_weight": 0.0, "seed": 10, **QUIET}
    trainer = _trainer(KINDS[kind], model, **options)
    x = _batch(views=1)[0]
    plan = trainer._plan(trainer._view_major(x)[0], tf.constant(labels))
    permutation = plan.permutation.numpy()
    # Each image's own pixels are marked by ones, in a view without an attack.
    share = np.ones(B)
    for b in np.flatnonzero(permutation != range(B)):
        marks = tf.one_hot(b, B)[:, None, None, None]
        views = tf.tile(marks[None], [2, 1, SIDE, SIDE, 3])
        share[b] = np.mean(trainer._mixing.mix(views, plan)[1, b])
    assert 0 < share.min() < 1
    weighted = shares if weight is None else shares * weight[:, None]
    targets = share[:, None] * weighted
    targets += (1 - share)[:, None] * weighted[permutation]
    kernel = model.layers[-1].kernel
    state = model.get_weights()
    with tf.GradientTape() as tape:
        h = trainer._mixing.mix(model.layers[0](x[:, 0])[None], plan)[0]
        for layer in model.layers[1:]:
            h = layer(h, training=True)
        each = tf.reduce_sum(targets * tf.nn.log_softmax(h), -1)
        expected = 0.1 * tf.reduce_sum(kernel**2) - tf.reduce_mean(each)
    slope = tape.gradient(expected, kernel.value)
    model.set_weights(state)
    before = kernel.numpy()
    parts = (x, labels) if weight is None else (x, labels, weight)
    logs = trainer.train_step(tuple(map(tf.constant, parts)))
    assert_allclose(float(logs["loss"]), expected, rtol=1e-5)
    assert_allclose(before - kernel, 0.02 * slope, atol=1e-6)


@pytest.mark.parametrize("softmax", [False, True])
def test_saliency_is_the_gradient_of_each_images_loss(softmax):
    """Up to a factor for each image; the network stays as it is."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model = classifier(activation="softmax" if softmax else None)
    trainer = _trainer("none", model, loss=loss)
    before = model.get_weights()
    x, labels = _batch(views=1)
    features = model.layers[0](x[:, 0])
    ours = trainer._slope(features, labels).numpy()
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = features
        for layer in model.layers[1:]:
            outputs = layer(outputs, training=False)
        log_p = tf.math.log(outputs) if softmax else tf.nn.log_softmax(outputs)
        each = -tf.gather(log_p, labels, batch_dims=1)
    theirs = tape.gradient(each, features).numpy()
    axes = (1, 2, 3)
    factors = (ours * theirs).sum(axes) / (theirs**2).sum(axes)
    assert (factors > 0).all()
    theirs *= factors[:, None, None, None]
    assert_allclose(ours, theirs, atol=1e-5 * abs(ours).max())
    for a, b in zip(before, model.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_half_precision_trains_and_its_saliency_is_exact_enough():
    """Also of images of which the network is sure."""
    half, exact = (classifier(d, scale=100.0) for d in ("mixed_float16", None))
    x, _ = _batch(views=1)
    features = exact.layers[0](x[:, 0])
    labels = tf.argmax(exact(x[:, 0]), axis=-1)
    ours, theirs = (
        _trainer("none", model)._slope(features, labels)
        for model in (half, exact)
    )
    assert ours.dtype == tf.float32
    for a, b in zip(ours.numpy(), theirs.numpy()):
        assert np.abs(a).max() > 0
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    trainer = _trainer(KINDS["adversarial"], classifier("mixed_bfloat16"))
    assert np.isfinite(trainer.train_step(_batch())["loss"])


def test_two_replicas_share_boxes_grids_and_attacks_but_not_their_starts():
    strategy = small_trainer.two_replicas()
    with strategy.scope():
        boxes, puzzle = _trainer("cutmix"), _trainer(KINDS["adversarial"])
    # Not what is found for a grid, which takes long to compile.
    places, mask = tf.zeros([B, SIDE**2], tf.int32), tf.ones([B, SIDE, SIDE])
    found = {"own": places, "partner": places, "mask": mask}
    puzzle._mixing._compiled = lambda grid: lambda *_: found
    x, labels = _batch(views=1)

    def plans():
        return [t._plan(x[:, 0], labels) for t in (boxes, puzzle)]

    box, joined = tf.function(lambda: strategy.run(plans))()
    for values in (box.lam, box.inside, joined.permutation, joined.chances):
        first, second = values.values
        assert_array_equal(first, second)
    first, second = joined.attack.values
    assert 0.1 < np.mean(first.numpy() != second.numpy())
    assert joined.lam.values[0].shape == [B]


@pytest.mark.parametrize("mixing", ["cutmix", KINDS["cutmix"], PuzzleMix(0.3)])
def test_trainers_keep_their_mixing_when_saved(mixing, tmp_path):
    trainer = _trainer(mixing)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert type(copy._mixing) is type(trainer._mixing)
    assert copy._mixing.get_config() == trainer._mixing.get_config()


def test_flags_make_kinds_with_their_options_and_the_first_taps():
    def made(puzzle=None, **method):
        method = config.MethodConfig(**method)
        puzzle = config.PuzzleMixConfig(**puzzle or {})
        run = config.Config(method=method, puzzlemix=puzzle)
        return setup.trainer(run, classifier(), steps_per_epoch=1)

    flags = {"puzzle_labels": 2, "puzzle_transport_size": -1}
    mixing = made(flags, mixing="puzzlemix", mixing_probability=0.5)._mixing
    expected = PuzzleMix(0.5, labels=2, transport_size=-1)
    assert mixing.get_config() == expected.get_config()
    # The flags' defaults are those of the kind.
    options = config.PuzzleMixConfig().options()
    assert PuzzleMix(**options).get_config() == PuzzleMix().get_config()
    field = config.MethodConfig.__dataclass_fields__["mixing"]
    assert set(field.metadata["choices"]) == set(MIXINGS.names())
    assert made(taps=("auto:1",)).taps == ("normalize",)
    assert made(taps=("auto:9",)).taps == ("normalize", "relu")


VECTORS = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
MEAN = keras.losses.SparseCategoricalCrossentropy(
    from_logits=True, reduction="mean_with_sample_weight"
)


def _fit(**options):
    data = tf.data.Dataset.from_tensors(_batch())
    _trainer("puzzlemix", **options).fit(data, verbose=0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _trainer("input", taps="auto:0"), "taps='auto:0' must"),
        (lambda: _trainer("input", taps="auto:x"), "taps='auto:x' must"),
        (lambda: NoisyMix(VECTORS, mixing="cutmix"), "an example has shape"),
        (lambda: NoisyMix(VECTORS, mixing="puzzlemix"), "has shape [7]"),
        (lambda: _trainer(3), "mixing=3 must be one of none, inp"),
        (lambda: _fit(taps=["relu"]), "let taps begin with 'input'"),
        (lambda: _fit(loss=MEAN), "reduction='mean_with_sample_w"),
    ],
)
def test_mistakes_are_named(call, words):
    assert_usage_error(call, words)
