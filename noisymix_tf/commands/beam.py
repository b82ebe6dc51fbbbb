"""Make parts with Apache Beam, on many machines, and join them.

python -m noisymix_tf beam --shards=8 --output_dir=cifar10-c \\
    --runner=FlinkRunner -- corrupt --dataset=cifar10 --data_dir=DIR

What comes after the -- is corrupt or evaluate, before it may be flags of Beam.
Each part is a process of its own, the command with `--shard=i/n`, on whichever
machine the runner chooses: all need this package and see the same folders. A
part that was killed goes on where it was when it is tried again.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys
from itertools import islice

from noisymix_tf import command_line, places
from noisymix_tf.commands import COMMANDS, merge
from noisymix_tf.errors import UsageError
from noisymix_tf.flagfiles import split
from noisymix_tf.options import AT_LEAST_1, Options, option

_COMMANDS = ("corrupt", "evaluate")


@dataclasses.dataclass(frozen=True)
class BeamConfig(Options):
    """How the work is cut up, and where it goes."""

    shards: int | None = option(
        None, "How many parts, several for each machine.", AT_LEAST_1
    )
    output_dir: str | None = option(
        None,
        "Directory of the whole; the parts, in DIR.parts, may then be removed.",
    )


@COMMANDS.register("beam")
def main(argv: list[str]) -> None:
    """Runs a job and joins its parts."""
    place = argv.index("--") if "--" in argv else len(argv)
    words, command = argv[1:place], argv[place + 1 :]
    own = (*BeamConfig.kinds(), "help", "helpfull", "h", "version", "quiet")
    given, others, rest = [], [], iter(words)
    for word in rest:
        name, value = split(word)
        mine = given if name in own else others
        mine.append(word)
        if name in BeamConfig.kinds() and value is None:
            mine += islice(rest, 1)
    job = command_line.parse([argv[0], *given], BeamConfig, __doc__)
    places.check_writable(job.output_dir, "whole")
    if job.shards is None or not command or command[0] not in _COMMANDS:
        raise UsageError(f"Give --shards=N; after -- {' or '.join(_COMMANDS)}.")
    for word in command:
        if split(word)[0] in ("output_dir", "shard"):
            raise UsageError(f"{word} is given to the parts: leave it out.")
    run(job, command, others)


def run(job: BeamConfig, command: list[str], options: list[str]) -> None:
    """Has Beam, with flags of its own, make the parts; joins them."""
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        advice = "pip install 'noisymix_tf[beam]'"
        raise UsageError(f"Apache Beam is missing: {advice}.") from error
    root = pathlib.Path(f"{pathlib.Path(job.output_dir).absolute()}.parts")
    root.mkdir(parents=True, exist_ok=True)
    parts = [f"{number}/{job.shards}" for number in range(1, job.shards + 1)]
    try:
        with apache_beam.Pipeline(options=PipelineOptions(options)) as pipeline:
            (
                pipeline
                | apache_beam.Create(parts)
                | apache_beam.Reshuffle()
                | apache_beam.Map(make_part, command, str(root))
            )
    except Exception as error:
        said = re.search(r"Part \d+/\d+ ended with .*", str(error))
        if said is None:
            raise
        raise UsageError(said[0]) from error
    folders = tuple(_folder(root, part) for part in parts)
    merge.run(merge.MergeConfig(folders, job.output_dir))


def make_part(part: str, command: list[str], root: str) -> None:
    """Runs a command for `part`, `"2/8"`, below the folder of all parts."""
    folder = _folder(root, part)
    own = f"--shard={part}", f"--output_dir={folder}"
    log = pathlib.Path(f"{folder}.log")
    words = [sys.executable, "-m", "noisymix_tf", *command, *own]
    with log.open("w") as file:
        status = subprocess.run(words, stderr=file).returncode
    if status:
        last = log.read_text().strip().rpartition("\n")[2]
        raise RuntimeError(f"Part {part} ended with {status}: {last} ({log})")


def _folder(root, part):
    return f"{root}/{part.replace('/', '-of-')}"
