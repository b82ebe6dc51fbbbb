"""Builds the parts of a training run from its configuration."""

import functools

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import augment, data, models
from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.augment import VIEWS
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.options import options_of
from noisymix_tf.training import optimizers, precision
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

# Options that are arguments of the trainer, as they are.
_OF_TRAINER = (
    "alpha additive_noise multiplicative_noise noise_sparsity noise_per_view "
    "seed ema evaluate_ema"
).split()


def dataset(config) -> data.Dataset:
    """Loads the dataset of a `DataConfig`."""
    return _load(
        config,
        train_examples=config.train_examples,
        train_data_dir=config.train_data_dir,
        extra_data_dirs=config.extra_data_dirs,
    )


def test_dataset(config, class_names=None) -> data.Dataset:
    """Loads the dataset of a `TestDataConfig`, to measure on.

    Args:
        config: Of an evaluation it may name a tree instead.
        class_names: What the model's outputs mean, where only a tree is named.
    """
    tree = getattr(config, "test_dir", None)
    if tree is None:
        return _load(config)
    return data.test_folder(
        tree,
        class_names=config.class_names or class_names,
        image_size=config.image_size,
        preprocess=config.preprocess,
        test_examples=config.test_examples,
    )


def _load(config, **more):
    return data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        preprocess=config.preprocess,
        test_examples=config.test_examples,
        read=config.read or "random",
        **more,
    )


def classifier(config, dataset) -> keras.Model:
    """Builds the configured network for a dataset."""
    with precision.dtype_policy(config.precision):
        return models.build(
            config.model,
            input_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            mean=dataset.mean,
            std=dataset.std,
            width=config.width,
            dropout=config.dropout,
            seed=config.seed,
            sync_batch_norm=config.sync_batch_norm,
        )


def trainer(config, classifier, steps_per_epoch, dataset=None) -> NoisyMix:
    """Wraps a classifier for training as configured, and compiles it.

    Only with the dataset that it is for can it make views on the device.
    """
    arguments = {name: getattr(config, name) for name in _OF_TRAINER}
    if config.stability == "none":
        arguments["jsd_weight"] = 0.0
    else:
        arguments["jsd_weight"] = config.jsd_weight
        arguments["stability"] = config.stability
    if config.adversary != "none":
        arguments["adversary"] = config.built(ADVERSARIES, config.adversary)
    if dataset is not None and _on_device(config):
        arguments |= augmentations(config, dataset)
        if config.input == "device":
            source = data.Resident(dataset.train, config.batch_size)
            arguments["source"] = source
    taps = config.taps
    if len(taps) == 1 and taps[0].partition(":")[0] == "auto":
        # The trainer takes it by itself: in a list it is a layer's name.
        [taps] = taps
    mixing = config.built(MIXINGS, config.mixing)
    model = NoisyMix(classifier, taps, mixing=mixing, **arguments)
    model.compile(
        optimizer=optimizer(config, steps_per_epoch),
        loss=cross_entropy(config.label_smoothing),
        # An object: a name would cost a second trace of the step.
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        steps_per_execution=config.steps_per_execution,
        jit_compile={"true": True, "false": False}.get(
            config.jit_compile, "auto"
        ),
    )
    if config.jit_compile == "true" and not model.jit_compile:
        raise UsageError(
            f"--jit_compile=true: a layer of {config.model} cannot be "
            f"compiled by XLA; give auto or false."
        )
    return model


def _on_device(config):
    """Whether the train step makes the views."""
    return "device" in (config.augment_on, config.input)


def optimizer(config, steps_per_epoch) -> L2SGD:
    """SGD with a warm-up and a cosine schedule over all steps."""
    steps = config.accumulation_steps
    rate = optimizers.warmup_cosine(
        optimizers.peak_rate(
            config.learning_rate,
            config.batch_size * steps,
            config.base_batch_size,
        ),
        config.final_learning_rate,
        steps=config.epochs * steps_per_epoch,
        warmup_steps=round(config.warmup_epochs * steps_per_epoch),
    )
    decay = "l2" if config.weight_decay_mode == "l2" else "weight_decay"
    return L2SGD(
        rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        global_clipnorm=config.clip_norm or None,
        gradient_accumulation_steps=steps if steps > 1 else None,
        **{decay: config.weight_decay},
    )


def cross_entropy(label_smoothing) -> keras.losses.Loss:
    """Cross-entropy of logits and class numbers."""
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def views(config, dataset, start_step=0, shard=(0, 1)) -> tf.data.Dataset:
    """The endless batches from a step on: views, or images to make them of.

    With `--input=device` they are black, and only say that there is a step.
    """
    if config.input == "device":
        rows = config.batch_size // shard[1]
        black = np.zeros([rows, 1, *dataset.image_shape], np.uint8)
        pace = tf.data.Dataset.from_tensors((black, np.zeros([rows], np.int32)))
        return pace.repeat()
    resized = train_crop(config, dataset) == "resized"
    made_here = {} if _on_device(config) else augmentations(config, dataset)
    return data.views(
        dataset.train,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start_step,
        shard=shard,
        service=config.data_service,
        **made_here,
        crop=data.RandomResizedCrop() if resized else None,
        threads=config.input_threads,
    )


def describe_input(config, dataset) -> str:
    """Where batches come from and on how many threads, in words."""
    if config.input == "device":
        return "images and views on the device"
    how = "in memory" if dataset.train.in_memory else "decoded in each epoch"
    if config.read == "sequential":
        how += ", read from start to end"
    service, threads = config.data_service, config.input_threads
    here = f"{threads} threads" if threads else "all cores"
    return (
        f"images {how}, by {service or here}; views on the {config.augment_on}"
    )


def augmentations(config, dataset) -> dict:
    """What is done to images: `standard` and `augment` of `data.views`."""
    padding, flip = config.crop_padding, config.flip
    if train_crop(config, dataset) == "resized":
        padding = 0
    return {
        "standard": functools.partial(
            augment.random_crop_flip,
            padding=dataset.padding if padding is None else padding,
            flip=dataset.flip if flip is None else flip,
        ),
        "augment": augmentation(config),
    }


def augmentation(config) -> functools.partial | None:
    """The function from images and a seed to views, or `None` for none.

    Args:
        config: The options of a run, with those of all `VIEWS`.
    """
    function = VIEWS.get(config.views)
    if function is None:
        return None
    number = {"num_views": config.num_views - 1}
    if config.stability == "none":
        number = {"num_views": 1, "clean": False}
    own = config.arguments(options_of(VIEWS, config.views))
    return functools.partial(function, **own, **number)


def train_crop(config, dataset) -> str:
    """How training images are cropped: `"pad"` or `"resized"`."""
    return config.train_crop or dataset.train_crop
