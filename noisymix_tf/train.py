"""Train a classifier, evaluate it and export it.

python -m noisymix_tf.train --flagfile=flags/quickstart.flags
"""

import contextlib
import dataclasses
import sys
import tempfile

from noisymix_tf import (
    command_line,
    data,
    devices,
    distribution,
    doors,
    evaluation,
    interactions,
    model_card,
    provenance,
    run_folder,
    step_memory,
)
from noisymix_tf.config import Config
from noisymix_tf.data import pipeline
from noisymix_tf.data.dataset import one_line
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.lazy import keras, tf

_USAGE = """\
python -m noisymix_tf.train --flagfile=FILE [--flag=value ...]

Handwritten digits in a few minutes, and photographs of your own, in PHOTOS,
which has a folder for each class:
  python -m noisymix_tf.train --flagfile=quickstart
  python -m noisymix_tf.train --method=noisymix_short --dataset=folder \\
      --data_dir=PHOTOS --image_size=64 --width=0.25 --batch_size=32 \\
      --epochs=30 --output_dir=runs/photos
"""


def main(argv):
    """Parses the command line and carries out the run."""
    run(command_line.parse(argv, Config, _USAGE))


def run(config):
    """Trains, saves, evaluates and exports as a configuration says.

    Args:
        config: `noisymix_tf.config.Config`.

    Returns:
        The evaluation's `Results`; None on a machine that is not the chief.
    """
    # Before TensorFlow is imported, which takes seconds. Of many machines only
    # the chief writes there.
    interactions.check(config)
    if config.strategy != "multi_worker":
        run_folder.check(config)
    from noisymix_tf.training import setup

    evaluation.checked(config.suites, config.settings())
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Before anything is computed, and so before all that computes.
    strategy = distribution.strategy(config.strategy, config.tpu)
    interactions.check(config, devices.found(strategy))
    keras.utils.set_random_seed(config.seed)

    dataset = setup.dataset(config)
    evaluation.plan(
        None,
        dataset,
        suites=config.suites,
        reference=config.reference,
        **config.settings(),
    )
    steps_per_epoch = data.steps_per_epoch(dataset.train, config.batch_size)
    with distribution.scope(strategy):
        classifier = setup.classifier(config, dataset)
        trainer = setup.trainer(config, classifier, steps_per_epoch, dataset)
    # Only now, when everything that the flags name has been found good.
    with _output(config, strategy, dataset) as (config, folder):
        _announce(config, strategy, dataset, trainer, steps_per_epoch)
        _fit(config, dataset, trainer, steps_per_epoch, folder)
        if not distribution.is_chief(strategy):
            return None
        with trainer.evaluation_weights():
            return _finish(config, dataset, trainer, folder)


@contextlib.contextmanager
def _output(config, strategy, dataset):
    """The run's folder, and the configuration that writes there.

    Machines other than the chief have a folder of their own that is removed at
    the end: they do what the chief does, because some of it is done together.
    """
    if distribution.is_chief(strategy):
        with run_folder.opened(config, dataset) as folder:
            yield config, folder
        return
    with tempfile.TemporaryDirectory(prefix="noisymix-") as path:
        config = dataclasses.replace(
            config, output_dir=path, tensorboard=False, corruption_epochs=0
        )
        with run_folder.opened(config) as folder:
            yield config, folder


def _fit(config, dataset, trainer, steps_per_epoch, folder):
    """Trains to the end, from wherever the run stands."""
    from noisymix_tf import fitting
    from noisymix_tf.callbacks import TrainingDiverged

    try:
        fitting.fit(config, trainer, dataset, steps_per_epoch, folder)
    except TrainingDiverged as error:
        raise UsageError(
            f"{error} The last good checkpoint, if any, is in "
            f"{folder.checkpoints}."
        ) from error
    except tf.errors.OpError as error:
        if distribution.is_lost_machine(trainer.distribute_strategy, error):
            raise Preempted(
                "another machine of this training has gone; start all of them "
                "again"
            ) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise UsageError(
                f"A step needs more memory than there is "
                f"({one_line(error)}): {step_memory.ADVICE}"
            ) from error
        if isinstance(error, tf.errors.UnimplementedError):
            raise UsageError(
                f"This device cannot do what the flags ask for "
                f"({one_line(error)}): give --jit_compile=false, or "
                f"--nodeterministic."
            ) from error
        if isinstance(
            error,
            tf.errors.InvalidArgumentError
            | tf.errors.DataLossError
            | tf.errors.NotFoundError
            | tf.errors.PermissionDeniedError,
        ):
            # The graph does not know which file it could not decode.
            for split in (dataset.train, dataset.test):
                split.check()
        raise


def _finish(config, dataset, trainer, folder):
    """Saves the classifier with its card, evaluates it and exports it."""
    from noisymix_tf import serving

    classifier = trainer.model
    model_card.save(trainer, folder.model, flags=config, dataset=dataset)
    strategy = trainer.distribute_strategy
    if strategy.num_replicas_in_sync > 1:
        # What was saved is measured by the devices of this machine.
        is_local = isinstance(strategy, tf.distribute.MirroredStrategy)
        strategy = strategy if is_local else None
        with distribution.scope(strategy):
            classifier = evaluation.load_classifier(folder.model)
    results = evaluation.evaluate(
        classifier,
        dataset,
        strategy=strategy,
        suites=config.suites,
        output_dir=folder.evaluation,
        reference=config.reference,
        batch_size=config.eval_batch_size,
        num_workers=config.num_workers,
        about={
            "method": config.method,
            "model": str(folder.model),
            "data": config.data_words(dataset.name),
        },
        **config.settings(),
    )
    card = model_card.write(folder.model, metrics=results)
    print(results.report.summary(), flush=True)
    _say(f"Model:       {folder.model}")
    _say(f"Report:      {folder.evaluation / 'report.html'}")
    if config.export and not folder.has_export(card["model"]["fingerprint"]):
        images, _ = next(dataset.test.batches(8))
        if distribution.num_replicas(strategy) > 1:
            classifier = evaluation.load_classifier(folder.model)
        exported = serving.export(
            classifier,
            folder.saved_model,
            class_names=dataset.class_names,
            preprocess=provenance.preprocess_of(dataset),
            check_images=images,
            card=card,
        )
        _say(
            f"SavedModel:  {exported.path} (outputs differ by at most "
            f"{exported.max_abs_difference:.1e} after reload)"
        )
    return results


def _announce(config, strategy, dataset, trainer, steps_per_epoch):
    from noisymix_tf.training import setup

    batch_size = config.batch_size
    _say(
        f"{config.method} on {dataset.name}: {len(dataset.train)} "
        f"training and {len(dataset.test)} test images of "
        f"{dataset.num_classes} classes, {config.epochs} epochs of "
        f"{steps_per_epoch} steps"
    )
    unused = len(dataset.train) % batch_size
    if unused:
        _say(
            f"{unused} images, others each time, are left out of an epoch: "
            f"they fill no batch of {batch_size}"
        )
    _say(
        f"{config.model}: {trainer.model.count_params():,} parameters; "
        f"taps {', '.join(trainer.taps)}"
    )
    devices.announce(
        strategy, xla=trainer.jit_compile, precision=config.precision
    )
    count = distribution.num_replicas(strategy)
    if count > 1:
        _say(
            f"{distribution.describe(strategy)}, {batch_size // count} "
            f"images each; {pipeline.describe(strategy)}"
        )
    _say(f"Input: {setup.describe_input(config, dataset)}")
    _say(f"Writing to {config.output_dir}")


def _say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    doors.run(main)
