"""Door: the NoisyMix loss beside its second-order expansion.

python -m noisymix_tf.theory --output_dir=runs/theory
python -m noisymix_tf.theory --model=small.keras --data=examples.npz
"""

from noisymix_tf import command_line, doors, run_folder
from noisymix_tf.config.theory import TheoryConfig

_USAGE = "python -m noisymix_tf.theory [--flag=value ...]"


def main(argv):
    """Parses the command line, computes and compares."""
    command_line.define_flags(config=TheoryConfig)
    config = command_line.parse(argv, config=TheoryConfig, usage=_USAGE)
    if config.run.output_dir is not None:
        run_folder.check(config)
    from noisymix_tf.toys import theory

    theory.run(config)


if __name__ == "__main__":
    doors.run(main)
