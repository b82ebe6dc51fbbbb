"""Measure a saved classifier on clean and shifted images.

python -m noisymix_tf evaluate --model=runs/quickstart \\
    --suites=clean,c,p,fgsm,calibration --output_dir=runs/quickstart/robustness
"""

import dataclasses
import pathlib

from noisymix_tf import (
    command_line,
    devices,
    distribution,
    evaluation,
    interactions,
    places,
    run_folder,
)
from noisymix_tf.commands import command
from noisymix_tf.data.options import EvaluatedDataConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import Plan, Results, robustbench
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.options import option
from noisymix_tf.progress import say


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(EvaluatedDataConfig, EvaluationConfig):
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


@command("evaluate", EvaluateConfig)
def run(config: EvaluateConfig) -> Results | Plan:
    """Measures as a configuration says, and prints the report."""
    _check(config)
    from noisymix_tf.training import precision, setup

    data = data_of(config)
    classes = run_folder.from_card(config.model, "dataset", "class_names")
    dataset = setup.test_dataset(data, classes)
    run = run_folder.flags_of_model(config.model)
    names = {"method", "seed", "epochs"} & run.keys()
    about = {name: run[name] for name in sorted(names)}
    about |= {"model": config.model, "data": data.data_words(dataset.name)}
    of_run = "" if config.dataset or data.test_dir else "the data of its run, "
    say(
        f"Measuring {config.model} on {of_run}{about['data']}: "
        f"{len(dataset.test):,} test images of {dataset.num_classes} classes"
    )
    strategy = distribution.strategy(config.strategy)
    with distribution.scope(strategy):
        model = evaluation.load_classifier(config.model)
    policy = precision.name_of(model)
    found = devices.announce(strategy, xla=False, precision=policy)
    interactions.check(config, found)
    options = config.measured()
    if "calibration" in config.suites and options["temperature"] is None:
        own = run_folder.from_card(config.model, "temperature", "value")
        options["temperature"] = own
    options |= {"strategy": strategy, "shard": config.shard}
    if config.dry_run:
        plan = evaluation.plan(model, dataset, **options)
        print(plan)
        minutes = evaluation.estimate(plan, config.num_workers) / 60
        print(f"{len(plan.cells)} cells, about {minutes:,.1f} minutes")
        return plan
    options |= {"num_workers": config.num_workers, "about": about}
    results = evaluation.evaluate(
        model, dataset, output_dir=config.output_dir, **options
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
    if entry is None:
        return
    if config.shard != "1/1":
        raise UsageError(
            f"--robustbench_json={entry} needs all parts, this is "
            f"--shard={config.shard}: join them, then give it with the "
            f"--output_dir of the whole."
        )
    own = config.suites, settings["corruptions"], config.severities
    robustbench.check(entry, *own)


def data_of(config) -> EvaluatedDataConfig:
    """The `EvaluatedDataConfig` that is given, or that of the model's run."""
    given = config.arguments(EvaluatedDataConfig).items()
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
    names = run.keys() & EvaluatedDataConfig.kinds()
    if sizes & given.keys():  # One of them stands for the other.
        names -= sizes
    words = [f"--{name}={run[name]}" for name in names]
    try:
        own = command_line.parse_words(words, EvaluatedDataConfig)
    except UsageError as error:
        raise UsageError(
            f"The flags of {config.model} are damaged ({error}): give "
            f"--dataset and the other flags of its data."
        ) from error
    return dataclasses.replace(own, **given)


def _tell(results, config):
    """Prints what was found, and where it lies."""
    if results.report is None:
        say(
            f"Part {config.shard} is in {config.output_dir}; join all parts "
            f"with python -m noisymix_tf merge"
        )
        return
    if config.output_dir is None:
        # Tables that no file has.
        print(results)
    print(results.report.summary())
    if config.robustbench_json is not None:
        for path in robustbench.write(results.report, config.robustbench_json):
            say(f"RobustBench: {path}")
    if config.output_dir is not None:
        say(f"Report: {pathlib.Path(config.output_dir, 'report.html')}")
