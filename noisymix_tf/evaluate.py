"""Door: any saved classifier x any suites -> report.

python -m noisymix_tf.evaluate --model=runs/quickstart \\
    --suites=clean,c,p,fgsm,calibration --output_dir=runs/quickstart/robustness

Imported, the module can be called as the function that it shadows:
`noisymix_tf.evaluate(model, dataset)`.
"""

import dataclasses
import pathlib
import sys

from noisymix_tf import command_line, doors, places, run_folder
from noisymix_tf.config import EvaluateConfig, TestDataConfig
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
    if config.target.output_dir is not None:
        places.check_writable(config.target.output_dir, "report")
    from noisymix_tf import devices, distribution, evaluation
    from noisymix_tf.training import precision, setup

    settings = config.evaluation.settings()
    evaluation.check_selection(config.evaluation.suites, **settings)
    entry = config.target.robustbench_json
    if entry is not None:
        evaluation.robustbench.check(
            entry,
            config.evaluation.suites,
            settings["corruptions"],
            config.evaluation.severities,
        )
    data = _data(config)
    dataset = setup.test_dataset(data)
    _say(
        f"Measuring {config.target.model} on "
        f"{'' if config.data.dataset else 'the data of its run, '}"
        f"{data.dataset}"
        f"{'' if data.data_dir is None else f' in {data.data_dir}'}: "
        f"{len(dataset.test):,} test images of {dataset.num_classes} classes"
    )
    strategy = distribution.strategy(config.target.strategy)
    with distribution.scope(strategy):
        model = evaluation.load_classifier(config.target.model)
    devices.announce(strategy, xla=False, precision=precision.name_of(model))
    results = evaluation.evaluate(
        model,
        dataset,
        suites=config.evaluation.suites,
        output_dir=config.target.output_dir,
        reference=config.evaluation.reference,
        batch_size=config.evaluation.eval_batch_size,
        strategy=strategy,
        **settings,
    )
    if config.target.output_dir is None:
        # Tables that no file has.
        print(results)
    print(results.report.summary())
    if entry is not None:
        for path in evaluation.robustbench.write(results.report, entry):
            _say(f"RobustBench: {path}")
    if config.target.output_dir is not None:
        page = pathlib.Path(config.target.output_dir, "report.html")
        _say(f"Report: {page}")
    return results


def _data(config):
    """The `TestDataConfig` that is given, or that of the model's run."""
    given = {
        field.name: value
        for field in dataclasses.fields(TestDataConfig)
        if (value := getattr(config.data, field.name)) is not None
    }
    if "dataset" in given:
        return TestDataConfig(**given)
    run = run_folder.flags_of_model(config.target.model)
    if "dataset" not in run:
        raise UsageError(
            f"--dataset is missing: {config.target.model} does not say which "
            f"data it belongs to, as the runs of python -m noisymix_tf.train "
            f"do. Give --dataset=NAME, and --data_dir where it lies."
        )
    sizes = {"image_size", "preprocess"}
    own = {
        field.name: _value(field, run[field.name], config.target.model)
        for field in dataclasses.fields(TestDataConfig)
        # One of them stands for the other.
        if field.name in run
        and not (field.name in sizes and sizes & given.keys())
    }
    return TestDataConfig(**{**own, **given})


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
