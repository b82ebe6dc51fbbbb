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
        The evaluation's `Results`.
    """
    import keras
    import tensorflow as tf

    from noisymix_tf import data, evaluation
    from noisymix_tf.callbacks import TrainingDiverged
    from noisymix_tf.training import setup

    evaluation.check_selection(
        config.evaluation.suites, **config.evaluation.settings()
    )
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.run.seed)

    dataset = setup.dataset(config.data)
    evaluation.check_selection(
        config.evaluation.suites,
        dataset,
        config.evaluation.reference,
        **config.evaluation.settings(),
    )
    steps_per_epoch = data.steps_per_epoch(
        dataset.train, config.optimizer.batch_size
    )
    classifier = setup.classifier(config, dataset)
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
            split.check()
        raise
    if start:
        _say(f"Continued from step {start}.")
    return _finish(config, dataset, trainer, folder)


def _finish(config, dataset, trainer, folder):
    """Saves the classifier with its card, evaluates it and exports it."""
    from noisymix_tf import evaluation, model_card, serving

    classifier = trainer.model
    model_card.save(trainer, folder.model, flags=config, dataset=dataset)
    results = evaluation.evaluate(
        classifier,
        dataset,
        suites=config.evaluation.suites,
        output_dir=folder.evaluation,
        reference=config.evaluation.reference,
        batch_size=config.evaluation.eval_batch_size,
        progress=evaluation.Progress(),
        **config.evaluation.settings(),
    )
    card = model_card.write(folder.model, metrics=results)
    print(results)
    _say(f"Model:       {folder.model}")
    _say(f"Report:      {folder.evaluation}")
    if config.run.export and not folder.has_export():
        images, _ = next(dataset.test.batches(8))
        exported = serving.export(
            classifier,
            folder.saved_model,
            class_names=dataset.class_names,
            check_images=images,
            card=card,
        )
        _say(
            f"SavedModel:  {exported.path} (probabilities differ by at most "
            f"{exported.max_abs_difference:.1e} after reload)"
        )
    return results


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
