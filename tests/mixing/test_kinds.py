"""Every kind of mixing in a train step; CutMix against the published rule."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from noisymix_tf import config, rng
from noisymix_tf.mixing import CutMix, InputMixing, PuzzleMix
from noisymix_tf.mixing.cutmix import box
from noisymix_tf.training import setup
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.step import settled_plan, slopes
from support import small_trainer
from support.fit_models import NO_NOISE, SPARSE, two_replicas
from support.small_trainer import SIDE, K, classifier
from support.trainings import assert_equal
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
    x = tf.random.stateless_uniform((B, views, SIDE, SIDE, 3), [0, 7], 0, 255)
    return x, tf.range(B) % K


@pytest.mark.slow
def test_a_step_is_one_program_of_xla_and_repeats_from_its_state():
    trainer = _trainer(KINDS["adversarial"], jit=True, seed=5, **NO_NOISE)
    data = tf.data.Dataset.from_tensors(_batch()).repeat(2)
    start, ends = [v.numpy() for v in trainer.variables], []
    for _ in range(2):
        for variable, value in zip(trainer.variables, start):
            variable.assign(value)
        logs = trainer.fit(data, verbose=0, shuffle=False).history
        ends.append([*trainer.get_weights(), logs["loss"][0]])
    assert_equal(*ends)
    total = logs["cross_entropy"][0] + 12.0 * logs["jsd"][0]
    assert np.isfinite(total) and logs["jsd"][0] > 0
    assert_allclose(logs["loss"][0], total, rtol=1e-5)


LABELS = np.arange(B, dtype="int32") % K
ONE_HOT, WEIGHT = np.eye(K)[LABELS], np.linspace(0.5, 2.0, B, dtype="f")
SHARES = np.random.default_rng(0).dirichlet(np.ones(K), B).astype("f")
SMOOTH = SmoothedCrossEntropy(0.3)
OF_SHARES = keras.losses.CategoricalCrossentropy(True, label_smoothing=0.2)
CASES = [
    ("input", SPARSE, LABELS, None, ONE_HOT),
    ("cutmix", SPARSE, LABELS, WEIGHT, ONE_HOT),
    pytest.param(
        ("puzzlemix", SMOOTH, LABELS, WEIGHT, 0.7 * ONE_HOT + 0.1),
        marks=pytest.mark.slow,
    ),
    ("adversarial", OF_SHARES, SHARES, None, 0.8 * SHARES + 0.2 / K),
]


@pytest.mark.parametrize("case", CASES, ids=KINDS)
def test_losses_and_steps_are_those_of_labels_mixed_by_the_pixels(case):
    """Regularisation counts once; no gradient runs through the plan."""
    kind, loss, labels, weight, shares = case
    model = classifier(l2=0.1)
    options = {"loss": loss, "jsd_weight": 0.0, "seed": 10, **NO_NOISE}
    trainer = _trainer(KINDS[kind], model, **options)
    x = _batch(views=1)[0]
    plan = settled_plan(trainer.parts(), x[:, 0], tf.constant(labels))
    permutation = plan.permutation.numpy()
    # Each image's own pixels are marked by ones, in a view without an attack.
    share = np.ones(B)
    for b in np.flatnonzero(permutation != range(B)):
        marks = tf.one_hot(b, B)[:, None, None, None]
        views = tf.tile(marks[None], [2, 1, SIDE, SIDE, 3])
        share[b] = np.mean(trainer._mixing.mix(views, plan)[1, b])
    assert 0 < share.min() < 1
    weighted = shares if weight is None else shares * weight[:, None]
    targets = share[:, None] * (weighted - weighted[permutation])
    targets += weighted[permutation]
    kernel, state = model.layers[-1].kernel, model.get_weights()
    before = kernel.numpy()
    with tf.GradientTape() as tape:
        h = trainer._mixing.mix(model.layers[0](x[:, 0])[None], plan)[0]
        for layer in model.layers[1:]:
            h = layer(h, training=True)
        each = tf.reduce_sum(targets * tf.nn.log_softmax(h), -1)
        expected = 0.1 * tf.reduce_sum(kernel**2) - tf.reduce_mean(each)
    slope = tape.gradient(expected, kernel.value)
    model.set_weights(state)
    parts = (x, labels) if weight is None else (x, labels, weight)
    logs = trainer.train_step(tuple(map(tf.constant, parts)))
    assert_allclose(float(logs["loss"]), expected, rtol=1e-5)
    assert_allclose(before - kernel, 0.02 * slope, atol=1e-6)


@pytest.mark.parametrize("softmax", [False, True])
def test_saliency_is_the_gradient_of_each_images_loss(softmax):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model = classifier(activation="softmax" if softmax else None)
    before, (x, labels) = model.get_weights(), _batch(views=1)
    features = model.layers[0](x[:, 0])
    parts = _trainer("none", model, loss=loss).parts()
    ours = slopes(parts, features, labels).numpy()
    with tf.GradientTape() as tape:
        tape.watch(h := features)
        for layer in model.layers[1:]:
            h = layer(h, training=False)
        log_p = tf.math.log(h) if softmax else tf.nn.log_softmax(h)
        each = -tf.gather(log_p, labels, batch_dims=1)
    theirs, axes = tape.gradient(each, features).numpy(), (1, 2, 3)
    squares = (theirs**2).sum(axes, keepdims=True)
    factors = (ours * theirs).sum(axes, keepdims=True) / squares
    assert (factors > 0).all()
    assert_allclose(ours, factors * theirs, atol=1e-5 * abs(ours).max())
    assert_equal(before, model.get_weights())


def test_half_precision_trains_and_its_saliency_is_exact_enough():
    half, exact = (classifier(d, scale=100.0) for d in ("mixed_float16", None))
    x = _batch(views=1)[0][:, 0]
    batch = exact.layers[0](x), tf.argmax(exact(x), axis=-1)
    parts = [_trainer("none", model).parts() for model in (half, exact)]
    found = [slopes(part, *batch) for part in parts]
    assert found[0].dtype == tf.float32
    for ours, theirs in zip(*found):
        assert np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1] > 0.999
    trainer = _trainer(KINDS["adversarial"], classifier("mixed_bfloat16"))
    assert np.isfinite(trainer.train_step(_batch())["loss"])


def test_two_replicas_share_grids_and_attacks_but_not_their_starts():
    strategy = two_replicas()
    with strategy.scope():
        trainer = _trainer(KINDS["adversarial"])
    # Not what is found for a grid, which takes long to compile.
    places, mask = tf.zeros([B, SIDE**2], tf.int32), tf.ones([B, SIDE, SIDE])
    found = {"own": places, "partner": places, "mask": mask}
    trainer._mixing._compiled = lambda grid: lambda *_: found
    x, labels = _batch(views=1)
    given = trainer.parts(), x[:, 0], labels
    plan = tf.function(lambda: strategy.run(settled_plan, given))()
    for values in (plan.permutation, plan.chances):
        assert_array_equal(*values.values)
    first, second = plan.attack.values
    assert 0.1 < np.mean(first.numpy() != second.numpy())
    assert plan.lam.values[0].shape == [B]


def test_flags_make_kinds_with_their_options_and_mistakes_are_named():
    puzzle = {"puzzle_labels": 2, "puzzle_transport_size": -1}

    def made(**method):
        run = config.Config(**method, **puzzle)
        return setup.trainer(run, classifier(), steps_per_epoch=1)

    mixing = made(mixing="puzzlemix", mixing_probability=0.5)._mixing
    expected = PuzzleMix(0.5, labels=2, transport_size=-1)
    assert mixing.get_config() == expected.get_config()
    assert made(taps=("auto:1",)).taps == ("normalize",)
    assert made(taps=("auto:9",)).taps == ("normalize", "relu")
    _refused("taps='auto:0' must", "input", taps="auto:0")
    assert_usage_error(lambda: CutMix(-0.1), "-0.1 must be in [0, 1]")
    assert_usage_error(lambda: CutMix(True), "probability=True")
    _refused("mixing=3 must be one of none, inp", 3)
    vectors = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    for kind in ("cutmix", "puzzlemix"):
        words = (
            "mixes regions of images [H, W, C], but an example has shape [7]"
        )
        _refused(words, kind, vectors, taps=["input"])
    _refused("let taps begin with 'input'", "puzzlemix", taps=["relu"])
    mean = "mean_with_sample_weight"
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=mean)
    for given in (loss, [loss], {"logits": loss}):
        _refused(f"reduction='{mean}", "puzzlemix", loss=given)


def _refused(words, *args, **options):
    data = tf.data.Dataset.from_tensors(_batch())
    assert_usage_error(lambda: _trainer(*args, **options).fit(data), words)


HEIGHT, WIDTH, BATCH = 12, 20, 4


def test_boxes_are_the_published_ones_and_draws_have_their_laws():
    for lam in (0.0, 0.1, 0.37, 0.93, 0.999, 1.0):
        # The published rule, with the sides called by their names.
        cut = np.sqrt(1.0 - lam)
        half_h, half_w = int(HEIGHT * cut) // 2, int(WIDTH * cut) // 2
        for row, column in ((0, 0), (3, 19), (11, 7), (6, 10)):
            expected = np.zeros((HEIGHT, WIDTH), bool)
            top, left = max(row - half_h, 0), max(column - half_w, 0)
            expected[top : row + half_h, left : column + half_w] = True
            centre = [(row + 0.5) / HEIGHT, (column + 0.5) / WIDTH]
            ours = box(tf.constant(lam), tf.constant(centre), HEIGHT, WIDTH)
            assert_array_equal(ours, expected)
    mixing = CutMix(probability=0.7).bind(num_taps=4, alpha=0.5)
    draw = tf.function(lambda s: mixing.plan(rng.stream(1, s, "mixing"), BATCH))
    count = 400
    draws = [draw(tf.constant(step)) for step in range(count)]
    own = np.zeros([2, BATCH, HEIGHT, WIDTH, 1], np.float32)
    own += np.arange(BATCH).reshape(-1, 1, 1, 1)

    images = tf.zeros((BATCH, HEIGHT, WIDTH, 1))
    clean = types.SimpleNamespace(images=images, features=tf.identity)

    @tf.function(jit_compile=True)
    def mixed(drawn):
        plan = mixing.settle(drawn, clean)
        return plan, mixing.mix(tf.constant(own), plan)

    for plan, ours in map(mixed, draws[:40]):
        inside, order = plan.inside.numpy(), plan.permutation.numpy()
        expected = np.where(inside[..., None], own[:, order], own)
        assert_array_equal(ours, expected)
        assert_allclose(plan.lam, 1 - inside.mean(), atol=1e-6)
        assert int(plan.tap) == 0
    lams = np.array([float(plan.lam) for plan in draws])
    centres, mixes = np.array([plan.centre for plan in draws]), lams < 1.0
    assert abs(mixes.mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / count)
    # Beta(1/2, 1/2) is the arcsine law.
    for values in (2 / np.pi * np.arcsin(np.sqrt(lams[mixes])), *centres.T):
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(count)
    assert abs(np.corrcoef(centres[mixes, 0], lams[mixes])[0, 1]) < 0.25
    # The partners of a step do not depend on the kind.
    seed = rng.stream(1, 0, "mixing")
    other = InputMixing(probability=0.0).bind(1, 1.0).plan(seed, BATCH)
    assert_array_equal(draws[0].permutation, other.permutation)
    assert float(other.lam) == 1.0
