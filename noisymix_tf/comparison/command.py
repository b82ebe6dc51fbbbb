"""What a comparison does: train what is to be trained, and compare."""

import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

from noisymix_tf import marked, places
from noisymix_tf.comparison import curve, runs, table, trainings, writers
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.files import claimed
from noisymix_tf.progress import say, warn
from noisymix_tf.run_folder import flag_name

# Says that the directory is one of a comparison, and repeats it as a flagfile.
_FLAGFILE = "comparison.flags"
# Flags that mean something where nothing is trained.
_OWN = {"runs", "baseline", "compare_anyway", "curve", "equal_passes"}
_OWN |= {"output_dir", "plugins", "quiet", "reference", "write_to"}
_INTERRUPTED = 130
# What TensorFlow and its libraries read the number of threads from.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
# Seconds between two looks at processes.
_PATIENCE = 0.05


def launch(training, jobs=1) -> subprocess.Popen:
    """Starts a `Training`, in a session of its own, with its share of cores.

    So a Ctrl-C at the terminal reaches it once only: by `_stop`.
    """
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    threads = dict.fromkeys(_THREADS, share) if jobs > 1 else {}
    flagfile = f"--flagfile={training.flagfile}"
    with training.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "noisymix_tf.train", flagfile],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**threads, **os.environ},
            start_new_session=True,
        )


def run(config, words, launch=launch) -> table.Table:
    """Compares runs, or trains methods and compares them.

    Of a `CompareConfig` and its command line, from `flagfiles.expand`. If some
    failed or could not be read, a `UsageError` follows the table of the others.
    """
    output = config.output_dir
    marked.check(config.write_to)
    if bool(config.runs) == bool(config.methods):
        words = "directories of runs to compare, or --methods=A,B to train"
        raise UsageError(f"Give {words}, and not both.")
    if config.methods and config.curve:
        raise UsageError(
            "--curve is of finished runs: train each budget by a command of "
            "its own, then give their folders in place of --methods."
        )
    if config.methods:
        places.check_writable(output, "trainings and their table")
        planned = trainings.plan(words, config)
        with _claimed(output, words) as folder:
            say(f"{len(planned)} trainings, writing to {folder}")
            failures = train(planned, launch, config.jobs)
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


def train(trainings, launch, jobs=1, silence=30.0) -> list[str]:
    """Carries out what is not finished; a line for each training that failed.

    Every `silence` seconds the last lines of the logs are shown. `Preempted` or
    `KeyboardInterrupt` if this process, or a training's, is told to end:
    trainings have then saved where they stand.
    """
    failures, running = [], []
    waiting = collections.deque(
        _Job(f"[{n}/{len(trainings)}] {training.title}: ", training)
        for n, training in enumerate(trainings, 1)
    )
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                job = waiting.popleft()
                if job.start(launch, jobs):
                    running.append(job)
            if running:
                job = _first_to_end(running, silence)
                failures += job.end()
                running.remove(job)
    except BaseException as error:
        is_key = isinstance(error, KeyboardInterrupt)
        _stop(running, signal.SIGINT if is_key else signal.SIGTERM)
        if not is_key and not isinstance(error, Preempted):
            raise
        kept = "{0.title} is kept as far as it is, see {0.log}"
        left = "; ".join(kept.format(job.training) for job in running)
        raise type(error)(left) from None
    return failures


class _Job:
    """A training, the beginning of the lines on it, and its process."""

    def __init__(self, head, training):
        self.head, self.training = head, training
        self.process = self._began = None

    def say(self, text):
        say(self.head + text)

    def start(self, launch, jobs):
        """Starts its process; whether there was anything to do."""
        if self.training.is_finished():
            self.say(f"there already; {_summary(self.training)}")
            return False
        self.say("started")
        self.training.prepare()
        self._began = time.monotonic()
        self.process = launch(self.training, jobs)
        return True

    def end(self):
        """Once the process has ended: why it failed, if it did, in a list."""
        status, log = self.process.wait(), self.training.log
        if status == Preempted.STATUS:
            raise Preempted(self.training.title)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        elapsed = f"{time.monotonic() - self._began:.0f} s"
        if status == 0:
            self.training.mark_finished()
            self.say(f"{elapsed}; {_summary(self.training)}")
            return []
        reason = f"status {status}, see {log}: {self.last()}"
        if status < 0:
            name = signal.Signals(-status).name
            reason = f"its process was ended by {name}, see {log}"
        self.say(f"failed after {elapsed}: {reason}")
        return [f"{self.training.title}: {reason}"]

    def last(self):
        """The last line of its log; of a bar what was drawn last."""
        text = self.training.log.read_text(errors="replace")
        lines = [line.strip() for line in re.split(r"[\r\n\b]+", text)]
        return next(filter(None, reversed(lines)), "").removeprefix("error: ")


def _first_to_end(running, silence):
    said = time.monotonic()
    while True:
        for job in running:
            if job.process.poll() is not None:
                return job
        if time.monotonic() - said >= silence:
            said = time.monotonic()
            for job in running:
                job.say(job.last()[:120])
        time.sleep(_PATIENCE)


def _stop(running, number):
    """Passes a signal on, and every Ctrl-C after it, until all have ended."""
    while True:
        try:
            for job in running:
                job.process.send_signal(number)
            for job in running:
                job.process.wait()
                job.say("ended early")
            return
        except KeyboardInterrupt:
            number = signal.SIGINT


def _summary(training):
    try:
        sections = runs.read(training.folder).sections.values()
    except UsageError as error:
        return str(error)
    firsts = [(s, *next(iter(s["figures"].items()))) for s in sections]
    own = [(s["label"], v) for s, k, v in firsts if s["kinds"][k] == "percent"]
    return ", ".join(f"{label} {100 * value:.1f} %" for label, value in own[:2])


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
    how = config.reference, config.compare_anyway, config.baseline
    form = curve if config.curve else writers
    if config.curve:
        result = curve.build(found, *how)
    else:
        result = table.build(found, *how, config.equal_passes)
    print(form.markdown(result))
    for path in form.write(folder, result) if folder else ():
        say(f"Written: {path}")
    for line in problems:
        warn(f"{verb}: {line}")
    if problems:
        number, page = len(problems), config.write_to
        kept = f", {page} stays as it is" if page else ""
        raise UsageError(
            f"{number} {verb} (see above); the others are shown{kept}."
        )
    short = form.markdown(result, is_short=True), *form.facts(result)
    marked.write(config.write_to, *short, made=runs.made(found))
    return result


@contextlib.contextmanager
def _claimed(output_dir, words):
    """A comparison's directory, made and locked, in which its flags are."""
    with claimed(output_dir, "comparison", _FLAGFILE) as folder:
        (folder / _FLAGFILE).write_text("".join(f"{w}\n" for w in words))
        yield folder
