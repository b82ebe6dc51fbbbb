"""What a comparison does: train what is to be trained, and compare."""

import contextlib
import sys

from noisymix_tf import places
from noisymix_tf.comparison import processes, runs, table, trainings, writers
from noisymix_tf.errors import UsageError
from noisymix_tf.files import claimed
from noisymix_tf.run_folder import flag_name

# Says that the directory is one of a comparison, and repeats it as a flagfile.
_FLAGFILE = "comparison.flags"
# Flags that mean something where nothing is trained.
_OWN = {"runs", "baseline", "compare_anyway", "output_dir", "reference"}
_OWN |= {"plugins"}


def run(config, words, launch=processes.launch):
    """Compares runs, or trains methods and compares them: a `table.Table`.

    Of a `CompareConfig` and its command line, from `flagfiles.expand`. If some
    failed or could not be read, a `UsageError` follows the table of the others.
    """
    output = config.output_dir
    if bool(config.runs) == bool(config.methods):
        words = "directories of runs to compare, or --methods=A,B to train"
        raise UsageError(f"Give {words}, and not both.")
    if config.methods:
        places.check_writable(output, "trainings and their table")
        planned = trainings.plan(words, config)
        with _claimed(output, words) as folder:
            _say(f"{len(planned)} trainings, writing to {folder}")
            failures = processes.run_all(planned, launch, config.jobs)
            done = [t.folder for t in planned if t.is_finished()]
            return _compare(config, done, failures, "failed", folder)
    given = {flag_name(word) for word in words if word[:1] == "-"}
    for name in sorted(given - _OWN):
        raise UsageError(
            f"--{name} is for trainings, these runs are compared as they are: "
            f"leave it out, or name --methods."
        )
    below, problems = _each(runs.find, config.runs)
    found = {path.resolve(): path for paths in below for path in paths}
    kept = _claimed(output, words) if output and found else None
    with kept or contextlib.nullcontext() as folder:
        return _compare(config, found.values(), problems, "left out", folder)


def _each(function, names):
    """What a function gives of names, and a line for each it does not take."""
    found, problems = [], []
    for name in names:
        try:
            found.append(function(name))
        except UsageError as error:
            problems.append(str(error))
    return found, problems


def _compare(config, paths, problems, verb, folder=None):
    """Prints and writes a table; a mistake at the end tells what it lacks."""
    found, more = _each(runs.read, paths)
    problems += more
    if not found:
        raise UsageError(f"Nothing to compare. {' '.join(problems)}")
    result = table.build(
        found, config.reference, config.compare_anyway, config.baseline
    )
    print(writers.markdown(result))
    for path in writers.write(folder, result) if folder else ():
        _say(f"Table: {path}")
    for line in problems:
        _say(f"{verb}: {line}")
    if problems:
        number = len(problems)
        raise UsageError(f"{number} {verb} (see above); the others are shown.")
    return result


@contextlib.contextmanager
def _claimed(output_dir, words):
    """A comparison's directory, made and locked, in which its flags are."""
    with claimed(output_dir, "comparison", _FLAGFILE) as folder:
        (folder / _FLAGFILE).write_text("".join(f"{w}\n" for w in words))
        yield folder


def _say(text):
    print(text, file=sys.stderr, flush=True)
