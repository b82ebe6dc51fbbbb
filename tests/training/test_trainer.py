"""The train step: the reference's numbers, random streams, programs, `fit`."""

import functools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import SGD

from noisymix_tf import models
from noisymix_tf.attacks import PGDAdversary
from noisymix_tf.mixing import CutMix
from noisymix_tf.training.losses import STABILITIES
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.fit_models import NO_NOISE, QUIET, SPARSE, B, classifier, step
from support.usage import assert_usage_error

VIEWS, LABELS = fit_models.batch()
IMAGES = VIEWS[:, 0]
STD = {"noise_scale": "std"}
K, LAM, ORDER = 4, 0.3, [2, 0, 1, 4, 3, 7, 5, 6]
EAGER = {"verbose": 0, "shuffle": False}


def test_loss_and_gradients_match_the_reference_at_each_tap(golden):
    """A wrong tap, order of the views, share of a label, term or weight."""
    file = golden("tiny_wrn10_1.npz")
    model = models.wide_resnet(10, 1, dropout=0.0)
    weights = {k[3:]: file[k] for k in file.files if k.startswith("w__")}
    images = file["images_uint8"].reshape(3, 8, 32, 32, 3)
    variables = {
        "conv1": model.get_layer("stem").kernel,
        "linear": model.get_layer("logits").kernel,
        "layer2_0_bn1_weight": model.get_layer("stage2_block1_bn1").gamma,
    }
    layouts = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    for tap in range(4):
        models.load_torch_weights(model, weights)
        plan = fit_models.Fixed(tap, file["lam"][0], file["perm"])
        trainer = NoisyMix(model, mixing=plan, **NO_NOISE)
        trainer.compile(L2SGD(1.0), SPARSE, jit_compile=False)
        before = {name: v.numpy() for name, v in variables.items()}
        logs = step(trainer, images.swapaxes(0, 1), file["targets"])
        np.testing.assert_allclose(logs["loss"], file[f"loss_k{tap}"], 1e-4)
        for name, variable in variables.items():
            # With rate 1 and no momentum a step is the negative gradient.
            found = before[name] - variable.numpy()
            expected = file[f"grad_{name}_k{tap}"]
            expected = expected.transpose(layouts[expected.ndim])
            # Rounding flips a rectifier here and there: 1e-3 of few entries.
            atol = 2e-3 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, atol=atol)


