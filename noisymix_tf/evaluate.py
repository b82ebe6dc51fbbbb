"""Door: any saved classifier x any suites -> report.

python -m noisymix_tf.evaluate --model=runs/quickstart --dataset=digits \\
    --suites=clean,c,p,fgsm,calibration --output_dir=runs/quickstart/robustness

Imported, the module can be called as the function that it shadows:
`noisymix_tf.evaluate(model, dataset)`.
"""

import pathlib
import sys

from noisymix_tf import checks, command_line, doors
from noisymix_tf.config import EvaluateConfig
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
        checks.output_dir(config.target.output_dir, "report")
    from noisymix_tf import distribution, evaluation
    from noisymix_tf.training import setup

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
    dataset = setup.test_dataset(config.data)
    strategy = distribution.strategy(config.target.strategy)
    with distribution.scope(strategy):
        model = evaluation.load_classifier(config.target.model)
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
            print(f"RobustBench: {path}", file=sys.stderr)
    if config.target.output_dir is not None:
        page = pathlib.Path(config.target.output_dir, "report.html")
        print(f"Report: {page}", file=sys.stderr)
    return results


if __name__ == "__main__":
    doors.run(main)
else:
    doors.make_callable(__name__, "noisymix_tf.evaluation.runner", "evaluate")
