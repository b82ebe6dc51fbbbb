"""Builds the parts of a training run from its configuration."""

import functools
import math
import os
import sys

import keras
import psutil
import tensorflow as tf

from noisymix_tf import augment, data, models
from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.callbacks import (
    CorruptionEvaluation,
    JsonLines,
    StopOnNaN,
    ViewImages,
)
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.training import loop, precision, ramped, schedules
from noisymix_tf.training.augmentation import augmentation
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.losses import SmoothedCrossEntropy
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix


def dataset(config):
    """Loads the dataset of a `DataConfig`."""
    loaded = _load(
        config,
        train_examples=config.train_examples,
        train_data_dir=config.train_data_dir,
        extra_data_dirs=config.extra_data_dirs,
    )
    _check_crop(config, loaded)
    return loaded


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
        **more,
    )


def classifier(config, dataset):
    """Builds the configured network for a dataset."""
    with precision.dtype_policy(config.model.precision):
        return models.build(
            config.model.model,
            input_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            mean=dataset.mean,
            std=dataset.std,
            width=config.model.width,
            dropout=config.model.dropout,
            seed=config.run.seed,
            sync_batch_norm=config.run.sync_batch_norm,
        )


def trainer(config, classifier, steps_per_epoch, dataset=None):
    """Wraps a classifier for training as configured, and compiles it.

    Only with the dataset that it is for can it make views on the device.
    """
    method = config.method
    on_device = config.run.augment_on == "device" and dataset is not None
    model = NoisyMix(
        classifier,
        taps=_taps(method.taps),
        alpha=method.alpha,
        additive_noise=method.additive_noise,
        multiplicative_noise=method.multiplicative_noise,
        noise_sparsity=method.noise_sparsity,
        noise_per_view=method.noise_per_view,
        **_stability(method),
        mixing=_mixing(config),
        adversary=_adversary(config.adversary),
        seed=config.run.seed,
        ema=config.optimizer.ema,
        evaluate_ema=config.optimizer.evaluate_ema,
        **(augmentations(config, dataset) if on_device else {}),
    )
    model.compile(
        optimizer=optimizer(config.optimizer, steps_per_epoch),
        loss=cross_entropy(config.optimizer.label_smoothing),
        # An object: a name would cost a second trace of the step.
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        steps_per_execution=_steps_per_execution(config, steps_per_epoch),
        jit_compile={"true": True, "false": False}.get(
            config.run.jit_compile, "auto"
        ),
    )
    return model


def _taps(names):
    """Taps as the trainer takes them, for which `auto` is no name."""
    is_auto = len(names) == 1 and names[0].partition(":")[0] == "auto"
    return names[0] if is_auto else names


def _mixing(config):
    """The kind of mixing, with its own options."""
    groups = {"puzzlemix": config.puzzlemix}
    method = config.method
    options = groups[method.mixing].options() if method.mixing in groups else {}
    return MIXINGS.get(method.mixing)(
        probability=method.mixing_probability, **options
    )


def _adversary(config):
    """The adversary to train against, with its own options."""
    if config.adversary == "none":
        return "none"
    return ADVERSARIES.get(config.adversary)(**config.options())


def _stability(method):
    """What the trainer is told of the stability term."""
    if method.stability == "none":
        return {"jsd_weight": 0.0}
    return {"jsd_weight": method.jsd_weight, "stability": method.stability}


