"""Door: flags -> data -> fit -> evaluate -> export.

python -m noisymix_tf.train --flagfile=flags/quickstart.flags
"""

import sys

from noisymix_tf import command_line, doors
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import RunFolder


def main(argv):
    """Parses the command line and carries out the run."""
    command_line.define_flags()
    run(command_line.parse(argv))


def run(config):
    """Trains, saves, evaluates and exports as a configuration says.

    Args:
        config: `noisymix_tf.config.Config`.

    Returns:
        The evaluation's report, a dictionary.
    """
    import keras
    import tensorflow as tf

    from noisymix_tf import data, models
    from noisymix_tf.training import setup
    from noisymix_tf.training.callbacks import TrainingDiverged

    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.run.seed)

    dataset = data.load(
        config.data.dataset,
        data_dir=config.data.data_dir,
        image_size=config.data.image_size,
        train_examples=config.data.train_examples,
        test_examples=config.data.test_examples,
    )
    steps_per_epoch = data.steps_per_epoch(
        dataset.train, config.optimizer.batch_size
    )
    classifier = models.build(
        config.model.model,
        input_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        mean=dataset.mean,
        std=dataset.std,
        width=config.model.width,
        dropout=config.model.dropout,
        seed=config.run.seed,
    )
    trainer = setup.trainer(config, classifier, steps_per_epoch)
    # Only now, when everything that the flags name has been found good.
    folder = RunFolder(config)
    _announce(config, dataset, classifier, trainer, steps_per_epoch)
    try:
        start = setup.fit(config, trainer, dataset, steps_per_epoch, folder)
    except TrainingDiverged as error:
        raise UsageError(
            f"{error} The last good checkpoint, if any, is in "
            f"{folder.checkpoints}."
        ) from error
    except tf.errors.OpError:
        # The graph does not know which file it could not decode.
        for split in (dataset.train, dataset.test):
            if hasattr(split, "check"):
                split.check()
        raise
    if start:
        _say(f"Continued from step {start}.")
    return _finish(config, dataset, classifier, folder)


def _finish(config, dataset, classifier, folder):
    """Saves the classifier, evaluates it and exports it."""
    from noisymix_tf import evaluation, serving

    partial = folder.model.with_suffix(".partial.keras")
    classifier.save(partial)
    partial.replace(folder.model)
    settings = config.evaluation
    report = evaluation.evaluate(
        classifier,
        dataset,
        suites=settings.suites,
        corruptions=settings.corruptions or None,
        severities=settings.severities,
        batch_size=settings.eval_batch_size,
        seed=settings.eval_seed,
        output_dir=folder.evaluation,
    )
    print(evaluation.render_text(report))
    _say(f"Model:       {folder.model}")
    _say(f"Report:      {folder.evaluation}")
    if settings.export:
        images, _ = next(dataset.test.batches(8))
        exported = serving.export(
            classifier,
            folder.saved_model,
            class_names=dataset.class_names,
            check_images=images,
        )
        _say(
            f"SavedModel:  {exported.path} (probabilities differ by at most "
            f"{exported.max_abs_difference:.1e} after reload)"
        )
    return report


def _announce(config, dataset, classifier, trainer, steps_per_epoch):
    _say(
        f"{config.method.method} on {dataset.name}: {len(dataset.train)} "
        f"training and {len(dataset.test)} test images of "
        f"{dataset.num_classes} classes, {config.optimizer.epochs} epochs of "
        f"{steps_per_epoch} steps"
    )
    _say(
        f"{config.model.model}: {classifier.count_params():,} parameters; "
        f"taps {', '.join(trainer.taps)}"
    )
    _say(f"Writing to {config.run.output_dir}")


def _say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    doors.run(main)
