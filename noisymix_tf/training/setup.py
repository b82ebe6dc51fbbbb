"""Builds the parts of a training run from its configuration."""

import functools
import sys

import keras
import tensorflow as tf

from noisymix_tf import augment, data, models
from noisymix_tf.callbacks import (
    CorruptionEvaluation,
    JsonLines,
    StopOnNaN,
    ViewImages,
)
from noisymix_tf.training import loop
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix


def dataset(config):
    """Loads the dataset of a `DataConfig`."""
    return _load(config, train_examples=config.train_examples)


def test_dataset(config):
    """Loads the dataset of a `TestDataConfig`, to measure on."""
    return _load(config)


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
    return models.build(
        config.model.model,
        input_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        mean=dataset.mean,
        std=dataset.std,
        width=config.model.width,
        dropout=config.model.dropout,
        seed=config.run.seed,
    )


def trainer(config, classifier, steps_per_epoch):
    """Wraps a classifier for training as configured, and compiles it."""
    method = config.method
    model = NoisyMix(
        classifier,
        taps="auto" if method.taps == ("auto",) else method.taps,
        alpha=method.alpha,
        additive_noise=method.additive_noise,
        multiplicative_noise=method.multiplicative_noise,
        noise_sparsity=method.noise_sparsity,
        noise_per_view=method.noise_per_view,
        jsd_weight=method.jsd_weight if method.stability == "jsd" else 0.0,
        mixing=method.mixing,
        seed=config.run.seed,
    )
    model.compile(
        optimizer=optimizer(config.optimizer, steps_per_epoch),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile={"true": True, "false": False}.get(
            config.run.jit_compile, "auto"
        ),
    )
    return model


def optimizer(config, steps_per_epoch):
    """SGD with a cosine schedule over all steps."""
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate,
        decay_steps=config.epochs * steps_per_epoch,
        alpha=config.final_learning_rate / config.learning_rate,
    )
    if config.weight_decay_mode == "l2":
        decay = {"l2": config.weight_decay}
    else:
        decay = {"weight_decay": config.weight_decay}
    return L2SGD(
        rate, momentum=config.momentum, nesterov=config.nesterov, **decay
    )


def views(config, dataset, start_step=0):
    """The endless batches of views from a step on."""
    padding, flip = config.data.crop_padding, config.data.flip
    return data.views(
        dataset.train,
        batch_size=config.optimizer.batch_size,
        seed=config.run.seed,
        start_step=start_step,
        standard=functools.partial(
            augment.random_crop_flip,
            padding=dataset.padding if padding is None else padding,
            flip=dataset.flip if flip is None else flip,
        ),
        augment=augmentation(config.method),
        num_parallel_calls=config.run.input_threads or tf.data.AUTOTUNE,
    )


def augmentation(method):
    """The function from images and a seed to views, or `None` for none."""
    if method.views == "none":
        return None
    options = {
        "severity": method.augmix_severity,
        "width": method.augmix_width,
        "depth": method.augmix_depth,
        "alpha": method.augmix_alpha,
        "all_ops": method.augmix_all_ops,
    }
    if method.stability == "jsd":
        return functools.partial(augment.augmix_views, **options)
    return lambda images, seed: augment.augmix(images, seed, **options)[:, None]


def fit(config, model, dataset, steps_per_epoch, folder):
    """Trains to the end in a run's folder; returns the step continued from."""
    run = config.run
    log_dir = folder.tensorboard if run.tensorboard else None
    dataset_from = functools.partial(views, config, dataset)
    callbacks = [StopOnNaN("lower --learning_rate or the noise levels")]
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
        batch, _ = next(iter(dataset_from(0)))
        callbacks.append(ViewImages(batch, folder.views, log_dir))
    if log_dir is not None:
        callbacks.append(
            keras.callbacks.TensorBoard(str(log_dir), write_graph=False)
        )
    validation = {}
    if run.validation_epochs:
        validation = {
            "validation_data": _test_batches(
                dataset, config.evaluation.eval_batch_size
            ),
            "validation_freq": run.validation_epochs,
        }
    return loop.train(
        model,
        dataset_from,
        epochs=config.optimizer.epochs,
        steps_per_epoch=steps_per_epoch,
        checkpoints=CheckpointFolder(folder.checkpoints),
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
