"""Join the parts of an evaluation or of sets, made with --shard.

python -m noisymix_tf corrupt --shard=1/2 --output_dir=parts/1 ...
python -m noisymix_tf corrupt --shard=2/2 --output_dir=parts/2 ...
python -m noisymix_tf merge parts/1 parts/2 --output_dir=cifar10-c
"""

import dataclasses
import pathlib
import sys

from noisymix_tf import command_line, evaluation, places
from noisymix_tf.commands import COMMANDS
from noisymix_tf.errors import UsageError
from noisymix_tf.options import Options, option
from noisymix_tf.sets import joining

# What the parts of an evaluation have, and those of sets do not.
_RECORDS = "records.sqlite"
_USAGE = "python -m noisymix_tf merge DIR DIR ... --output_dir=DIR"


@dataclasses.dataclass(frozen=True)
class MergeConfig(Options):
    """Where the whole goes."""

    output_dir: str | None = option(
        None,
        "Directory of what all parts make together; files of images are "
        "linked, not copied, where the disk is the same.",
    )


@COMMANDS.register("merge")
def main(argv):
    """Parses the command line and joins the parts."""
    folders = [word for word in argv[1:] if not word.startswith("-")]
    words = [word for word in argv if word not in folders]
    config = command_line.parse(words, MergeConfig, _USAGE)
    run(folders, config.output_dir)


def run(folders, output_dir):
    """Joins parts of corrupted sets, or of an evaluation.

    Args:
        folders: Paths of all parts of one plan, in any order.
        output_dir: Directory to be made.

    Raises:
        UsageError: They are no such parts, one is missing, not finished or
            there twice, or the directory cannot be written.
    """
    places.check_writable(output_dir, "whole")
    if not folders:
        raise UsageError("No part was given: name the folders of all parts.")
    kinds = {}
    for path in folders:
        is_measured = pathlib.Path(path, _RECORDS).is_file()
        kinds.setdefault(is_measured, path)
    if len(kinds) > 1:
        raise UsageError(
            f"{kinds[True]} is of an evaluation, {kinds[False]} is not: join "
            f"each by itself."
        )
    if True in kinds:
        evaluation.merge(folders, output_dir)
    else:
        joining.merge(folders, output_dir)
    print(f"Written: {output_dir}", file=sys.stderr)