def optimizer(config, steps_per_epoch):
    """SGD with a warm-up and a cosine schedule over all steps."""
    rate = schedules.warmup_cosine(
        schedules.peak_rate(
            config.learning_rate,
            config.batch_size * config.accumulation_steps,
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
        gradient_accumulation_steps=_several(config.accumulation_steps),
        **decay,
    )


def _several(number):
    """A number as Keras takes it, for which one is None."""
    return number if number > 1 else None


def cross_entropy(label_smoothing):
    """Cross-entropy of logits and class numbers."""
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _steps_per_execution(config, steps_per_epoch):
    """The flag's value, if epochs and checkpoints are multiples of it."""
    number = config.optimizer.steps_per_execution
    for words, steps in (
        (f"the {steps_per_epoch} steps of an epoch", steps_per_epoch),
        (
            f"--checkpoint_steps={config.run.checkpoint_steps}",
            config.run.checkpoint_steps,
        ),
    ):
        if steps % number:
            raise UsageError(
                f"--steps_per_execution={number} does not divide {words}: give "
                f"a divisor, or 1."
            )
    return number


def views(config, dataset, start_step=0, shard=(0, 1)):
    """The endless batches from a step on: views, or images to make them of."""
    resized = train_crop(config.data, dataset) == "resized"
    on_host = config.run.augment_on == "host"
    return data.views(
        dataset.train,
        batch_size=config.optimizer.batch_size,
        seed=config.run.seed,
        start_step=start_step,
        shard=shard,
        service=config.run.data_service,
        **(augmentations(config, dataset) if on_host else {}),
        crop=data.RandomResizedCrop() if resized else None,
        num_parallel_calls=config.run.input_threads
        or _batches_at_once(config, dataset),
        # The map keeps as many ready as it makes; more would be memory only.
        prefetch=2,
    )


def _batches_at_once(config, dataset):
    """One batch for each core, as far as a quarter of the free memory goes."""
    on_host = config.run.augment_on == "host"
    several = on_host and config.method.stability != "none"
    pixels = math.prod(dataset.image_shape) * config.optimizer.batch_size
    size = 4 * pixels * (config.method.num_views if several else 1)
    room = psutil.virtual_memory().available // 4
    return max(1, min(os.cpu_count() or 1, room // size))


def augmentations(config, dataset):
    """What is done to images: `standard` and `augment` of `data.views`."""
    padding, flip = config.data.crop_padding, config.data.flip
    if train_crop(config.data, dataset) == "resized":
        padding = 0
    return {
        "standard": functools.partial(
            augment.random_crop_flip,
            padding=dataset.padding if padding is None else padding,
            flip=dataset.flip if flip is None else flip,
        ),
        "augment": augmentation(config.method),
    }


def train_crop(config, dataset):
    """How training images are cropped: `"pad"` or `"resized"`."""
    return config.train_crop or dataset.train_crop


def _check_crop(config, dataset):
    if train_crop(config, dataset) == "resized" and config.crop_padding:
        raise UsageError(
            f"--crop_padding={config.crop_padding} belongs to "
            "--train_crop=pad, but images are cropped and resized: leave it "
            "out, or give --train_crop=pad."
        )


def fit(config, model, dataset, steps_per_epoch, folder):
    """Trains to the end in a run's folder."""
    run = config.run
    log_dir = folder.tensorboard if run.tensorboard else None
    strategy = model.distribute_strategy
    callbacks = [StopOnNaN("lower --learning_rate or the noise levels")]
    moving = ramped.schedule(
        config.method, config.optimizer.epochs * steps_per_epoch
    )
    if moving is not None:
        callbacks.append(moving)
    if run.corruption_epochs:
        # For the log only: no model is chosen by what it does on test images.
        callbacks.append(
            CorruptionEvaluation(
                dataset.test,
                corruptions=config.evaluation.corruptions or None,
                every_epochs=run.corruption_epochs,
                batch_size=config.evaluation.eval_batch_size,
                seed=config.evaluation.eval_seed,
            )
        )
    callbacks.append(JsonLines(folder.metrics))
    if not folder.views.exists():
        batch, _ = next(iter(views(config, dataset)))
        batch = model.views_of(batch, step=0)
        callbacks.append(ViewImages(batch, folder.views, log_dir))
    if log_dir is not None:
        callbacks.append(
            keras.callbacks.TensorBoard(str(log_dir), write_graph=False)
        )
    validation = {}
    if run.validation_epochs:
        validation = {
            "validation_data": data.distribute_whole(
                strategy,
                _test_batches(dataset, config.evaluation.eval_batch_size),
            ),
            "validation_freq": run.validation_epochs,
        }
    loop.train(
        model,
        lambda step: data.distribute(
            strategy, functools.partial(views, config, dataset, step)
        ),
        epochs=config.optimizer.epochs,
        steps_per_epoch=steps_per_epoch,
        checkpoints=CheckpointFolder(folder.checkpoints, run.keep_checkpoints),
        checkpoint_steps=run.checkpoint_steps,
        callbacks=callbacks,
        verbose=_verbosity(run.progress),
        **validation,
    )


def _test_batches(dataset, batch_size):
    """The test images once, in order, for Keras' own validation."""
    return tf.data.Dataset.from_generator(
        lambda: dataset.test.batches(batch_size),
        output_signature=(
            tf.TensorSpec([None, *dataset.image_shape], tf.uint8),
            tf.TensorSpec([None], tf.int32),
        ),
    )


def _verbosity(progress):
    """Keras' number for a progress setting."""
    if progress == "auto":
        progress = "bar" if sys.stdout.isatty() else "lines"
    return {"none": 0, "bar": 1, "lines": 2}[progress]
