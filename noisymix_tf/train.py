"""Train a classifier, evaluate it and export it.

Handwritten digits in a few minutes, and photographs of your own, in PHOTOS,
which has a folder for each class:
  python -m noisymix_tf.train --flagfile=quickstart
  python -m noisymix_tf.train --method=noisymix_short --dataset=folder \\
      --data_dir=PHOTOS --image_size=64 --width=0.25 --batch_size=32 \\
      --epochs=30 --output_dir=runs/photos
"""

import contextlib
import dataclasses
import tempfile

from noisymix_tf import (
    command_line,
    data,
    devices,
    distribution,
    evaluation,
    interactions,
    model_card,
    provenance,
    run_folder,
)
from noisymix_tf.config import Config
from noisymix_tf.data import pipeline
from noisymix_tf.errors import Preempted, UsageError, one_line
from noisymix_tf.evaluation import temperature
from noisymix_tf.lazy import keras, tf
from noisymix_tf.progress import say


def main(argv: list[str]) -> None:
    """Parses the command line and carries out the run."""
    run(command_line.parse(argv, Config, __doc__))


def run(config: Config) -> evaluation.Results | None:
    """Trains, saves, evaluates and exports as a configuration says.

    Returns what was measured; None on a machine that is not the chief.
    """
    # Before TensorFlow is imported, which takes seconds. Of many machines only
    # the chief writes there.
    interactions.check(config)
    provenance.commit()  # Of now, not of when it has ended.
    if config.strategy != "multi_worker":
        run_folder.check(config)
    from noisymix_tf.training import setup, start

    evaluation.checked(config.suites, config.settings())
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Before anything is computed, and so before all that computes.
    strategy = distribution.strategy(config.strategy, config.tpu)
    interactions.check(config, devices.found(strategy))
    keras.utils.set_random_seed(config.seed)

    begin = start.of(config)
    dataset, held_out = setup.held_out(config, setup.dataset(config))
    evaluation.plan(None, dataset, **config.measured())
    steps_per_epoch = data.steps_per_epoch(dataset.train, config.batch_size)
    with distribution.scope(strategy):
        classifier = setup.classifier(config, dataset, begin)
        trainer = setup.trainer(config, classifier, steps_per_epoch, dataset)
    # Only now, when everything that the flags name has been found good.
    facts = begin.facts(config, dataset) if begin else None
    with _output(config, strategy, dataset, facts) as (config, folder):
        _announce(config, strategy, dataset, trainer, steps_per_epoch)
        if facts:
            say(f"Begins from {start.words(facts)}")
        _fit(config, dataset, trainer, steps_per_epoch, folder)
        if not distribution.is_chief(strategy):
            return None
        with trainer.evaluation_weights():
            rest = dataset, held_out, trainer, folder, facts
            return _finish(config, *rest)


@contextlib.contextmanager
def _output(config, strategy, dataset, facts):
    """The run's folder, and the configuration that writes there.

    Machines other than the chief have a folder of their own that is removed at
    the end: they do what the chief does, because some of it is done together.
    """
    if distribution.is_chief(strategy):
        with run_folder.opened(config, dataset, facts) as folder:
            yield config, folder
        return
    with tempfile.TemporaryDirectory(prefix="noisymix-") as path:
        own = {"output_dir": path, "tensorboard": False, "corruption_epochs": 0}
        config = dataclasses.replace(config, **own)
        with run_folder.opened(config) as folder:
            yield config, folder


def _fit(config, dataset, trainer, steps_per_epoch, folder):
    """Trains to the end, from wherever the run stands."""
    from noisymix_tf import fitting
    from noisymix_tf.callbacks import TrainingDiverged
    from noisymix_tf.training import noise_levels, setup

    try:
        if trainer.additive_noise or trainer.multiplicative_noise:
            images = setup.first_images(config, dataset)
            noise_levels.announce(trainer, images)
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
        of, why = tf.errors, one_line(error)
        if isinstance(error, of.ResourceExhaustedError):
            raise UsageError(
                f"A step needs more memory than there is ({why}): "
                f"{devices.LESS_MEMORY}"
            ) from error
        if isinstance(error, of.UnimplementedError):
            raise UsageError(
                f"This device cannot do what the flags ask for ({why}): give "
                f"--jit_compile=false, or --nodeterministic."
            ) from error
        unread = of.InvalidArgumentError | of.DataLossError | of.NotFoundError
        if isinstance(error, unread | of.PermissionDeniedError):
            # The graph does not know which file it could not decode.
            for split in (dataset.train, dataset.test):
                split.check()
        raise


