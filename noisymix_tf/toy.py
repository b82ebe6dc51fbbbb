"""Door: decision boundaries of six schemes on a noisy two-class problem.

python -m noisymix_tf.toy --flagfile=flags/toy.flags
"""

from noisymix_tf import command_line, doors, run_folder
from noisymix_tf.config.toy import ToyConfig

_USAGE = (
    "python -m noisymix_tf.toy --flagfile=flags/toy.flags [--flag=value ...]"
)


def main(argv):
    """Parses the command line, trains and compares."""
    command_line.define_flags(config=ToyConfig)
    config = command_line.parse(argv, config=ToyConfig, usage=_USAGE)
    run_folder.check(config)
    # Here, so that --help needs no TensorFlow.
    from noisymix_tf.toys import command

    command.run(config)


if __name__ == "__main__":
    doors.run(main)
