"""Adversarial training: the attack in a train step, and its options."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, config, rng
from noisymix_tf.attacks import FastAdversary, PGDAdversary
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import PuzzleMix
from noisymix_tf.training import setup
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models

B, SIDE, K = 16, 6, 3
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUIET = {"alpha": 0.0, "additive_noise": 0.0, "multiplicative_noise": 0.0}
KINDS = {
    "pgd": PGDAdversary(),
    "fast": FastAdversary(),
    "l2": PGDAdversary(60.0, "l2", 3, 30.0, random_start=False, share=0.5),
}


def _classifier(dtype=None, activation=None, units=K, scale=1.0):
    """Takes pixels; has statistics and dropout, which attacks leave alone."""

    def init(seed):
        return keras.initializers.GlorotUniform(seed=seed)

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
            layers.Conv2D(4, 3, kernel_initializer=init(1), dtype=dtype),
            layers.BatchNormalization(name="norm", dtype=dtype),
            layers.ReLU(name="relu", dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dropout(0.2, seed=3, dtype=dtype),
            layers.Dense(
                units, activation, kernel_initializer=init(2), dtype="float32"
            ),
        ]
    )
    model.layers[-1].kernel.assign(scale * model.layers[-1].kernel)
    return model


def _trainer(adversary, *, model=None, loss=SPARSE, jit=False, **options):
    trainer = NoisyMix(
        model or _classifier(),
        ["normalize", "relu"],
        adversary=adversary,
        **options,
    )
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.02), loss=loss, jit_compile=jit
    )
    return trainer


def _batch(views=3):
    """Views of half-black, half-white images: many pixels at the limits."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-200, 455, (B, views, SIDE, SIDE, 3)).clip(0, 255)
    return x.astype("float32"), generator.integers(0, K, B).astype("int32")


def _fit(trainer, steps=2, views=3, distribute=lambda data: data):
    data = tf.data.Dataset.from_tensors(_batch(views)).unbatch().batch(B)
    history = trainer.fit(
        distribute(data.repeat()),
        steps_per_epoch=steps,
        verbose=0,
        shuffle=False,
    ).history
    return {name: values[0] for name, values in history.items()}


def _size(difference, norm):
    rows = np.abs(difference.reshape(len(difference), -1).astype("float64"))
    return rows.max(1) if norm == "linf" else np.sqrt((rows**2).sum(1))


def _seed(trainer, replica=0):
    key = rng.stream(trainer.seed, trainer.step, "adversary", replica)
    return int(key[0]) & 0x7FFFFFFF


def _by_evaluation(model, adversary, x, y, seed, jit=False):
    """What the attack that evaluation measures with finds."""
    step_size = adversary.step_size or adversary.relative_step * adversary.eps
    return attacks.pgd(
        model,
        x,
        y,
        adversary.eps / 255,
        norm=adversary.norm,
        steps=adversary.steps,
        step_size=step_size / 255,
        random_start=adversary.random_start,
        seed=seed,
        jit_compile=jit,
    ).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_train_step_sees_what_evaluation_would_attack_with(kind):
    """Bit by bit, before mixing and noise; in the ball and in 0..255."""
    adversary = KINDS[kind]
    quiet = {} if kind == "l2" else QUIET
    trainer = _trainer(adversary, seed=5, **quiet)
    trainer.step.assign(7)
    x, y = _batch()
    seen = []

    def forward(x, num_views, plan):
        seen.append(x)
        return NoisyMix._forward(trainer, x, num_views, plan)

    trainer._forward = forward
    expected = x[:, 0].copy()
    count = B // 2 if kind == "l2" else B
    expected[:count] = _by_evaluation(
        trainer.model, adversary, x[:count, 0], y[:count], _seed(trainer)
    )

    @tf.function
    def step(x, y):
        trainer._pass(x, y, None)
        return seen[-1]

    by_view = (
        step(tf.constant(x), tf.constant(y))
        .numpy()
        .reshape(3, B, SIDE, SIDE, 3)
    )
    np.testing.assert_array_equal(by_view[0], expected)
    np.testing.assert_array_equal(by_view[1:], np.moveaxis(x[:, 1:], 1, 0))
    assert by_view[0].min() >= 0 and by_view[0].max() <= 255
    moved = _size(by_view[0] - x[:, 0], adversary.norm)
    assert (moved <= adversary.eps * (1 + 1e-5)).all()
    assert (moved[:count] > 0.5 * adversary.eps).all()
    assert (moved[count:] == 0).all()


