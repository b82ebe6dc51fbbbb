"""Measure how fast things are on this machine.

python -m noisymix_tf benchmark train_step --method=noisymix
"""

import contextlib
import dataclasses
import io
import os
import sys

from noisymix_tf import (
    benchmarks,
    command_line,
    flagfiles,
    interactions,
    marked,
    provenance,
)
from noisymix_tf.benchmarks import BENCHMARKS
from noisymix_tf.commands import COMMANDS
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf
from noisymix_tf.marked import WriteToOptions
from noisymix_tf.options import AT_LEAST_1, option
from noisymix_tf.progress import warn

# The setting of the published small-budget measurements of the reference.
_DEFAULTS = ("--width=0.25", "--batch_size=128")
_METHOD = "noisymix"


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig(WriteToOptions, Config):
    """What is measured, and how often."""

    rounds: int | None = option(
        None,
        "Timed repetitions of each thing; by default as the first line says.",
        AT_LEAST_1,
    )
    methods: tuple[str, ...] = option(
        (), "Of methods: which, the baseline among them; by default all."
    )


@COMMANDS.register("benchmark")
def main(argv: list[str]) -> None:
    """Runs the benchmark named first on the command line."""
    words = argv[1:]
    name = words.pop(0) if words and words[0][:1] != "-" else ""
    line = ["", f"--method={_METHOD}", *_DEFAULTS, *words]
    benchmarks.load()
    known = sorted(BENCHMARKS.names())
    titles = (f"\n  {n}: {BENCHMARKS.facts(n)['title']}" for n in known)
    about = f"{__doc__}{''.join(titles)}"
    given = config = command_line.parse(line, BenchmarkConfig, about)
    if not name:
        raise UsageError(f"Name a benchmark: {', '.join(known)}.")
    facts = BENCHMARKS.facts(name)
    if config.strategy not in ("auto", "single"):
        raise UsageError(
            f"--strategy={config.strategy}: a benchmark measures one device; "
            f"leave it out."
        )
    if facts.get("compares"):
        chosen = config.methods or flagfiles.names("method")
        given = {method: _of(method, words) for method in chosen}
        if not (config.methods or config.mixing_dir):
            lacking = [
                m for m in given if interactions.mixes_pictures(given[m])
            ]
            given = {m: own for m, own in given.items() if m not in lacking}
            warn(
                f"note: without --mixing_dir=DIR {', '.join(lacking)} are out."
            )
        config = dataclasses.replace(config, mixing_dir=None)
    elif config.methods:
        raise UsageError(
            f"--methods={','.join(config.methods)} belongs to methods: give "
            f"--method=NAME."
        )
    if config.input == "device" and not facts.get("trains"):
        raise UsageError(
            f"--input=device does nothing in {name}: leave it out."
        )
    for own in given.values() if facts.get("compares") else [config]:
        interactions.check(own)
    marked.check(config.write_to)
    rounds = config.rounds or facts["rounds"]
    words = _prepare(config, facts, rounds)
    print(f"{facts['title']}: {words}; {provenance.machine()}", flush=True)
    with contextlib.redirect_stdout(_Both(sys.stdout)) as printed:
        BENCHMARKS.get(name)(given, rounds)
    marked.write(config.write_to, printed.getvalue(), words)


class _Both(io.StringIO):
    """Keeps what is printed, which goes on to where it would have gone."""

    def __init__(self, stream):
        super().__init__()
        self._stream = stream

    def write(self, text):
        self._stream.write(text)
        return super().write(text)

    def flush(self):
        self._stream.flush()


def _of(method, words):
    """The configuration of one method; nothing of another is left in it."""
    words = flagfiles.expand([*_DEFAULTS, *words, f"--method={method}"])
    own = command_line.parse_words(words, BenchmarkConfig)
    if interactions.mixes_pictures(own):
        return own
    return dataclasses.replace(own, mixing_dir=None)


def _prepare(config, facts, rounds):
    """Sets operations and seeds as the command has them; both in words."""
    from noisymix_tf import devices

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    interactions.check(config, devices.found())
    keras.utils.set_random_seed(config.seed)
    unit = facts.get("unit", "steps")
    return (
        f"{rounds} {unit}, {devices.operations()}, "
        f"--jit_compile={config.jit_compile}, {config.precision}, seed "
        f"{config.seed}, load {os.getloadavg()[0]:.1f} before it"
    )
