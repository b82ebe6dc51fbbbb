"""Builds the parts of a training run from its configuration."""

import functools

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import augment, data, models
from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.training import optimizers, precision
from noisymix_tf.training.augmentation import augmentation
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix


def dataset(config):
    """Loads the dataset of a `DataConfig`."""
    return _load(
        config,
        train_examples=config.train_examples,
        train_data_dir=config.train_data_dir,
        extra_data_dirs=config.extra_data_dirs,
    )


def test_dataset(config, class_names=None):
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


def classifier(config, dataset):
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


def trainer(config, classifier, steps_per_epoch, dataset=None):
    """Wraps a classifier for training as configured, and compiles it.

    Only with the dataset that it is for can it make views on the device.
    """
    on_device = _on_device(config) and dataset is not None
    model = NoisyMix(
        classifier,
        taps=_taps(config.taps),
        alpha=config.alpha,
        additive_noise=config.additive_noise,
        multiplicative_noise=config.multiplicative_noise,
        noise_sparsity=config.noise_sparsity,
        noise_per_view=config.noise_per_view,
        **_stability(config),
        mixing=config.built(MIXINGS, config.mixing),
        adversary=_adversary(config),
        seed=config.seed,
        ema=config.ema,
        evaluate_ema=config.evaluate_ema,
        **(augmentations(config, dataset) if on_device else {}),
        source=_resident(config, dataset) if on_device else None,
    )
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


def _resident(config, dataset):
    """The training images on the device, or None where the host feeds it."""
    if config.input == "host":
        return None
    return data.Resident(dataset.train, config.batch_size)


def _taps(names):
    """Taps as the trainer takes them, for which `auto` is no name."""
    is_auto = len(names) == 1 and names[0].partition(":")[0] == "auto"
    return names[0] if is_auto else names


def _adversary(config):
    """The adversary to train against, with its own options."""
    if config.adversary == "none":
        return "none"
    return config.built(ADVERSARIES, config.adversary)


def _stability(config):
    """What the trainer is told of the stability term."""
    if config.stability == "none":
        return {"jsd_weight": 0.0}
    return {"jsd_weight": config.jsd_weight, "stability": config.stability}


def optimizer(config, steps_per_epoch):
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
    if config.weight_decay_mode == "l2":
        decay = {"l2": config.weight_decay}
    else:
        decay = {"weight_decay": config.weight_decay}
    return L2SGD(
        rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        global_clipnorm=config.clip_norm or None,
        gradient_accumulation_steps=steps if steps > 1 else None,
        **decay,
    )


def cross_entropy(label_smoothing):
    """Cross-entropy of logits and class numbers."""
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def views(config, dataset, start_step=0, shard=(0, 1)):
    """The endless batches from a step on: views, or images to make them of.

    With `--input=device` they are black, and only say that there is a step.
    """
    if config.input == "device":
        rows = config.batch_size // shard[1]
        black = np.zeros([rows, 1, *dataset.image_shape], np.uint8)
        pace = tf.data.Dataset.from_tensors((black, np.zeros([rows], np.int32)))
        return pace.repeat()
    resized = train_crop(config, dataset) == "resized"
    on_host = not _on_device(config)
    return data.views(
        dataset.train,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start_step,
        shard=shard,
        service=config.data_service,
        **(augmentations(config, dataset) if on_host else {}),
        crop=data.RandomResizedCrop() if resized else None,
        threads=config.input_threads,
    )


def describe_input(config, dataset):
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


def augmentations(config, dataset):
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


def train_crop(config, dataset):
    """How training images are cropped: `"pad"` or `"resized"`."""
    return config.train_crop or dataset.train_crop
