"""Door: any saved classifier x any suites -> report.

python -m noisymix_tf.evaluate --model=runs/quickstart \\
    --suites=clean,c,p,fgsm,calibration --output_dir=runs/quickstart/robustness

Imported, the module can be called as the function that it shadows:
`noisymix_tf.evaluate(model, dataset)`.
"""

import dataclasses
import pathlib
import sys

from noisymix_tf import (
    command_line,
    doors,
    interactions,
    places,
    run_folder,
)
from noisymix_tf.config import EvaluateConfig, EvaluatedDataConfig
from noisymix_tf.errors import UsageError

_USAGE = "python -m noisymix_tf.evaluate --model=PATH [--flag=value ...]"


def main(argv):
    """Parses the command line and measures."""
    command_line.define_flags(config=EvaluateConfig)
    run(command_line.parse(argv, config=EvaluateConfig, usage=_USAGE))


def run(config):
    """Measures as a configuration says, and prints the report.

    Args:
        config: `noisymix_tf.config.EvaluateConfig`.

    Returns:
        The `Results`.
    """
    if config.target.model is None:
        raise UsageError(
            "--model is missing: give a .keras file, the directory of a run, "
            "or a SavedModel."
        )
    if config.target.output_dir is not None and not config.target.dry_run:
        places.check_writable(config.target.output_dir, "report")
    interactions.check(config)
    from noisymix_tf import devices, distribution, evaluation
    from noisymix_tf.training import precision, setup

    settings = config.evaluation.settings()
    evaluation.checked(config.evaluation.suites, settings)
    entry = config.target.robustbench_json
    if entry is not None and config.target.shard != "1/1":
        raise UsageError(
            f"--robustbench_json={entry} needs all parts, this is "
            f"--shard={config.target.shard}: join them, then give it with the "
            f"--output_dir of the whole."
        )
    if entry is not None:
        evaluation.robustbench.check(
            entry,
            config.evaluation.suites,
            settings["corruptions"],
            config.evaluation.severities,
        )
    data = _data(config)
    dataset = setup.test_dataset(
        data, run_folder.classes_of_model(config.target.model)
    )
    about = {"model": config.target.model, "data": data.words(dataset.name)}
    is_given = config.data.dataset or data.test_dir
    _say(
        f"Measuring {about['model']} on "
        f"{'' if is_given else 'the data of its run, '}{about['data']}: "
        f"{len(dataset.test):,} test images of {dataset.num_classes} classes"
    )
    strategy = distribution.strategy(config.target.strategy)
    with distribution.scope(strategy):
        model = evaluation.load_classifier(config.target.model)
    interactions.check(
        config,
        devices.announce(
            strategy, xla=False, precision=precision.name_of(model)
        ),
    )
    options = {
        "suites": config.evaluation.suites,
        "reference": config.evaluation.reference,
        "batch_size": config.evaluation.eval_batch_size,
        "strategy": strategy,
        "shard": config.target.shard,
        **settings,
    }
    num_workers = config.evaluation.num_workers
    if config.target.dry_run:
        plan = evaluation.plan(model, dataset, **options)
        print(plan)
        minutes = evaluation.estimate(plan, num_workers) / 60
        print(f"{len(plan.cells)} cells, about {minutes:,.1f} minutes")
        return plan
    results = evaluation.evaluate(
        model,
        dataset,
        output_dir=config.target.output_dir,
        num_workers=num_workers,
        about=about,
        **options,
    )
    _tell(results, config.target, entry)
    return results


def _tell(results, target, entry):
    """Prints what was found, and where it lies."""
    if results.report is None:
        _say(
            f"Part {target.shard} is in {target.output_dir}; join all parts "
            f"with python -m noisymix_tf.merge"
        )
        return
    if target.output_dir is None:
        # Tables that no file has.
        print(results)
    print(results.report.summary())
    if entry is not None:
        from noisymix_tf.evaluation import robustbench

        for path in robustbench.write(results.report, entry):
            _say(f"RobustBench: {path}")
    if target.output_dir is not None:
        _say(f"Report: {pathlib.Path(target.output_dir, 'report.html')}")


def _data(config):
    """The `EvaluatedDataConfig` that is given, or that of the model's run."""
    given = {
        field.name: value
        for field in dataclasses.fields(EvaluatedDataConfig)
        if (value := getattr(config.data, field.name)) is not None
    }
    if "dataset" in given:
        return EvaluatedDataConfig(**given)
    run = run_folder.flags_of_model(config.target.model)
    sizes = {"image_size", "preprocess"}
    if "test_dir" in given:
        run = {name: run[name] for name in sizes & run.keys()}
    elif "dataset" not in run:
        raise UsageError(
            f"--dataset is missing: {config.target.model} does not say which "
            f"data it belongs to, as the runs of python -m noisymix_tf.train "
            f"do. Give --dataset=NAME, and --data_dir where it lies, or "
            f"--test_dir=DIR."
        )
    own = {
        field.name: _value(field, run[field.name], config.target.model)
        for field in dataclasses.fields(EvaluatedDataConfig)
        # One of them stands for the other.
        if field.name in run
        and not (field.name in sizes and sizes & given.keys())
    }
    return EvaluatedDataConfig(**{**own, **given})


def _value(field, word, model):
    """A flag's value out of the word for it in the flags of a run."""
    try:
        return field.metadata["kind"](word)
    except ValueError as error:
        raise UsageError(
            f"The flags of {model} are damaged (--{field.name}={word}): give "
            f"--dataset and the other flags of its data."
        ) from error


def _say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    doors.run(main)
else:
    doors.make_callable(__name__, "noisymix_tf.evaluation.runner", "evaluate")
