"""Door: how fast things are on this machine.

python -m noisymix_tf.benchmark augmix
python -m noisymix_tf.benchmark segments
python -m noisymix_tf.benchmark train_step --method=noisymix
python -m noisymix_tf.benchmark training --method=baseline
"""

import sys

from absl import flags

from noisymix_tf import command_line, doors
from noisymix_tf.errors import UsageError

_BENCHMARKS = ("augmix", "segments", "train_step", "training")
# The setting of the published small-budget measurements of the reference.
_DEFAULTS = ("--method=noisymix", "--width=0.25", "--batch_size=128")


def main(argv):
    """Runs the benchmark named first on the command line."""
    command_line.define_flags()
    flags.DEFINE_integer(
        "rounds", 20, "Timed repetitions of each thing.", lower_bound=1
    )
    name = argv[1] if len(argv) > 1 else ""
    if name in ("--help", "-h"):
        print(__doc__)
        print(command_line.help_text())
        return
    if name not in _BENCHMARKS:
        raise UsageError(
            f"Unknown benchmark {name!r}. Known: {', '.join(_BENCHMARKS)}."
        )
    config = command_line.parse([argv[0], *_DEFAULTS, *argv[2:]])
    rounds = flags.FLAGS.rounds
    if name == "augmix":
        from noisymix_tf.benchmarks import augmix

        for image_size, batch_size in ((32, 128), (224, 16)):
            augmix.run(
                batch_size=batch_size,
                image_size=image_size,
                rounds=rounds,
            )
    elif name == "segments":
        from noisymix_tf.benchmarks import segments

        segments.run(config, rounds)
    elif name == "train_step":
        from noisymix_tf.benchmarks import train_step

        train_step.run(config, rounds)
    else:
        from noisymix_tf.benchmarks import training

        training.run(config, rounds)


if __name__ == "__main__":
    doors.run(main, sys.argv)
