"""Views made in the train step: those of the host, on every device."""

import dataclasses
import functools
import itertools
import json

import keras
import numpy as np
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same

from noisymix_tf import config, data
from noisymix_tf.augment import gaussian_views, random_crop_flip, shards
from noisymix_tf.training import device_views, setup
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import SIDE, model
from support.usage import assert_usage_error

BATCH, SEED = 8, 5
CROP = functools.partial(random_crop_flip, padding=1)


@keras.saving.register_keras_serializable("tests")
def noisy(images, seed, *, level=1.0, shard=(0, 1)):
    """The image and a noisy one; costs nothing to compile."""
    index, count = shard
    shape = [count * images.shape[0], *images.shape[1:]]
    # Whole numbers of a named generator are the same under XLA.
    noise = tf.random.stateless_uniform(
        shape, seed, 0, 9, tf.int32, alg="philox"
    )
    noise = tf.cast(shards.rows(noise, index, count), tf.float32)
    images = tf.cast(images, tf.float32)
    return tf.stack([images, images + level * noise], axis=1)


NOISY = {"standard": CROP, "augment": noisy}
GAUSSIAN = {"standard": CROP, "augment": gaussian_views}
PLAIN = {"mixing": "none", "additive_noise": 0.0, "multiplicative_noise": 0.0}
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, [40, SIDE, SIDE, 3], dtype=np.uint8)
SPLIT = data.ArraySplit(IMAGES, RNG.integers(0, 3, 40))


def trainer_of(functions, **options):
    return model("noisymix", seed=SEED, **functions, **options)


def batches(functions):
    return data.views(SPLIT, batch_size=BATCH, seed=SEED, **functions)


def fit(trainer, functions):
    """Weights after three steps."""
    steps = {"steps_per_epoch": 3, "verbose": 0, "shuffle": False}
    trainer.fit(batches(functions), **steps)
    return trainer.model.get_weights()


def test_views_are_those_of_the_pipeline():
    trainer = trainer_of(NOISY)
    pairs = zip(batches(NOISY), batches({}))
    for step, (made, plain) in enumerate(itertools.islice(pairs, 3)):
        images, labels = plain
        assert images.dtype == tf.uint8 and images.shape[1] == 1
        same(made[1], labels)
        assert made[0].shape == [BATCH, 2, SIDE, SIDE, 3]
        same(trainer.views_of(images, step), made[0])
        same(trainer.views_of(images[:, 0], step), made[0])


def test_training_is_the_same_as_on_the_host_bit_for_bit():
    """With mixing, noise and batch statistics."""
    host, device = fit(trainer_of({}), NOISY), fit(trainer_of(NOISY), {})
    for a, b in zip(device, host, strict=True):
        same(a, b)


def test_whole_step_compiles_and_trains_on_the_same():
    """AugMix in a compiled program: see the contract of its layer."""
    host = fit(trainer_of({}, **PLAIN), GAUSSIAN)
    device = fit(trainer_of(GAUSSIAN, jit_compile=True, **PLAIN), {})
    for a, b in zip(device, host, strict=True):
        close(a, b, rtol=0, atol=1e-4)


def test_replicas_make_the_views_of_the_whole_batch():
    mirrored = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with mirrored.scope():
        trainer = trainer_of(NOISY)

    @tf.function
    def views_of(images, step):
        return mirrored.run(trainer.views_of, args=(images, step))

    parts = mirrored.experimental_distribute_dataset(batches({}))
    pairs = zip(batches(NOISY).take(3), parts)
    for step, (whole, (images, _)) in enumerate(pairs):
        views = views_of(images, tf.constant(step)).values
        assert len(views) == 2
        same(tf.concat(views, 0), whole[0])


def test_saved_with_its_functions():
    functions = NOISY | {"augment": functools.partial(noisy, level=3.0)}
    trainer = trainer_of(functions)
    saved = trainer.get_config()
    assert saved["augment"]["options"] == {"level": 3.0}
    loaded = NoisyMix.from_config(json.loads(json.dumps(saved)))
    assert loaded.standard.func is random_crop_flip
    images = IMAGES[:BATCH]
    same(loaded.views_of(images, 3), trainer.views_of(images, 3))
    for function in (noisy, fit, keras.layers.Rescaling(2.0)):
        assert device_views.serialize("augment", function)["class_name"]
    assert device_views.deserialize(None) is None
    # Without functions nothing changes.
    trainer = trainer_of({})
    images = images[:, None]
    assert trainer.views_of(images) is images
    assert not {"augment", "standard"} & trainer.get_config().keys()


def test_refuses_functions_that_cannot_be_saved_and_views_of_views():
    def local(images, seed):
        return images

    for bad in (local, functools.partial(local), functools.partial(fit, 3), 7):
        make = functools.partial(trainer_of, {"augment": bad})
        assert_usage_error(make, "augment=", "cannot be saved")
    views, _ = next(iter(batches(NOISY)))
    call = functools.partial(trainer_of(NOISY).views_of, views, 0)
    assert_usage_error(call, "has views already")


def test_flag_moves_what_the_flags_ask_for():
    source = config.DataConfig(train_examples=40, test_examples=10)
    digits = setup.dataset(source)
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    classifier = keras.Sequential([keras.Input(digits.image_shape), *layers])
    method = {"views": "gaussian", "stability": "none", "taps": ("input",)}
    host = config.Config(
        method=config.MethodConfig(**method),
        optimizer=config.OptimizerConfig(batch_size=4),
        data=source,
    )
    run = config.RunConfig(augment_on="device")
    device = dataclasses.replace(host, run=run)
    trainer = setup.trainer(device, classifier, 10, digits)
    made, _ = next(iter(setup.views(host, digits, start_step=3)))
    images, _ = next(iter(setup.views(device, digits, start_step=3)))
    assert images.dtype == tf.uint8
    assert made.shape == [4, 1, *digits.image_shape]
    close(trainer.views_of(images, 3), made, atol=1e-4)
    trainer = setup.trainer(host, classifier, 10, digits)
    assert trainer.augment is None and trainer.standard is None
    plain = config.MethodConfig(**{**method, "views": "none"})
    device = dataclasses.replace(device, method=plain)
    trainer = setup.trainer(device, classifier, 10, digits)
    assert trainer.augment is None and trainer.standard is not None
