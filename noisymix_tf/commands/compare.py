"""Train several methods, or take finished runs, and compare.

python -m noisymix_tf compare runs/baseline runs/noisymix evals/resnet50
python -m noisymix_tf compare --flagfile=flags/compare_digits.flags
"""

from noisymix_tf import command_line, flagfiles
from noisymix_tf.commands import COMMANDS
from noisymix_tf.comparison import command
from noisymix_tf.comparison.options import AllFlags, CompareConfig

_USAGE = (
    "python -m noisymix_tf compare RUN EVALUATION ... | --methods=NAME,... "
    "[--flag=value ...], with all flags of python -m noisymix_tf.train"
)


@COMMANDS.register("compare")
def main(argv):
    """Parses the command line, trains what is to be trained, and compares."""
    config = command_line.parse(argv, CompareConfig, _USAGE, AllFlags, "runs")
    command.run(config, flagfiles.expand(argv[1:]))