def _finish(config, dataset, held_out, trainer, folder, facts):
    """Saves the classifier with its card, evaluates it and exports it."""
    from noisymix_tf import serving
    from noisymix_tf.callbacks.logs import read_json_lines
    from noisymix_tf.training import start

    classifier = trainer.model
    own = {"flags": config, "dataset": dataset, "init": facts}
    # Of each epoch: who only finishes a run has not trained it.
    lines = read_json_lines(folder.metrics)
    by = dict.fromkeys(line.get("by", "an older version") for line in lines)
    own["trained_by"] = [*by] or None
    model_card.save(trainer, folder.model, **own)
    strategy = trainer.distribute_strategy
    if strategy.num_replicas_in_sync > 1:
        # What was saved is measured by the devices of this machine.
        is_local = isinstance(strategy, tf.distribute.MirroredStrategy)
        strategy = strategy if is_local else None
        with distribution.scope(strategy):
            classifier = evaluation.load_classifier(folder.model)
    names = "method", "seed", "epochs"
    about = {name: str(getattr(config, name)) for name in names}
    if facts:
        about["begins from"] = start.words(facts)
    measured = config.measured()
    if held_out is not None:
        own = classifier, held_out, dataset.num_classes
        how = {"replicas": distribution.Replicas(strategy)}
        how["batch_size"] = config.eval_batch_size
        found = temperature.of_model(*own, **how)
        model_card.write(folder.model, temperature=found)
        say(temperature.words(found))
        if "calibration" in config.suites and measured["temperature"] is None:
            measured["temperature"] = found["value"]
    about |= {"model": str(folder.model)}
    results = evaluation.evaluate(
        classifier,
        dataset,
        strategy=strategy,
        output_dir=folder.evaluation,
        num_workers=config.num_workers,
        about=about | {"data": config.data_words(dataset.name)},
        **measured,
    )
    card = model_card.write(folder.model, metrics=results)
    print(results.report.summary(), flush=True)
    report = folder.evaluation / "report.html"
    say(f"Model:       {folder.model}\nReport:      {report}")
    if config.export and not folder.has_export(card["model"]["fingerprint"]):
        images, _ = next(dataset.test.batches(8))
        if distribution.num_replicas(strategy) > 1:
            classifier = evaluation.load_classifier(folder.model)
        exported = serving.export(
            classifier,
            folder.saved_model,
            class_names=dataset.class_names,
            preprocess=model_card.preprocess_of(dataset),
            check_images=images,
            card=card,
        )
        say(
            f"SavedModel:  {exported.path} (outputs differ by at most "
            f"{exported.max_abs_difference:.1e} after reload)"
        )
    return results


def _announce(config, strategy, dataset, trainer, steps_per_epoch):
    from noisymix_tf.training import setup

    batch_size = config.batch_size
    say(
        f"{config.method} on {dataset.name}: {len(dataset.train)} "
        f"training and {len(dataset.test)} test images of "
        f"{dataset.num_classes} classes, {config.epochs} epochs of "
        f"{steps_per_epoch} steps"
    )
    unused = len(dataset.train) % batch_size
    if unused:
        say(
            f"{unused} images, others each time, are left out of an epoch: "
            f"they fill no batch of {batch_size}"
        )
    say(
        f"{config.network}: {trainer.model.count_params():,} parameters"
        f"{trainer.tuning.describe()}; taps {', '.join(trainer.taps)}"
    )
    how = {"xla": trainer.jit_compile, "precision": config.precision}
    devices.announce(strategy, **how)
    count = distribution.num_replicas(strategy)
    if count > 1:
        say(
            f"{distribution.describe(strategy)}, {batch_size // count} "
            f"images each; {pipeline.describe(strategy)}"
        )
    say(f"Input: {setup.describe_input(config, dataset)}")
    say(f"Writing to {config.output_dir}")


if __name__ == "__main__":
    command_line.run(main)
