"""Door: how fast things are on this machine, as the other doors do them.

python -m noisymix_tf.benchmark train_step --method=noisymix
"""

import importlib
import sys

from absl import flags

from noisymix_tf import command_line, doors, flagfiles, interactions
from noisymix_tf.benchmarks import BENCHMARKS
from noisymix_tf.errors import UsageError

_USAGE = "python -m noisymix_tf.benchmark NAME [--flag=value ...]"
# The setting of the published small-budget measurements of the reference.
_DEFAULTS = ("--width=0.25", "--batch_size=128")
_METHOD = "noisymix"


def main(argv, flag_values=flags.FLAGS):
    """Runs the benchmark named first on the command line."""
    _define_flags(flag_values)
    name = argv[1] if len(argv) > 1 else ""
    if name in ("--help", "-h"):
        known = (f"  {name}: {each.title}" for name, each in BENCHMARKS.items())
        print(__doc__, *known, "", sep="\n")
    if name in ("--help", "-h", "--version"):
        command_line.parse(argv, flag_values, usage=_USAGE)
    if name not in BENCHMARKS:
        raise UsageError(
            f"Unknown benchmark {name!r}. Known: {', '.join(BENCHMARKS)}."
        )
    benchmark = BENCHMARKS[name]
    words = [*_DEFAULTS, *argv[2:]]
    given = config = command_line.parse(
        [argv[0], f"--method={_METHOD}", *words], flag_values
    )
    if config.run.strategy not in ("auto", "single"):
        raise UsageError(
            f"--strategy={config.run.strategy}: a benchmark measures one "
            f"device; leave it out."
        )
    if benchmark.compares:
        chosen = flag_values.methods or flagfiles.names("method")
        given = {method: _config(words, method) for method in chosen}
    elif flag_values.methods:
        raise UsageError(
            f"--methods={','.join(flag_values.methods)} belongs to methods: "
            f"give --method=NAME."
        )
    if config.run.input == "device" and not benchmark.trains:
        raise UsageError(
            f"--input=device does nothing in {name}: leave it out."
        )
    interactions.check(config)
    rounds = flag_values.rounds or benchmark.rounds
    module = importlib.import_module(f"noisymix_tf.benchmarks.{name}")
    _prepare(config, benchmark, rounds)
    module.run(given, rounds)


def _prepare(config, benchmark, rounds):
    """Operations and seeds as the command has them; says what they are."""
    import keras
    import tensorflow as tf

    from noisymix_tf import devices
    from noisymix_tf.benchmarks import timing

    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    interactions.check(config, devices.found())
    keras.utils.set_random_seed(config.run.seed)
    print(
        f"{benchmark.title}: {rounds} {benchmark.unit}; {timing.hardware()}; "
        f"{devices.operations()}, --jit_compile={config.run.jit_compile}, "
        f"{config.model.precision}, seed {config.run.seed}",
        flush=True,
    )


def _define_flags(flag_values):
    command_line.define_flags(flag_values)
    known = BENCHMARKS.items()
    defaults = [f"{name} {each.rounds} {each.unit}" for name, each in known]
    flags.DEFINE_integer(
        "rounds",
        None,
        f"Timed repetitions of each thing; by default {', '.join(defaults)}.",
        lower_bound=1,
        flag_values=flag_values,
    )
    which = "Of methods: which, the baseline among them; by default all."
    flags.DEFINE_list("methods", None, which, flag_values=flag_values)


def _config(words, method):
    """The configuration of one method; nothing of another is left in it."""
    values = flags.FlagValues()
    _define_flags(values)
    words = flagfiles.expand([*words, f"--method={method}"])
    return command_line.parse_expanded(["benchmark", *words], values)


if __name__ == "__main__":
    doors.run(main, sys.argv)
