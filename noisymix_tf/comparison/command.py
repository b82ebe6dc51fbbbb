"""What the door of comparisons does: train what is to be trained, compare."""

import sys

from absl import flags

from noisymix_tf.comparison import arguments, files, processes, runs, trainings
from noisymix_tf.errors import UsageError
from noisymix_tf.run_lock import RunLock

# Flags that mean something where nothing is trained.
_OF_COMPARISONS = (
    "runs",
    "compare_anyway",
    "output_dir",
    "reference",
)


def run(config, words, launch=processes.launch, flag_values=flags.FLAGS):
    """Compares runs, or trains methods and compares them.

    Args:
        config: `noisymix_tf.config.compare.CompareConfig`.
        words: The command line, from `arguments.flat`.
        launch: Starts the process of a training, see `processes`.
        flag_values: Holder of the flags.

    Returns:
        `table.Table`.

    Raises:
        UsageError: A flag cannot be used, runs do not compare, or some of them
            failed or could not be read; the table is then one of the others.
    """
    _check(config, words, flag_values)
    if config.comparison.methods:
        planned = trainings.plan(
            words, config, config.run.output_dir, flag_values
        )
        return _train_and_compare(config, words, planned, launch)
    paths, problems = _found(config.comparison.runs)
    if config.run.output_dir is None:
        table, unread = _compare(config, paths)
    else:
        folder = files.claim(config.run.output_dir)
        with RunLock(folder):
            files.write_flags(folder, words)
            table, unread = _compare(config, paths, folder)
    _complain([*problems, *unread], "left out")
    return table


def _train_and_compare(config, words, planned, launch):
    """Every method with every seed, and the table of those that ended well."""
    folder = files.claim(config.run.output_dir)
    with RunLock(folder):
        files.write_flags(folder, words)
        _say(f"{len(planned)} trainings, writing to {folder}")
        failures = processes.run_all(planned, launch, config.comparison.jobs)
        done = [t.folder for t in planned if t.is_finished()]
        if not done:
            raise UsageError("No training ended well; see the lines above.")
        table, unread = _compare(config, done, folder)
    _complain([*failures, *unread], "failed")
    return table


def _compare(config, paths, folder=None):
    """The table of the runs in some directories, printed and written.

    Returns:
        The `Table`, and a line for each directory that could not be read.
    """
    # Here, because it comes with TensorFlow, which no training waits for.
    from noisymix_tf.comparison import table
    from noisymix_tf.comparison.writers.markdown import markdown

    found, problems = [], []
    for path in paths:
        try:
            found.append(runs.read(path))
        except UsageError as error:
            problems.append(str(error))
    if not found:
        raise UsageError(" ".join(problems) or "There is no run to compare.")
    result = table.build(
        found, config.evaluation.reference, config.comparison.compare_anyway
    )
    print(markdown(result))
    if folder is not None:
        for path in files.write(folder, result):
            _say(f"Table: {path}")
    return result, problems


def _found(named):
    """Directories of runs below those that were named, each once."""
    paths, problems = {}, []
    for name in named:
        try:
            paths |= {p.resolve(): p for p in runs.find(name)}
        except UsageError as error:
            problems.append(str(error))
    if not paths:
        raise UsageError(" ".join(problems))
    return list(paths.values()), problems


def _check(config, words, flag_values):
    comparison = config.comparison
    if bool(comparison.runs) == bool(comparison.methods):
        raise UsageError(
            "Give directories of runs to compare, or --methods=NAME,NAME to "
            "train, and not both."
        )
    if comparison.methods:
        if not config.run.output_dir:
            raise UsageError(
                "--output_dir is missing: name a directory for the trainings "
                "and their table."
            )
        return
    useless = arguments.given(words, flag_values) - set(_OF_COMPARISONS)
    if useless:
        raise UsageError(
            f"--{sorted(useless)[0]} is for trainings, and these runs are "
            f"compared as they are: leave it out, or name --methods."
        )


def _complain(lines, verb):
    """Ends with a mistake after the table, if anything is not in it."""
    if not lines:
        return
    for line in lines:
        _say(f"{verb}: {line}")
    raise UsageError(
        f"{len(lines)} {verb}, as said above; the table is of the others."
    )


def _say(text):
    print(text, file=sys.stderr, flush=True)
