"""Adversarial training: the attack in a train step, and its options."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, config, rng
from noisymix_tf.attacks import FastAdversary, PGDAdversary
from noisymix_tf.mixing import PuzzleMix
from noisymix_tf.training import setup
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.usage import assert_usage_error

B, SIDE, K = 16, 6, 3
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUIET = {"alpha": 0.0, "additive_noise": 0.0, "multiplicative_noise": 0.0}
KINDS = {
    "pgd": PGDAdversary(steps=3),
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


def _trainer(
    adversary, *, model=None, loss=SPARSE, rate=0.02, jit=None, **options
):
    trainer = NoisyMix(
        model or _classifier(),
        ["normalize", "relu"],
        adversary=adversary,
        **options,
    )
    trainer.compile(
        optimizer=keras.optimizers.SGD(rate),
        loss=loss,
        run_eagerly=jit is None,
        jit_compile=bool(jit),
    )
    return trainer


def _batch(views=3):
    """Views of half-black, half-white images: many pixels at the limits."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-200, 455, (B, views, SIDE, SIDE, 3)).clip(0, 255)
    return x.astype("float32"), generator.integers(0, K, B).astype("int32")


def _fit(trainer, steps=1, views=3):
    data = tf.data.Dataset.from_tensors(_batch(views)).repeat()
    history = trainer.fit(
        data, steps_per_epoch=steps, verbose=0, shuffle=False
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
def test_a_step_trains_on_what_evaluation_would_attack_with(kind):
    """Bit by bit, before mixing and noise; in the ball and in 0..255."""
    adversary = KINDS[kind]
    quiet = {} if kind == "l2" else QUIET
    trainer = _trainer(adversary, seed=5, **quiet)
    trainer.step.assign(7)
    x, y = _batch()
    count = B // 2 if kind == "l2" else B
    attacked = x.copy()
    attacked[:count, 0] = _by_evaluation(
        trainer.model, adversary, x[:count, 0], y[:count], _seed(trainer)
    )
    change = attacked[:, 0] - x[:, 0]
    assert attacked.min() >= 0 and attacked.max() <= 255
    moved = _size(change, adversary.norm)
    assert (moved <= adversary.eps * (1 + 1e-5)).all()
    assert (moved[:count] > 0.5 * adversary.eps).all()
    # What one step makes of a network, from these images and from the others.
    results = []
    for images, kind_of_step in (
        (x, adversary),
        (attacked, "none"),
        (x, "none"),
    ):
        trainer = _trainer(kind_of_step, seed=5, **quiet)
        trainer.step.assign(7)
        logs = trainer.train_step((tf.constant(images), tf.constant(y)))
        results.append([float(logs["loss"]), *trainer.model.get_weights()])
    for ours, theirs in zip(*results[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert results[0][0] > results[2][0]


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
        options = {"jsd_weight": 0.0, "jit": False, "rate": 0.1, **QUIET}
        trainer = _trainer(adversary, **options)
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


@pytest.mark.slow
def test_a_step_with_views_is_one_program_and_can_be_repeated():
    trainer = _trainer(KINDS["fast"], mixing="none", jit=True, **QUIET)
    before = [variable.numpy() for variable in trainer.variables]
    after = []
    for _ in range(2):
        for variable, value in zip(trainer.variables, before, strict=False):
            variable.assign(value)
        logs = _fit(trainer, steps=2)
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
    found = trainer._attacked(x, tf.constant(y))
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


@pytest.mark.parametrize("adversary", ["none", "fast", KINDS["l2"]])
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


def _attacked(labels, **options):
    x = tf.constant(_batch(1)[0][:, 0])
    loss = options.pop("loss")
    trainer = _trainer("pgd", model=_classifier(**options), loss=loss)
    return trainer._attacked(x, labels)


def _flags(**flags):
    return config.AdversaryConfig(**flags)


VECTORS = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _flags(adversary_eps=8 / 255), "range give 8."),
        (
            lambda: _flags(adversary_norm="l2", adversary_eps=0.5),
            "--adversary_eps=0.5 must be in grey levels",
        ),
        (
            lambda: _flags(adversary="fast", adversary_steps=7),
            "--adversary=fast takes one step, not --adversary_steps=7; give",
        ),
        (
            lambda: PGDAdversary(0),
            "eps=0 must be a number of grey levels above 0",
        ),
        (lambda: PGDAdversary(float("inf")), "eps=inf must be"),
        (lambda: PGDAdversary(4 / 255), "eps=0.0156863 must be in grey"),
        (lambda: PGDAdversary(0.5, "l2"), "for 0.5 of their range give 127.5"),
        (
            lambda: PGDAdversary(norm="l1"),
            "Unknown norm 'l1'. Known: linf, l2",
        ),
        (
            lambda: PGDAdversary(steps=1.5),
            "steps=1.5 must be a whole number from 1",
        ),
        (
            lambda: PGDAdversary(step_size=0.0),
            "step_size=0.0 must be a number of grey levels",
        ),
        (
            lambda: PGDAdversary(random_start=1),
            "random_start=1 must be one of True, False",
        ),
        (
            lambda: PGDAdversary(share=1.1),
            "share=1.1 must be a number above 0 and at most 1",
        ),
        (lambda: _trainer("fgsm"), "must be one of none, pgd, fast, or"),
        (
            lambda: NoisyMix(VECTORS, adversary="pgd"),
            "an example has shape [7]",
        ),
        (
            lambda: _trainer(PGDAdversary(256.0)),
            "eps=256 is more than the largest linf",
        ),
        (
            lambda: _trainer(
                "pgd", mixing=PuzzleMix(adversarial_probability=0.1)
            ),
            "PuzzleMix with an adversarial_prob",
        ),
        (
            lambda: _attacked(
                tf.one_hot(_batch()[1], K),
                activation="sigmoid",
                loss="binary_crossentropy",
            ),
            "yes or no to several",
        ),
        (
            lambda: _attacked(tf.ones([B, 1]), units=1, loss="mse"),
            "gives [16, 1]",
        ),
    ],
)
def test_bad_options_and_what_cannot_be_attacked_are_refused(call, words):
    assert_usage_error(call, words)
    # Of two images, the Euclidean distance may be longer.
    _trainer(PGDAdversary(256.0, "l2"))
