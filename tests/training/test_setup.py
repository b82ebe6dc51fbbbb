"""The views that flags name; in the train step those of the host."""

import contextlib
import functools
import itertools
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same

from noisymix_tf import augment, data
from noisymix_tf.augment import gaussian_views, random_crop_flip
from noisymix_tf.config import Config
from noisymix_tf.training import arguments, setup
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import SIDE, model, two_replicas
from support.trainings import assert_equal
from support.usage import assert_usage_error, parsed

# Flags, the function that they name, and its options.
AUGMIX = dict(severity=1.0, width=3, depth=-1, alpha=0.5, all_ops=False)
RAND = dict(num_ops=3, magnitude=5.0, scale="torchvision")
ALPHA = {"augmix_severity": 1.0, "augmix_alpha": 0.5}
OPS = {f"randaugment_{name}": value for name, value in RAND.items()}
NAMED = [
    ("augmix", ALPHA, augment.augmix_views, AUGMIX),
    ("randaugment", OPS, augment.rand_augment_views, RAND | {"cutout": 0}),
    ("trivialaugment", {}, augment.trivial_augment_views, {"cutout": 0}),
    ("gaussian", {"gaussian_level": 8}, augment.gaussian_views, {"level": 8}),
]
for name in ("cifar10", "imagenet", "svhn"):
    policy = augment.auto_augment_views, {"policy": name, "cutout": 0}
    NAMED.append((f"autoaugment_{name}", {}, *policy))


@pytest.mark.parametrize(("views", "flags", "function", "options"), NAMED)
def test_flags_name_a_function_of_views(views, flags, function, options):
    flags = {"views": views, **flags}
    made = setup.augmentation(Config(**flags, stability="kl", num_views=4))
    assert made.func is function
    assert made.keywords == {**options, "num_views": 4}
    made = setup.augmentation(Config(**flags, stability="none"))
    assert made.keywords == {**options, "num_views": 1, "clean": False}
    if "cutout" in options:
        made = setup.augmentation(Config(**flags, policy_cutout=16))
        assert made.keywords["cutout"] == 16
    assert setup.augmentation(Config(views="none", stability="none")) is None


BATCH, SEED = 8, 5
CROP = functools.partial(random_crop_flip, padding=1)
NOISE = functools.partial(gaussian_views, num_views=2, level=8.0)
NOISY = {"standard": CROP, "augment": NOISE}
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, [40, SIDE, SIDE, 3], dtype=np.uint8)
SPLIT = data.ArraySplit(IMAGES, RNG.integers(0, 3, 40))


def trainer_of(functions):
    return model("noisymix", seed=SEED, **functions)


def batches(functions, **more):
    return data.views(SPLIT, batch_size=BATCH, seed=SEED, **more, **functions)


def fit(trainer, data, steps):
    trainer.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False)
    return trainer.model.get_weights()


@pytest.mark.slow
def test_views_are_those_of_the_pipeline():
    """Also where XLA compiles them, of the step that comes next."""
    trainer = trainer_of(NOISY)
    compiled = tf.function(trainer.views_of, jit_compile=True)
    pairs = zip(batches(NOISY), batches({}))
    for step, (made, plain) in enumerate(itertools.islice(pairs, 3)):
        images, labels = plain
        assert images.dtype == tf.uint8 and images.shape[1] == 1
        same(made[1], labels)
        assert made[0].shape == [BATCH, 2, SIDE, SIDE, 3]
        same(trainer.views_of(images, step), made[0])
        same(trainer.views_of(images[:, 0], step), made[0])
        trainer.step.assign(step)
        close(compiled(images), made[0], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [contextlib.nullcontext, two_replicas])
def test_training_is_as_on_the_host_and_when_resumed(strategy, tmp_path):
    """Of images that are fed, and of those of a source, fed anything."""
    with getattr(strategy(), "scope", contextlib.nullcontext)():
        host, fed, drawn = map(trainer_of, ({}, NOISY, NOISY))
        drawn.source = data.Resident(SPLIT, BATCH)
    expected = fit(host, batches(NOISY), 7)  # More than an epoch.
    pace = tf.data.Dataset.from_tensors(tf.zeros([2])).repeat()
    assert_equal(fit(drawn, pace, 7), expected)
    assert "source" not in drawn.get_config()
    checkpoints = CheckpointFolder(tmp_path)
    fit(fed, batches({}), 1)
    checkpoints.save(fed, 1)
    fit(fed, batches({}, start_step=1), 1)
    step, _ = checkpoints.restore(fed)
    assert_equal(fit(fed, batches({}, start_step=step), 6), expected)


