"""Views made in the train step: those of the host, on every device."""

import dataclasses
import functools
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import data
from noisymix_tf.augment import augmix_views, random_crop_flip, shards
from noisymix_tf.config import (
    Config,
    DataConfig,
    MethodConfig,
    OptimizerConfig,
    RunConfig,
)
from noisymix_tf.training import device_views, setup
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import classifier
from support.usage import assert_usage_error

BATCH, SIDE, SEED = 8, 8, 5
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
AUGMIX = {
    "standard": CROP,
    "augment": functools.partial(augmix_views, width=2, num_views=1),
}


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [40, SIDE, SIDE, 3], dtype=np.uint8)
    return data.ArraySplit(images, rng.integers(0, 3, 40))


def trainer_of(functions, jit_compile=False, model=None, **options):
    options = {"taps": ["normalize", "relu"], "seed": SEED, **options}
    trainer = NoisyMix(model or classifier(), **options, **functions)
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.02, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return trainer


def plain(functions=NOISY, jit_compile=False):
    """A trainer without noise, mixing and batch statistics."""
    model = keras.Sequential(
        [
            keras.Input([SIDE, SIDE, 3]),
            keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer="zeros"),
        ]
    )
    return trainer_of(
        functions,
        jit_compile,
        model,
        taps=["normalize"],
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
    )


def batches(split, functions, start=0):
    return data.views(
        split, batch_size=BATCH, seed=SEED, start_step=start, **functions
    )


def fit(trainer, dataset, steps=3, **options):
    trainer.fit(
        dataset, steps_per_epoch=steps, verbose=0, shuffle=False, **options
    )
    return trainer.model.get_weights()


def assert_same(one, two, atol=0.0):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_views_are_those_of_the_pipeline(split):
    trainer = plain()
    pairs = zip(batches(split, NOISY), batches(split, {}))
    for step, (made, plain_batch) in enumerate(itertools.islice(pairs, 3)):
        images, labels = plain_batch
        assert images.dtype == tf.uint8 and images.shape[1] == 1
        same(made[1], labels)
        assert made[0].shape == [BATCH, 2, SIDE, SIDE, 3]
        same(trainer.views_of(images, step), made[0])
        same(trainer.views_of(images[:, 0], step), made[0])


def test_training_is_the_same_as_on_the_host_bit_for_bit(split):
    """With mixing, noise and batch statistics."""
    host, device = trainer_of({}), trainer_of(NOISY)
    assert_same(
        fit(device, batches(split, {})), fit(host, batches(split, NOISY))
    )


def test_whole_step_with_augmix_compiles_and_trains_on_the_same(split):
    host = plain({}, jit_compile=True)
    device = plain(AUGMIX, jit_compile=True)
    weights = fit(host, batches(split, AUGMIX))
    assert np.abs(weights[0]).max() > 0.01
    assert_same(fit(device, batches(split, {})), weights, atol=1e-6)


def test_replicas_make_the_views_of_the_whole_batch_and_train_alike(split):
    """Without noise, mixing and batch statistics, to float tolerance."""
    mirrored = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    alone = plain()
    with mirrored.scope():
        spread = plain()

    @tf.function
    def views_of(images, step):
        return mirrored.run(spread.views_of, args=(images, step))

    parts = mirrored.experimental_distribute_dataset(batches(split, {}))
    for step, (whole, (images, _)) in enumerate(
        zip(batches(split, NOISY).take(3), parts)
    ):
        views = views_of(images, tf.constant(step))
        views = mirrored.experimental_local_results(views)
        assert len(views) == 2
        same(tf.concat(views, 0), whole[0])
    expected = fit(alone, batches(split, {}))
    assert np.abs(expected[0]).max() > 0.01
    assert_same(fit(spread, batches(split, {})), expected, atol=1e-6)


def test_saved_with_its_functions(split):
    functions = NOISY | {"augment": functools.partial(noisy, level=3.0)}
    trainer = plain(functions)
    config = trainer.get_config()
    assert config["augment"]["options"] == {"level": 3.0}
    loaded = NoisyMix.from_config(json.loads(json.dumps(config)))
    assert loaded.standard.func is random_crop_flip
    images = split.images[:BATCH]
    same(loaded.views_of(images, 3), trainer.views_of(images, 3))
    for function in (noisy, fit, keras.layers.Rescaling(2.0)):
        assert device_views.serialize("augment", function)["class_name"]
    assert device_views.deserialize(None) is None
    # Without functions nothing changes.
    trainer = plain({})
    images = images[:, None]
    assert trainer.views_of(images) is images
    assert not {"augment", "standard"} & trainer.get_config().keys()


def test_refuses_functions_that_cannot_be_saved_and_views_of_views(split):
    def local(images, seed):
        return images

    for bad in (local, functools.partial(local), functools.partial(fit, 3), 7):
        make = functools.partial(plain, {"augment": bad})
        assert_usage_error(make, "augment=", "cannot be saved")
    views, _ = next(iter(batches(split, NOISY)))
    call = functools.partial(plain().views_of, views, 0)
    assert_usage_error(call, "has views already")


def test_flag_moves_what_the_flags_ask_for():
    data = DataConfig(train_examples=40, test_examples=10)
    digits = setup.dataset(data)
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input(digits.image_shape), *layers])
    for views in ("none", "gaussian"):
        method = MethodConfig(views=views, stability="none", taps=("input",))
        optimizer = OptimizerConfig(batch_size=4)
        config = Config(method=method, optimizer=optimizer, data=data)
        device = dataclasses.replace(config, run=RunConfig(augment_on="device"))
        trainer = setup.trainer(device, model, 10, digits)
        made, _ = next(iter(setup.views(config, digits, start_step=3)))
        images, _ = next(iter(setup.views(device, digits, start_step=3)))
        assert images.dtype == tf.uint8
        assert made.shape == [4, 1, *digits.image_shape]
        found = trainer.views_of(images, 3)
        np.testing.assert_allclose(found, made, atol=1e-4)
        assert not np.array_equal(images, made)
        assert setup.trainer(config, model, 10, digits).augment is None
