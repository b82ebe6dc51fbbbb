"""Builds the parts of a training run from its configuration."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import augment, data, models
from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.augment import VIEWS
from noisymix_tf.data.classes import balanced_indices, folder_names, is_wnid
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.models import applications
from noisymix_tf.models.pretrained import NO_WEIGHTS
from noisymix_tf.options import options_of
from noisymix_tf.training import optimizers, precision, start, tuning
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.trainer import NoisyMix

# Options that are arguments of the trainer, as they are.
_OF_TRAINER = (
    "alpha additive_noise multiplicative_noise noise_sparsity noise_per_view "
    "noise_per_tap seed ema evaluate_ema"
).split()
# Of `--weights`: a network begins with random numbers.
_UNTRAINED = (None, NO_WEIGHTS)


def dataset(config) -> data.Dataset:
    """Loads the dataset of a `DataConfig`."""
    return _load(
        config,
        train_examples=config.train_examples,
        train_data_dir=config.train_data_dir,
        extra_data_dirs=config.extra_data_dirs,
    )


def held_out(config, dataset) -> tuple[data.Dataset, data.Split | None]:
    """What is trained on, and the images that a temperature is fitted to."""
    number, train = config.temperature_examples, dataset.train
    if not number:
        return dataset, None
    if number >= len(train):
        raise UsageError(
            f"--temperature_examples={number} leaves nothing of {len(train)} "
            f"training images to train on: keep fewer out."
        )
    kept = balanced_indices(train.labels, number)
    rest = train.subset(np.setdiff1d(np.arange(len(train)), kept))
    return dataclasses.replace(dataset, train=rest), train.subset(kept)


def test_dataset(config, class_names=None) -> data.Dataset:
    """Loads the dataset, or an evaluation's tree, of a `TestDataConfig`.

    `class_names` are what the model's outputs mean, if known: the classes of a
    tree; others, or in another order, of a dataset are refused.
    """
    tree = getattr(config, "test_dir", None)
    if tree is None:
        dataset = _load(config)
        _check_classes(dataset, class_names)
        return dataset
    return data.test_folder(
        tree,
        class_names=config.class_names or class_names,
        image_size=config.image_size,
        preprocess=config.preprocess,
        test_examples=config.test_examples,
    )


def _check_classes(dataset, known):
    # Numbers and synsets tell nothing of classes that have words.
    own, known = (folder_names(n or ()) for n in (dataset.class_names, known))
    pair = own, known
    kinds = {all(n.isdecimal() or is_wnid(n) for n in names) for names in pair}
    odd = [n for n, names in enumerate(zip(*pair)) if names[0] != names[1]]
    if len(own) == len(known) and len(kinds) == 1 and odd:
        raise UsageError(
            f"Class {odd[0]} of {dataset.name} is {own[odd[0]]!r}, of the "
            f"model {known[odd[0]]!r}: give data of the model's classes, or "
            f"correct their names in its card (noisymix_tf.model_card.write)."
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


def classifier(config, dataset, begin=None) -> keras.Model:
    """Builds the network of a run for the images of a `Dataset`.

    `begin` is the `Start` of `--init`, where it has been read already.
    """
    with precision.dtype_policy(config.precision):
        if config.init is not None:
            model = (begin or start.of(config)).classifier(config, dataset)
            return models.synchronized(model, config.sync_batch_norm)
        options = {"mean": dataset.mean, "std": dataset.std}
        if config.model.startswith(applications.PREFIX):
            options = {"weights": config.weights}
        return models.build(
            config.model,
            input_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            width=config.width,
            dropout=config.dropout,
            seed=config.seed,
            sync_batch_norm=config.sync_batch_norm,
            **options,
        )


def trainer(config, classifier, steps_per_epoch, dataset=None) -> NoisyMix:
    """Wraps a classifier for training as configured, and compiles it.

    Only with the dataset that it is for can it make views on the device.
    """
    arguments = {name: getattr(config, name) for name in _OF_TRAINER}
    arguments["noise_scale"] = noise_scale(config)
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
    model.tuning = tuning.Tuning(config, classifier)
    begin(config, model, steps_per_epoch, tuning.phases(config)[-1])
    if config.jit_compile == "true" and not model.jit_compile:
        raise UsageError(
            f"--jit_compile=true: a layer of {config.network} cannot be "
            f"compiled by XLA; give auto or false."
        )
    return model


def begin(config, model, steps_per_epoch, phase) -> None:
    """Makes a trainer ready for a phase of its training, and compiles it."""
    model.tuning.enter(phase)
    factors = model.tuning.rate_factors()
    with model.distribute_strategy.scope():
        model.compile(
            optimizer=optimizer(config, steps_per_epoch, phase, factors),
            loss=cross_entropy(config.label_smoothing),
            # An object: a name would cost a second trace of the step.
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            steps_per_execution=config.steps_per_execution,
            jit_compile={"true": True, "false": False}.get(
                config.jit_compile, "auto"
            ),
        )


def noise_scale(config) -> str:
    """The unit of additive noise, as given or as the start calls for.

    Features of pretrained weights have whatever size they have.
    """
    is_pretrained = config.init or config.weights not in _UNTRAINED
    return config.noise_scale or ("std" if is_pretrained else "absolute")


def _on_device(config):
    """Whether the train step makes the views."""
    return "device" in (config.augment_on, config.input)


def optimizer(
    config, steps_per_epoch, phase=None, rate_factors=None
) -> keras.optimizers.Optimizer:
    """The optimizer of a `tuning.Phase`, by default one of all epochs.

    With warm-up and a cosine over its steps, of an `OptimizerConfig`.
    """
    phase, steps = phase or config, config.accumulation_steps
    peak = config.learning_rate
    if config.base_batch_size:
        # Goyal et al., arXiv:1706.02677, section 2.1.
        peak = peak * (config.batch_size * steps) / config.base_batch_size
    rate = optimizers.warmup_cosine(
        peak,
        config.final_learning_rate,
        steps=phase.epochs * steps_per_epoch,
        warmup_steps=round(phase.warmup_epochs * steps_per_epoch),
    )
    options = {
        "global_clipnorm": config.clip_norm or None,
        "gradient_accumulation_steps": steps if steps > 1 else None,
        "rate_factors": rate_factors,
    }
    if config.optimizer != "sgd":
        kind = {"adamw": optimizers.AdamW, "lion": optimizers.Lion}
        options |= {"beta_1": config.momentum, "name": config.optimizer}
        options |= {"weight_decay": config.weight_decay}
        return kind[config.optimizer](rate, **options)
    decay = "l2" if config.weight_decay_mode == "l2" else "weight_decay"
    options |= {"momentum": config.momentum, "nesterov": config.nesterov}
    return optimizers.L2SGD(rate, **options, **{decay: config.weight_decay})


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


def first_images(config, dataset, most=32) -> tf.Tensor:
    """The first images that are trained on, as they are: uint8 `[b, H, W, C]`.

    They are read here, wherever batches are made.
    """
    size = min(most, config.batch_size)
    batches = data.views(dataset.train, batch_size=size, seed=config.seed)
    images, _ = next(iter(batches))
    return images[:, 0]


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
    """The function from images and a seed to views, or `None` for none."""
    function = VIEWS.get(config.views)
    if function is None:
        return None
    number = {"num_views": config.num_views}
    if config.stability == "none":
        number = {"num_views": 1, "clean": False}
    own = config.arguments(options_of(VIEWS, config.views))
    return functools.partial(function, **own, **number)


def train_crop(config, dataset) -> str:
    """How training images are cropped: `"pad"` or `"resized"`."""
    return config.train_crop or dataset.train_crop
