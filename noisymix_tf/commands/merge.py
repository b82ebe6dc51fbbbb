"""Join the parts of an evaluation or of sets, made with --shard.

python -m noisymix_tf corrupt --shard=1/2 --output_dir=parts/1 ...
python -m noisymix_tf corrupt --shard=2/2 --output_dir=parts/2 ...
python -m noisymix_tf merge parts/1 parts/2 --output_dir=cifar10-c
"""

import dataclasses
import pathlib

from noisymix_tf import evaluation, places
from noisymix_tf.commands import command
from noisymix_tf.errors import UsageError
from noisymix_tf.options import Options, option
from noisymix_tf.progress import say
from noisymix_tf.sets import corrupted

# What the parts of an evaluation have, and those of sets do not.
_RECORDS = "records.sqlite"


@dataclasses.dataclass(frozen=True)
class MergeConfig(Options):
    """The parts, and where the whole goes."""

    parts: tuple[str, ...] = option(
        (),
        "Folders of all parts of one plan, in any order; they may stand on "
        "the command line without this name.",
    )
    output_dir: str | None = option(
        None,
        "Directory of what all parts make together; files of images are "
        "linked, not copied, where the disk is the same.",
    )


@command("merge", MergeConfig, rest="parts")
def run(config: MergeConfig) -> None:
    """Joins all parts of a plan for corrupted sets, or for an evaluation.

    What are no such parts, not finished or there twice, is a `UsageError`.
    """
    places.check_writable(config.output_dir, "whole")
    kinds = {pathlib.Path(p, _RECORDS).is_file(): p for p in config.parts}
    if len(kinds) > 1:
        raise UsageError(
            f"{kinds[True]} is of an evaluation, {kinds[False]} is not: join "
            f"each by itself."
        )
    merge = corrupted.merge if False in kinds else evaluation.merge
    merge(config.parts, config.output_dir)
    say(f"Written: {config.output_dir}")
