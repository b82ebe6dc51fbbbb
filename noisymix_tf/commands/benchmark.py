"""Measure how fast things are on this machine.

python -m noisymix_tf benchmark train_step --method=noisymix
"""

import dataclasses

from noisymix_tf import benchmarks, command_line, flagfiles, interactions
from noisymix_tf.benchmarks import BENCHMARKS
from noisymix_tf.commands import COMMANDS
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf
from noisymix_tf.options import AT_LEAST_1, Options, option

# The setting of the published small-budget measurements of the reference.
_DEFAULTS = ("--width=0.25", "--batch_size=128")
_METHOD = "noisymix"


@dataclasses.dataclass(frozen=True)
class MeasurementConfig(Options):
    """What is measured, and how often."""

    rounds: int | None = option(
        None,
        "Timed repetitions of each thing; by default as the first line says.",
        AT_LEAST_1,
    )
    methods: tuple[str, ...] = option(
        (), "Of methods: which, the baseline among them; by default all."
    )


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig(MeasurementConfig, Config):
    """Everything that determines a measurement."""


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
    facts = BENCHMARKS.facts(name)
    if config.strategy not in ("auto", "single"):
        raise UsageError(
            f"--strategy={config.strategy}: a benchmark measures one device; "
            f"leave it out."
        )
    if facts.get("compares"):
        chosen = config.methods or flagfiles.names("method")
        given = {method: _of(method, words) for method in chosen}
    elif config.methods:
        raise UsageError(
            f"--methods={','.join(config.methods)} belongs to methods: give "
            f"--method=NAME."
        )
    if config.input == "device" and not facts.get("trains"):
        raise UsageError(
            f"--input=device does nothing in {name}: leave it out."
        )
    interactions.check(config)
    rounds = config.rounds or facts["rounds"]
    _prepare(config, facts, rounds)
    BENCHMARKS.get(name)(given, rounds)


def _of(method, words):
    """The configuration of one method; nothing of another is left in it."""
    words = flagfiles.expand([*_DEFAULTS, *words, f"--method={method}"])
    return command_line.parse_words(words, BenchmarkConfig)


def _prepare(config, facts, rounds):
    """Operations and seeds as the command has them; says what they are."""
    from noisymix_tf import devices
    from noisymix_tf.benchmarks import timing

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    interactions.check(config, devices.found())
    keras.utils.set_random_seed(config.seed)
    unit = facts.get("unit", "steps")
    print(
        f"{facts['title']}: {rounds} {unit}; {timing.hardware()}; "
        f"{devices.operations()}, --jit_compile={config.jit_compile}, "
        f"{config.precision}, seed {config.seed}",
        flush=True,
    )
