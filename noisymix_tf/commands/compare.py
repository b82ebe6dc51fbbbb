"""Train several methods, or take finished runs, and compare.

Runs and evaluations, or methods, with all flags of a training:

python -m noisymix_tf compare runs/baseline runs/noisymix evals/resnet50
python -m noisymix_tf compare --flagfile=flags/compare_digits.flags
"""

from noisymix_tf import command_line, flagfiles
from noisymix_tf.commands import COMMANDS
from noisymix_tf.comparison import command
from noisymix_tf.comparison.trainings import AllFlags, CompareConfig


@COMMANDS.register("compare")
def main(argv: list[str]) -> None:
    """Parses the command line, trains what is to be trained, and compares."""
    config = command_line.parse(argv, CompareConfig, __doc__, AllFlags, "runs")
    command.run(config, flagfiles.expand(argv[1:]))