def test_compiled_by_xla_it_is_the_same_attack_and_changes_nothing():
    adversary = PGDAdversary(steps=2)
    trainer = _trainer(adversary)
    x, y = _batch(1)
    x = x[:, 0]
    before = [variable.numpy() for variable in trainer.variables]
    attack = tf.function(trainer._attacked, jit_compile=True)
    found = attack(tf.constant(x), tf.constant(y)).numpy()
    expected = _by_evaluation(
        trainer.model, adversary, x, y, _seed(trainer), jit=True
    )
    np.testing.assert_array_equal(found, expected)
    for a, b in zip(before, trainer.variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    # The same at this step ever after, another one at the next.
    np.testing.assert_array_equal(attack(tf.constant(x), tf.constant(y)), found)
    trainer.step.assign_add(1)
    assert (attack(tf.constant(x), tf.constant(y)).numpy() != found).any()


def test_it_does_more_harm_than_noise_and_training_makes_it_do_less():
    x, y = _batch(1)
    images = x[:, 0]

    def trained(adversary):
        trainer = _trainer(adversary, jsd_weight=0.0, **QUIET)
        trainer.optimizer.learning_rate = 0.1
        _fit(trainer, steps=60, views=1)
        return trainer.model

    def accuracy(model, images):
        return (model(images).numpy().argmax(-1) == y).mean()

    def worst(model, eps):
        return _by_evaluation(model, PGDAdversary(eps), images, y, seed=0)

    plain, hardened = trained("none"), trained(FastAdversary(32.0))
    signs = np.random.default_rng(1).choice([-64.0, 64.0], images.shape)
    noisy = (images + signs).clip(0, 255).astype("float32")
    assert accuracy(plain, noisy) > 0.9
    assert accuracy(plain, worst(plain, 64.0)) < 0.1
    losses = [SPARSE(y, m(worst(m, 32.0))) for m in (plain, hardened)]
    assert losses[1] < 0.6 * losses[0]


def test_a_step_with_views_is_one_program_and_can_be_repeated():
    trainer = _trainer(KINDS["fast"], mixing="none", jit=True, **QUIET)
    before = [variable.numpy() for variable in trainer.variables]
    after = []
    for _ in range(2):
        for variable, value in zip(trainer.variables, before, strict=True):
            variable.assign(value)
        logs = _fit(trainer)
        after.append(trainer.get_weights())
    assert np.isfinite(logs["loss"]) and logs["jsd"] > 0
    for a, b in zip(*after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_finds_the_way_up_where_the_network_is_sure():
    model = _classifier("mixed_float16", scale=40.0)
    exact = _classifier(scale=40.0)
    x, _ = _batch(1)
    images = tf.constant(x[:, 0])
    labels = tf.argmax(exact(images), axis=-1, output_type=tf.int32)
    adversary = PGDAdversary(steps=1, step_size=8.0, random_start=False)
    ours = _trainer(adversary, model=model)._attacked(images, labels)
    theirs = _trainer(adversary, model=exact)._attacked(images, labels)
    agree = np.sign(ours - images) == np.sign(theirs - images)
    assert agree.mean() > 0.97
    logs = _fit(_trainer(FastAdversary(), model=model, **QUIET))
    assert np.isfinite(logs["loss"])


def test_two_replicas_start_at_places_of_their_own():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        trainer = _trainer(KINDS["fast"], seed=3, mixing="none", **QUIET)
    x, y = _batch(1)
    images, labels = tf.constant(x[:, 0]), tf.constant(y)

    @tf.function
    def attacked():
        return strategy.run(trainer._attacked, (images, labels))

    for replica, found in enumerate(attacked().values):
        expected = _by_evaluation(
            _classifier(), KINDS["fast"], x[:, 0], y, _seed(trainer, replica)
        )
        np.testing.assert_array_equal(found, expected)
    logs = _fit(trainer, distribute=strategy.experimental_distribute_dataset)
    assert np.isfinite(logs["loss"])


def test_labels_and_outputs_of_other_forms_are_attacked_alike():
    adversary = PGDAdversary(steps=2)
    x, y = _batch(1)
    x = tf.constant(x[:, 0])
    expected = _trainer(adversary)._attacked(x, tf.constant(y))
    soft = 0.7 * np.eye(K, dtype="float32")[y] + 0.1
    for labels in (y[:, None], y.astype("float32"), soft):
        found = _trainer(adversary)._attacked(x, tf.constant(labels))
        np.testing.assert_array_equal(found, expected)
    model = _classifier(activation="softmax")
    trainer = _trainer(
        adversary, model=model, loss="sparse_categorical_crossentropy"
    )
    found = tf.function(trainer._attacked)(x, tf.constant(y))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_batch_of_unknown_size_and_pixels_out_of_range():
    adversary = PGDAdversary(steps=1, share=0.3, random_start=False)
    trainer = _trainer(adversary)
    specs = [
        tf.TensorSpec([None, SIDE, SIDE, 3]),
        tf.TensorSpec([None], tf.int32),
    ]
    attack = tf.function(trainer._attacked, input_signature=specs)
    x, y = _batch(1)
    for size, count in ((16, 5), (4, 1), (1, 1)):
        images = x[:size, 0] * 2 - 100
        found = attack(images, y[:size]).numpy()
        assert found[:count].min() >= 0 and found[:count].max() <= 255
        assert np.abs(found[:count] - images[:count].clip(0, 255)).max() <= 8.1
        np.testing.assert_array_equal(found[count:], images[count:])
        again = trainer._attacked(tf.constant(images), tf.constant(y[:size]))
        np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("adversary", ["none", "fast", *KINDS.values()])
def test_trainers_keep_their_adversary_when_saved(adversary, tmp_path):
    trainer = _trainer(adversary)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")._adversary
    assert type(copy) is type(trainer._adversary)
    if adversary != "none":
        assert copy.get_config() == trainer._adversary.get_config()


def test_flags_make_adversaries_with_their_options():
    def made(**flags):
        run = config.Config(adversary=config.AdversaryConfig(**flags))
        return setup.trainer(run, fit_models.classifier(), 1)._adversary

    assert made() is None
    for kind, cls in attacks.ADVERSARIES.items():
        # The flags' defaults are those of the kind.
        adversary = made(adversary=kind)
        assert type(adversary) is cls
        assert adversary.get_config() == cls().get_config()
    adversary = made(
        adversary="pgd",
        adversary_norm="l2",
        adversary_eps=100.0,
        adversary_steps=3,
        adversary_step_size=50.0,
        adversary_random_start=False,
        adversary_share=0.5,
    )
    expected = PGDAdversary(100.0, "l2", 3, 50.0, False, 0.5)
    assert adversary.get_config() == expected.get_config()
    known = config.AdversaryConfig.__dataclass_fields__["adversary"].metadata
    assert set(known["choices"]) == {"none", *attacks.ADVERSARIES.names()}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"adversary_eps": 0.0}, "--adversary_eps=0.0 must be greater than 0"),
        ({"adversary_steps": 0}, "--adversary_steps=0 must be at least 1"),
        ({"adversary_eps": 8 / 255}, "grey levels .* range give 8\\.$"),
        (
            {"adversary_norm": "l2", "adversary_eps": 0.5},
            "--adversary_eps=0.5 must be in grey levels .* give 127.5\\.$",
        ),
        ({"adversary_step_size": -1.0}, "--adversary_step_size=-1.0 must be"),
        ({"adversary_share": 0.0}, "--adversary_share=0.0 must be above 0 and"),
        (
            {"adversary": "fast", "adversary_steps": 7},
            "--adversary=fast takes one step, not --adversary_steps=7; give",
        ),
    ],
)
def test_bad_flags_are_refused(flags, words):
    with pytest.raises(UsageError, match=words):
        config.AdversaryConfig(**flags)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eps": 0}, "eps=0 must be a number of grey levels above 0"),
        ({"eps": float("inf")}, "eps=inf must be"),
        (
            {"eps": 4 / 255},
            r"eps=0.0156863 must be in grey .* give 4\.$",
        ),
        ({"eps": 0.5, "norm": "l2"}, r"for 0.5 of their range give 127.5"),
        ({"norm": "l1"}, "Unknown norm 'l1'. Known: linf, l2"),
        ({"steps": 1.5}, "steps=1.5 must be a whole number from 1"),
        ({"step_size": 0.0}, "step_size=0.0 must be a number of grey levels"),
        ({"random_start": 1}, "random_start=1 must be one of True, False"),
        ({"share": 1.1}, "share=1.1 must be a number above 0 and at most 1"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        PGDAdversary(**options)


def test_what_cannot_be_attacked_is_refused():
    with pytest.raises(UsageError, match=r"must be one of none, pgd, fast, or"):
        _trainer("fgsm")
    vectors = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    with pytest.raises(UsageError, match=r"pixels of images.*shape \[7\]"):
        NoisyMix(vectors, adversary="pgd")
    with pytest.raises(UsageError, match=r"eps=256 is more than the .* linf"):
        _trainer(PGDAdversary(256.0))
    _trainer(PGDAdversary(256.0, "l2"))
    with pytest.raises(UsageError, match="PuzzleMix with an adversarial_prob"):
        _trainer("pgd", mixing=PuzzleMix(adversarial_probability=0.1))
    x, y = _batch(1)
    x, one = tf.constant(x[:, 0]), tf.ones([B, 1])
    sigmoid = _classifier(activation="sigmoid")
    trainer = _trainer("pgd", model=sigmoid, loss="binary_crossentropy")
    with pytest.raises(UsageError, match="yes or no to several"):
        trainer._attacked(x, tf.one_hot(y, K))
    trainer = _trainer("pgd", model=_classifier(units=1), loss="mse")
    with pytest.raises(UsageError, match=r"gives \[16, 1\]"):
        trainer._attacked(x, one)
