"""Door: many runs -> one table in the form of the paper's.

python -m noisymix_tf.compare runs/baseline runs/noisymix evals/resnet50
python -m noisymix_tf.compare --flagfile=flags/compare_digits.flags
"""

from noisymix_tf import command_line, doors, flagfiles
from noisymix_tf.comparison import command
from noisymix_tf.config.compare import CompareConfig, ComparisonFlags

_USAGE = (
    "python -m noisymix_tf.compare RUN EVALUATION ... | --methods=NAME,... "
    "[--flag=value ...], with all flags of python -m noisymix_tf.train"
)


def main(argv):
    """Parses the command line, trains what is to be trained, and compares."""
    command_line.define_flags()
    command_line.define_flags(config=ComparisonFlags)
    config = command_line.parse(
        argv, config=CompareConfig, usage=_USAGE, rest="runs"
    )
    command.run(config, flagfiles.expand(argv[1:]))


if __name__ == "__main__":
    doors.run(main)