def test_without_mixing_noise_or_views_it_is_ordinary_training():
    """And so the fused normalisation is Keras' own."""
    plain = fit_models.model("plain", run_eagerly=True)
    ours = fit_models.model("noisymix", jsd_weight=0.0, **QUIET)
    for _ in range(3):
        expected = plain.train_on_batch(IMAGES, LABELS, return_dict=True)
        logs = step(ours, VIEWS[:, :1], LABELS)
        logs = {name: logs[name] for name in expected}
        assert logs == pytest.approx(expected, rel=1e-4)
    for a, b in zip(ours.model.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def _recorder(**options):
    network = fit_models.Subclassed()
    trainer = fit_models.compiled("noisymix", network, "input", **options)
    return trainer, network.seen


def test_views_and_replicas_share_the_plan_and_not_the_noise():
    def given(**options):
        trainer, seen = _recorder(**options)
        step(trainer, tf.stack([IMAGES] * 3, 1), LABELS)
        return seen[0].numpy().reshape(3, B, 8, 8, 3) - IMAGES.numpy()

    change = given(mixing="input", **NO_NOISE)
    assert change.any() and (change == change[0]).all()
    noise = given(mixing="none", noise_per_view=1)
    assert abs((noise == 0).mean() - 0.65**2) < 0.02
    pairs = np.corrcoef(noise.reshape(3, -1))[np.triu_indices(3, 1)]
    assert np.abs(pairs).max() < 0.06
    additive = {"mixing": "none", "multiplicative_noise": 0.0}
    low, mid, high = np.abs(given(**additive, noise_per_view=(0, 1e-3, 1e3)))
    assert not low.any() and 0 < mid.max() < 0.1 < 10 < high.max()
    # Views beyond the last factor use the last.
    noise = given(**additive, noise_per_view=(0, 1)).any(axis=(1, 2, 3, 4))
    assert list(noise) == [False, True, True]
    strategy = fit_models.two_replicas()

    def same(**options):
        with strategy.scope():
            trainer, seen = _recorder(**options)
            trainer.model(IMAGES)
            trainer.optimizer.build(trainer.trainable_weights)
        seen.clear()
        strategy.run(trainer.train_step, args=((VIEWS, LABELS),))
        return np.mean(seen[0] == seen[1])

    assert same(mixing="input", **NO_NOISE) == 1.0
    assert same(mixing="none") < 0.5


@pytest.mark.parametrize("options", [NO_NOISE, {"mixing": "none"}])
def test_steps_are_functions_of_the_seed_and_of_their_number(options):
    options = {"rate": 0.0, **options}
    trainer = fit_models.model("noisymix", seed=1, **options)
    other = fit_models.model("noisymix", seed=2, **options)
    first, second = (step(trainer, VIEWS, LABELS) for _ in range(2))
    assert first["loss"] != second["loss"]
    trainer.step.assign(0)
    assert step(trainer, VIEWS, LABELS) == first
    assert step(other, VIEWS, LABELS)["loss"] != first["loss"]


@pytest.mark.slow
def test_the_whole_step_is_one_xla_program_that_levels_do_not_trace_again():
    """Equal to the eager steps; a level is no constant of the program."""
    xla, eager = (
        fit_models.model("noisymix", optimizer=SGD(0.02), **STD, **options)
        for options in ({"jit_compile": True}, {})
    )
    traces, train_step = [], xla.train_step
    xla.train_step = lambda data: traces.append(1) or train_step(data)
    for trainer in (xla, eager):
        # XLA has a random generator of its own.
        trainer.alpha = trainer.additive_noise = 0.0
        trainer.multiplicative_noise = 0.0
    fit_models.fit(xla, steps_per_epoch=2)
    # A function that creates variables is traced twice.
    assert (at_first := len(traces)) <= 2
    for batch in fit_models.batches("noisymix").take(2):
        step(eager, *batch)
    for a, b in zip(xla.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert xla.noise_variance.numpy()[0] > 0
    xla.optimizer.learning_rate = 0.0

    def logs(**levels):
        for name, value in levels.items():
            setattr(xla, name, value)
        xla.step.assign(0)
        xla.noise_variance.assign([1.0, 1.0])
        history = fit_models.fit(xla, steps_per_epoch=1)
        return {name: values[0] for name, values in history.items()}

    silent, heavier = logs(), logs(jsd_weight=24.0)
    gain = 12.0 * silent["jsd"]
    assert heavier["loss"] - silent["loss"] == pytest.approx(gain, rel=1e-3)
    assert logs(alpha=1.0)["cross_entropy"] != silent["cross_entropy"]
    first = logs(additive_noise=0.5, jsd_weight=12.0)
    assert first["jsd"] != logs(multiplicative_noise=0.5)["jsd"]
    total = first["cross_entropy"] + 12.0 * first["jsd"]
    assert first["loss"] == pytest.approx(total, rel=1e-5)
    assert logs(multiplicative_noise=0.0) == first
    assert len(traces) == at_first


def test_a_level_of_zero_can_be_raised_and_xla_is_kept(determinism, recwarn):
    """Keras would store False where operations are deterministic, and warn."""
    trainer = fit_models.model("noisymix", rate=0.0, jsd_weight=0.0, **QUIET)

    def jsd():
        trainer.step.assign(0)
        return fit_models.fit(trainer, steps_per_epoch=1)["jsd"][0]

    assert jsd() == 0.0
    trainer.jsd_weight = 1.0
    assert (first := jsd()) > 0.0
    trainer.additive_noise = 3.0
    assert jsd() != first
    trainer = fit_models.model("noisymix", jit_compile=True)
    assert trainer.jit_compile is True
    assert not any("jit_compile" in str(each.message) for each in recwarn)
    trainer.compile("sgd", trainer.loss)
    assert trainer.jit_compile is False


def test_prediction_is_of_single_images_and_survives_saving(tmp_path):
    for model in (classifier(), fit_models.Subclassed()):
        trainer = fit_models.compiled("noisymix", model, "input")
        found = trainer.predict_on_batch(IMAGES)
        np.testing.assert_allclose(found, model(IMAGES), atol=1e-5)
    parts = {"mixing": CutMix(0.8), "adversary": PGDAdversary(60, "l2", 1)}
    options = {"alpha": 0.7, "noise_per_view": 2, "stability": "kl", **parts}
    options |= {"noise_per_tap": (1, 0.5), **STD}
    trainer = fit_models.model("noisymix", **options)
    step(trainer, VIEWS, LABELS)
    for model in (trainer.model, trainer):
        model.save(tmp_path / "saved.keras")
        copy = keras.models.load_model(tmp_path / "saved.keras")
        np.testing.assert_array_equal(copy(IMAGES), trainer(IMAGES))
    # Of views it takes the clean one.
    np.testing.assert_array_equal(trainer(VIEWS), trainer(IMAGES))
    assert copy.taps == ("normalize", "relu") and copy.alpha == 0.7
    assert copy.noise_per_view == (2.0,) and int(copy.step) == 1
    assert copy.noise_per_tap == (1.0, 0.5) and copy.noise_variance[0] > 0
    assert copy.stability == "kl"
    for name, part in parts.items():
        assert getattr(copy, name).get_config() == part.get_config()
    # Optimizer and streams go on where they were.
    assert step(copy, VIEWS, LABELS) == step(trainer, VIEWS, LABELS)


def _traced(*shape, side=8, **options):
    """Cut at its taps, the model would train on images of any size."""
    layers = [
        keras.Input((side, side, 3)),
        keras.layers.Conv2D(4, 3, name="conv"),
    ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    taps = ["input", "conv"]
    trainer = fit_models.compiled("noisymix", model, taps, **options)
    step = tf.function(trainer.train_step, autograph=False)
    labels = tf.TensorSpec([2], tf.int32)
    return step.get_concrete_function((tf.TensorSpec(shape), labels))


def _dim(**options):
    return functools.partial(tf.identity, **options)


def test_bad_arguments_are_named_and_good_ones_are_taken():
    nan, network, form = float("nan"), classifier(), "must be numbers of at"
    for arguments, words in (
        ({"alpha": -1.0}, "alpha=-1.0 must be a number at least 0"),
        ({"noise_sparsity": 1.5}, "noise_sparsity=1.5 must be a number in [0"),
        ({"noise_per_view": (nan, 1)}, f"noise_per_view=(nan, 1) {form}"),
        ({"noise_per_view": (1, -1)}, f"noise_per_view=(1, -1) {form}"),
        ({"noise_per_view": ()}, f"noise_per_view=() {form}"),
        ({"noise_per_view": None}, f"noise_per_view=None {form}"),
        ({"noise_per_tap": (1, -1)}, f"noise_per_tap=(1, -1) {form}"),
        ({"noise_per_tap": (1, 2), "taps": "input"}, "there are 1 (input): l"),
        ({"noise_scale": "rms"}, "noise_scale='rms' must be one of absolute"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number of at most 32 bits"),
        ({"seed": 2**32}, "seed=4294967296 must be a whole number"),
        ({"seed": -(2**31) - 1}, "seed=-2147483649 must be a whole number"),
        ({"from_logits": "no"}, "from_logits='no' must be one of True, False"),
        ({"from_logits": False}, "gives logits (it ends in no activation)"),
        ({"taps": 3}, "taps=3 must be 'auto', such as 'auto:3', or names of"),
        ({"augment": "augmix"}, "augment='augmix' cannot be saved"),
        ({"augment": _dim(by={1})}, "by={1}) cannot be saved with the trainer"),
        ({"model": keras.Model}, "Model'>: build or load one first"),
        ({"model": NoisyMix(network)}, "attribute model"),
    ):
        given = {"model": network} | arguments
        assert_usage_error(functools.partial(NoisyMix, **given), words)
    other = "but the model takes [8, 8, 3]: give it views of that shape"
    unknown = "do not say how many views an image has"
    shapes = {(2, 3, 16, 16, 3): other, (2, 16, 16, 3): other, (2, 3): other}
    for shape, words in (shapes | {(2, None, 8, 8, 3): unknown}).items():
        assert_usage_error(functools.partial(_traced, *shape), words)
    unknown = functools.partial(_traced, None, 3, None, None, 3, side=None)
    for kind in ("cutmix", "puzzlemix"):
        words = "but these are of unknown size, [None, None, 3]: resize"
        assert_usage_error(unknown, words, mixing=kind)
    assert unknown(noise_scale="std")
    path = pathlib.Path("a")
    config = NoisyMix(network, augment=_dim(name=path)).get_config()
    assert config["augment"]["options"] == {"name": "a"}
    for given, factors in (((1, 2), (1, 2)), (2, (2,)), (np.ones(1), (1,))):
        trainer = fit_models.model("noisymix", noise_per_view=given)
        assert trainer.noise_per_view == factors
        step(trainer, VIEWS, LABELS)
    for seed in (-(2**31), 2**32 - 1, np.int64(3)):
        assert NoisyMix(classifier(), seed=seed).seed == seed


def _classifier(units=K, end=None, **more):
    init = [keras.initializers.GlorotUniform(seed) for seed in (1, 2)]
    more |= {"kernel_initializer": init[0], "name": "hidden"}
    hidden = keras.layers.Dense(8, "tanh", **more)
    logits = keras.layers.Dense(units, end, kernel_initializer=init[1])
    norm = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((6,)), hidden, norm, logits])


def _trainer(model=None, loss=SPARSE, **options):
    options = {"loss": loss, "run_eagerly": True, **options}
    taps, model = ["input", "hidden"], model or _classifier()
    return fit_models.compiled("noisymix", model, taps, **options)


ROWS = tf.random.stateless_normal([B, 3, 6], [0, 1])
CLASSES = tf.random.stateless_uniform([B], [0, 2], 0, K, tf.int32)
SOFT = tf.nn.softmax(tf.random.stateless_normal([B, K], [5, 5]))
DATA = tf.data.Dataset.from_tensors((ROWS, CLASSES))
CATEGORICAL = keras.losses.CategoricalCrossentropy(from_logits=True)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)
PROBABLE = keras.losses.SparseCategoricalCrossentropy()
YES = tf.cast(SOFT[:, :1] > 0.25, tf.float32)
FORMS = {
    "sparse": (SPARSE, CLASSES),
    "sparse int64 column": (SPARSE, tf.cast(CLASSES[:, None], tf.int64)),
    "soft": (CATEGORICAL, SOFT),
    "hinge": (keras.losses.CategoricalHinge(), tf.one_hot(CLASSES, K)),
    "yes or no": (BINARY, tf.cast(SOFT > 0.25, tf.float32)),
    "one yes or no": (keras.losses.BinaryCrossentropy(), YES, 1, "sigmoid"),
    "probabilities": (PROBABLE, CLASSES, K, "softmax"),
    "function": (keras.losses.mean_squared_error, tf.one_hot(CLASSES, K)),
}


@pytest.mark.parametrize("weight", [None, tf.linspace(0.5, 2.0, B)])
@pytest.mark.parametrize("form", FORMS)
def test_loss_is_the_formula_for_every_form_of_labels(form, weight):
    """Against Keras' own loss of a model that is called with mixed inputs."""
    loss, labels, *network = FORMS[form]
    name = "kl" if form == "soft" else "jsd"
    options = {"mixing": fit_models.Fixed(0, LAM, ORDER), "stability": name}
    model = _classifier(*network)
    trainer = _trainer(model, loss=loss, rate=0.0, **options, **NO_NOISE)
    mixed = LAM * ROWS + (1 - LAM) * tf.gather(ROWS, ORDER)
    flat = tf.reshape(tf.transpose(mixed, [1, 0, 2]), [3 * B, 6])
    views = tf.reshape(trainer.model(flat, training=True), [3, B, -1])

    def cross_entropy(order):
        y = tf.gather(labels, order)
        w = None if weight is None else tf.gather(weight, order)
        if form == "function":
            each = loss(y, views[0])
            return tf.reduce_mean(each if w is None else each * w)
        return loss(y, views[0], sample_weight=w)

    ce = LAM * cross_entropy(range(B)) + (1 - LAM) * cross_entropy(ORDER)
    term = STABILITIES.get(name)(len(network) == 0, form.endswith("yes or no"))
    # Weighed as their labels are, by the shares of both partners.
    both = weight is not None
    both = LAM * weight + (1 - LAM) * tf.gather(weight, ORDER) if both else None
    term = term(views[0], tf.transpose(views[1:], [1, 0, 2]), both)
    data = [ROWS, labels] + ([] if weight is None else [weight])
    logs = step(trainer, *data)
    assert logs[name] > 1e-3
    if form == "sparse":
        # Of whoever has the larger share: here the partner.
        hits = np.argmax(views[0], -1) == tf.gather(CLASSES, ORDER)
        assert logs.pop("accuracy") == pytest.approx(np.mean(hits))
    logs.pop("accuracy", None)
    expected = {"loss": ce + 12.0 * term, "cross_entropy": ce, name: term}
    expected = {name: float(value) for name, value in expected.items()}
    assert logs == pytest.approx(expected, rel=1e-4)


def test_arrays_class_weights_and_validation_are_taken_as_by_keras():
    weights = [1.0, 2.0, 0.5, 3.0]
    plain = step(_trainer(), ROWS, CLASSES)
    arrays = (ROWS.numpy(), CLASSES.numpy())
    logs = _trainer().fit(*arrays, batch_size=B, **EAGER).history
    assert {name: values[0] for name, values in logs.items()} == plain
    weighted = step(_trainer(), ROWS, CLASSES, tf.gather(weights, CLASSES))
    options = {"class_weight": dict(enumerate(weights)), **EAGER}
    logs = _trainer().fit(DATA, **options).history
    assert logs["loss"][0] == pytest.approx(weighted["loss"], rel=1e-6)
    assert weighted["loss"] != plain["loss"]
    trainer, metrics = _trainer(), ["accuracy"]
    weighted = [keras.metrics.SparseCategoricalAccuracy("weighted")]
    trainer.compile("sgd", SPARSE, metrics=metrics, weighted_metrics=weighted)
    trainer.run_eagerly = True
    options = {"validation_data": (ROWS[:, 0], CLASSES), **EAGER}
    history = trainer.fit(DATA, validation_batch_size=3, **options).history
    expected = trainer.model(ROWS[:, 0], training=False)
    loss = float(SPARSE(CLASSES, expected))
    accuracy = np.mean(np.argmax(expected, -1) == CLASSES)
    found = history["val_loss"] + history["val_accuracy"]
    assert found == pytest.approx([loss, accuracy], rel=1e-5)
    assert not {"val_jsd", "val_cross_entropy"} & set(history)
    assert {"val_weighted", "weighted", "jsd", "cross_entropy"} <= set(history)


@pytest.mark.parametrize(
    "jit_compile", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_steps_in_one_execution_and_the_end_of_data_change_nothing(jit_compile):
    """The call that finds no batch left must not move the random streams."""
    data, weights = DATA.repeat(4), []
    unknown = data.filter(lambda views, labels: True)
    assert unknown.cardinality() == tf.data.UNKNOWN_CARDINALITY
    # XLA takes five seconds to compile the noise and as long for the mixing.
    parts = QUIET if jit_compile else {}
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


def test_accumulation_applies_the_mean_gradient_and_fits_end_with_averages():
    trainer = _trainer(optimizer=SGD(1.0, gradient_accumulation_steps=2))
    before, gradients = _trained(trainer), []
    for number in range(2):
        single = _trainer(optimizer=SGD(1.0))
        single.step.assign(number)
        step(single, ROWS, CLASSES)
        gradients.append([b - a for b, a in zip(before, _trained(single))])
        step(trainer, ROWS, CLASSES)
    for after, start, *both in zip(_trained(trainer), before, *gradients):
        np.testing.assert_allclose(after, start - sum(both) / 2, atol=1e-5)
    plain, averages = _trainer(optimizer=SGD(0.1)), None
    trainer = _trainer(optimizer=SGD(0.1, use_ema=True, ema_momentum=0.5))
    for _ in range(3):
        step(plain, ROWS, CLASSES)
        now = _trained(plain)
        # Keras starts the average from the weights after the first step.
        averages = [(a + b) / 2 for a, b in zip(averages or now, now)]
    trainer.fit(DATA.repeat(3), **EAGER)
    for expected, average in zip(averages, _trained(trainer)):
        np.testing.assert_allclose(average, expected, atol=1e-5)


def test_losses_of_layers_count_once_and_what_does_not_fit_is_told():
    """Not with the shares of both partners, nor once for each view."""
    penalties = {"kernel_regularizer": keras.regularizers.L2(0.1)}
    penalties["activity_regularizer"] = lambda h: tf.constant(5.0)
    model = _classifier(**penalties)
    kernel = model.get_layer("hidden").kernel.numpy()
    # Keras divides what a regularizer says of activities by their number.
    penalty = 5.0 / (3 * B) + 0.1 * np.sum(kernel**2)
    plain, ours = (step(_trainer(m), ROWS, CLASSES) for m in (None, model))
    assert ours["loss"] - plain["loss"] == pytest.approx(penalty, rel=1e-3)
    assert ours["jsd"] == plain["jsd"]
    with pytest.warns(UserWarning, match="one view of each image"):
        assert step(_trainer(), ROWS[:, :1], CLASSES)["jsd"] == 0.0
    probabilities = _trainer(loss="sparse_categorical_crossentropy")
    logits = _trainer(_classifier(end="softmax"))
    for trainer, right in ((probabilities, True), (logits, False)):
        call = functools.partial(trainer.fit, DATA, **EAGER)
        assert_usage_error(call, f"give a loss with from_logits={right}")
    # Said of the model, it does not change what the loss takes.
    trainer = _trainer(loss="sparse_categorical_crossentropy", from_logits=True)
    call = functools.partial(trainer.fit, DATA, **EAGER)
    assert_usage_error(call, "give a loss with from_logits=True")
    call = functools.partial(_trainer().fit, DATA.map(lambda x, y: x), **EAGER)
    assert_usage_error(call, "no labels: give fit(views, labels)")
    trainer = _trainer()
    own = keras.metrics.SparseCategoricalAccuracy("cross_entropy")
    trainer.compile("sgd", SPARSE, metrics=[own], run_eagerly=True)
    call = functools.partial(trainer.fit, DATA, **EAGER)
    assert_usage_error(call, "metric 'cross_entropy' has the name of a term")
    for end, words in (
        (lambda y: {"logits": y}, "this model gives dict"),
        (lambda y: tf.stack([y, y], 1), "this model gives (24, 2, 4)"),
    ):
        network = _Ends(end)
        network(ROWS[:, 0])
        trainer = fit_models.compiled("noisymix", network, "input", **QUIET)
        call = functools.partial(step, trainer, ROWS, CLASSES)
        assert_usage_error(call, words)


class _Ends(keras.Model):
    def __init__(self, end):
        super().__init__()
        self.dense, self.end = keras.layers.Dense(K), end

    def call(self, x):
        return self.end(self.dense(x))
