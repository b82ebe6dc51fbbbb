"""Door: many runs -> one table in the form of the paper's.

python -m noisymix_tf.compare runs/baseline runs/noisymix
python -m noisymix_tf.compare --flagfile=flags/compare_digits.flags
"""

from noisymix_tf import command_line, doors
from noisymix_tf.comparison import arguments, command
from noisymix_tf.config.compare import CompareConfig, ComparisonFlags

_USAGE = (
    "python -m noisymix_tf.compare RUN RUN ... | --methods=NAME,NAME,... "
    "[--flag=value ...], with all flags of python -m noisymix_tf.train"
)


def main(argv):
    """Parses the command line, trains what is to be trained, and compares."""
    command_line.define_flags()
    command_line.define_flags(config=ComparisonFlags)
    words = arguments.tidy(argv[1:])
    config = command_line.parse(
        [argv[0], *words], config=CompareConfig, usage=_USAGE
    )
    command.run(config, arguments.flat(words))


if __name__ == "__main__":
    doors.run(main)