CHAINS = functools.partial(augment.augmix_views, all_ops=True)
POLICY = functools.partial(augment.auto_augment_views, cutout=4)


def loops_and_doubles(make, function):
    """Whether the traced graph of views has them, in any of its functions."""
    make = functools.partial(make, standard=CROP, augment=function, seed=0)
    step = tf.function(lambda images, step: make(images, step=step))
    graph = step.get_concrete_function(IMAGES[:BATCH], 3).graph.as_graph_def()
    bodies = [graph.node, *(each.node_def for each in graph.library.function)]
    nodes = [node for body in bodies for node in body]
    assert len(nodes) > 300
    loops = any("While" in node.op for node in nodes)
    return loops, any("DT_DOUBLE" in str(node.attr) for node in nodes)


@pytest.mark.parametrize("function", [CHAINS, POLICY])
def test_views_of_the_step_have_no_loops_and_no_doubles(function):
    assert loops_and_doubles(augment.device_views, function) == (False, False)
    # What the pipeline takes has both: they would be seen.
    assert loops_and_doubles(augment.batch_views, function) == (True, True)


def test_saved_with_its_functions_that_have_to_be_found_by_name():
    trainer = trainer_of(NOISY)
    saved = trainer.get_config()
    assert saved["augment"]["options"] == {"level": 8.0, "num_views": 2}
    loaded = NoisyMix.from_config(json.loads(json.dumps(saved)))
    assert loaded.standard.func is random_crop_flip
    images = IMAGES[:BATCH]
    same(loaded.views_of(images, 3), trainer.views_of(images, 3))
    for function in (gaussian_views, fit, keras.layers.Rescaling(2.0)):
        assert arguments.serialize(function)["class_name"]
    views, _ = next(iter(batches(NOISY)))
    call = functools.partial(trainer.views_of, views, 0)
    assert_usage_error(call, "has views already")
    local = lambda images, seed: images  # noqa: E731
    for bad in (local, functools.partial(local), functools.partial(fit, 3), 7):
        make = functools.partial(trainer_of, {"augment": bad})
        assert_usage_error(make, "augment=", "cannot be saved")
    # Without functions nothing changes.
    trainer = trainer_of({})
    images = images[:, None]
    assert trainer.views_of(images) is images
    assert not {"augment", "standard"} & trainer.get_config().keys()


def test_flag_moves_what_the_flags_ask_for():
    options = {"views": "gaussian", "stability": "none", "taps": "input"}
    options |= {"train_examples": 40, "test_examples": 10, "batch_size": 4}
    host = parsed(Config, **options, input_threads=5)
    device = parsed(Config, **options, augment_on="device")
    digits = setup.dataset(host)
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    classifier = keras.Sequential([keras.Input(digits.image_shape), *layers])
    trainer = setup.trainer(device, classifier, 10, digits)
    made, _ = next(iter(setup.views(host, digits, start_step=3)))
    images, _ = next(iter(setup.views(device, digits, start_step=3)))
    assert images.dtype == tf.uint8
    pools = [setup.views(flags, digits).options() for flags in (host, device)]
    pools = [each.threading.private_threadpool_size for each in pools]
    assert pools[0] == 5 and not pools[1]  # They were batches in flight.
    assert made.shape == [4, 1, *digits.image_shape]
    close(trainer.views_of(images, 3), made, atol=1e-4)
    starts = {}, {"init": "a.keras"}, {"weights": "none"}, {"weights": "a"}
    for given, scale in zip(starts, ("absolute", "std") * 2):
        given = dict.fromkeys(("init", "weights", "noise_scale")) | given
        assert setup.noise_scale(types.SimpleNamespace(**given)) == scale
    options |= {"views": "none", "augment_on": "device"}
    plain = parsed(Config, **options)
    for each, standard in ((host, False), (plain, True)):
        trainer = setup.trainer(each, classifier, 10, digits)
        assert trainer.augment is None
        assert (trainer.standard is not None) == standard
