"""Measure a saved classifier on clean and shifted images.

python -m noisymix_tf evaluate --model=runs/quickstart \\
    --suites=clean,c,p,fgsm,calibration --output_dir=runs/quickstart/robustness
"""

import dataclasses
import pathlib
import sys

from noisymix_tf import (
    command_line,
    devices,
    distribution,
    evaluation,
    interactions,
    places,
    run_folder,
)
from noisymix_tf.commands import COMMANDS
from noisymix_tf.data.options import EvaluatedDataConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.options import Options, option


@dataclasses.dataclass(frozen=True)
class TargetConfig(Options):
    """The model, and where the report goes."""

    model: str | None = option(
        None,
        "The classifier: a .keras file, the directory of a run, or a "
        "SavedModel, on this machine or in a bucket (gs://...). It takes "
        "pixels 0..255.",
        address=True,
        first=True,
    )
    output_dir: str | None = option(
        None,
        "Directory of records and report. An interrupted evaluation is "
        "continued by the same command.",
        first=True,
    )
    strategy: str = option(
        "auto",
        "Devices: single, mirrored (all accelerators of this machine share "
        "every batch), or auto (mirrored where there are several).",
        choices=("auto", "single", "mirrored"),
    )
    robustbench_json: str | None = option(
        None,
        "Also write NAME.json, an entry of RobustBench's corruption "
        "leaderboard, and NAME.csv, its row of cells.",
    )
    dry_run: bool = option(
        False,
        "Only print what would be measured, and about how long it would take.",
    )
    shard: str = option(
        "1/1",
        "Measure part i/n only, into an output_dir of its own; python -m "
        "noisymix_tf merge joins all parts.",
    )


_USAGE = "python -m noisymix_tf evaluate --model=PATH [--flag=value ...]"


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(TargetConfig, EvaluatedDataConfig, EvaluationConfig):
    """Everything that determines an evaluation."""


@COMMANDS.register("evaluate")
def main(argv):
    """Parses the command line and measures."""
    run(command_line.parse(argv, EvaluateConfig, _USAGE))


def run(config):
    """Measures as a configuration says, and prints the report.

    Args:
        config: `EvaluateConfig`.

    Returns:
        The `Results`.
    """
    _check(config)
    from noisymix_tf.training import precision

    dataset, about = _dataset(config)
    strategy = distribution.strategy(config.strategy)
    with distribution.scope(strategy):
        model = evaluation.load_classifier(config.model)
    interactions.check(
        config,
        devices.announce(
            strategy, xla=False, precision=precision.name_of(model)
        ),
    )
    options = {
        "suites": config.suites,
        "reference": config.reference,
        "batch_size": config.eval_batch_size,
        "strategy": strategy,
        "shard": config.shard,
        **config.settings(),
    }
    if config.dry_run:
        plan = evaluation.plan(model, dataset, **options)
        print(plan)
        minutes = evaluation.estimate(plan, config.num_workers) / 60
        print(f"{len(plan.cells)} cells, about {minutes:,.1f} minutes")
        return plan
    results = evaluation.evaluate(
        model,
        dataset,
        output_dir=config.output_dir,
        num_workers=config.num_workers,
        about=about,
        **options,
    )
    _tell(results, config)
    return results


def _check(config):
    """Refuses what can be refused before a model is loaded."""
    if config.model is None:
        raise UsageError(
            "--model is missing: give a .keras file, the directory of a run, "
            "or a SavedModel."
        )
    if config.output_dir is not None and not config.dry_run:
        places.check_writable(config.output_dir, "report")
    interactions.check(config)
    settings, entry = config.settings(), config.robustbench_json
    evaluation.checked(config.suites, settings)
    if entry is not None and config.shard != "1/1":
        raise UsageError(
            f"--robustbench_json={entry} needs all parts, this is "
            f"--shard={config.shard}: join them, then give it with the "
            f"--output_dir of the whole."
        )
    if entry is not None:
        own = config.suites, settings["corruptions"], config.severities
        evaluation.robustbench.check(entry, *own)


def _dataset(config):
    """What is measured on, and words on it and on the model; says both."""
    from noisymix_tf.training import setup

    data = _data(config)
    classes = run_folder.classes_of_model(config.model)
    dataset = setup.test_dataset(data, classes)
    about = {"model": config.model, "data": data.data_words(dataset.name)}
    is_given = config.dataset or data.test_dir
    _say(
        f"Measuring {about['model']} on "
        f"{'' if is_given else 'the data of its run, '}{about['data']}: "
        f"{len(dataset.test):,} test images of {dataset.num_classes} classes"
    )
    return dataset, about


def _tell(results, target):
    """Prints what was found, and where it lies."""
    entry = target.robustbench_json
    if results.report is None:
        _say(
            f"Part {target.shard} is in {target.output_dir}; join all parts "
            f"with python -m noisymix_tf merge"
        )
        return
    if target.output_dir is None:
        # Tables that no file has.
        print(results)
    print(results.report.summary())
    if entry is not None:
        for path in robustbench.write(results.report, entry):
            _say(f"RobustBench: {path}")
    if target.output_dir is not None:
        _say(f"Report: {pathlib.Path(target.output_dir, 'report.html')}")


def _data(config):
    """The `EvaluatedDataConfig` that is given, or that of the model's run."""
    given = config.only(EvaluatedDataConfig).items()
    given = {name: value for name, value in given if value is not None}
    if "dataset" in given:
        return EvaluatedDataConfig(**given)
    run = run_folder.flags_of_model(config.model)
    sizes = {"image_size", "preprocess"}
    if "test_dir" in given:
        run = {name: run[name] for name in sizes & run.keys()}
    elif "dataset" not in run:
        raise UsageError(
            f"--dataset is missing: {config.model} does not say which "
            f"data it belongs to, as the runs of python -m noisymix_tf.train "
            f"do. Give --dataset=NAME, and --data_dir where it lies, or "
            f"--test_dir=DIR."
        )
    if sizes & given.keys():  # One of them stands for the other.
        run = {name: run[name] for name in run.keys() - sizes}
    names = run.keys() & EvaluatedDataConfig.kinds()
    words = [f"--{name}={run[name]}" for name in names]
    try:
        own = command_line.parse_words(words, EvaluatedDataConfig)
    except UsageError as error:
        raise UsageError(
            f"The flags of {config.model} are damaged ({error}): give "
            f"--dataset and the other flags of its data."
        ) from error
    return dataclasses.replace(own, **given)


def _say(text):
    print(text, file=sys.stderr, flush=True)
