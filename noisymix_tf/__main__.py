"""Door: all commands by name.

python -m noisymix_tf train --flagfile=quickstart

The script `noisymix` does the same.
"""

import importlib

from noisymix_tf import doors
from noisymix_tf.errors import UsageError
from noisymix_tf.version import __version__

COMMANDS = {
    "train": "Train a classifier, evaluate it and export it.",
    "evaluate": "Measure a saved classifier on clean and shifted images.",
    "compare": "Train several methods, or take finished runs, and compare.",
    "export": "Write a saved classifier for TensorFlow Serving.",
    "benchmark": "Measure how fast things are on this machine.",
    "corruptions": "Write corrupted copies of a dataset's test images.",
    "merge": "Join the parts of an evaluation or of sets, made with --shard.",
    "beam": "Make parts with Apache Beam, on many machines, and join them.",
    "stylize": "Write training images in the styles of pictures.",
    "deepaugment": "Write training images seen by a perturbed network.",
    "data_service": "Serve batches to a training on another machine.",
    "theory": "Compare the loss with its second-order expansion.",
    "toy": "Draw decision boundaries on a two-class problem.",
}
# Commands that are packages have their door in a module below.
_PACKAGES = ("corruptions", "theory")


def main():
    """What the script `noisymix` calls."""
    doors.run(_hand_over)


def _hand_over(argv):
    """Carries out a command; without one, says which there are."""
    name, *arguments = argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        print(_help())
        return
    if name == "--version":
        print(f"noisymix_tf {__version__}")
        return
    if name not in COMMANDS:
        raise UsageError(
            f"Unknown command {name!r}. Known: {', '.join(COMMANDS)}."
        )
    module = f"noisymix_tf.{name}"
    if name in _PACKAGES:
        module += ".__main__"
    importlib.import_module(module).main([name, *arguments])


def _help():
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: python -m noisymix_tf COMMAND [--flag=value ...]",
            "       COMMAND --help prints its flags, --version the version.",
            "",
            *(f"  {name:<{width}}  {to}" for name, to in COMMANDS.items()),
        ]
    )


if __name__ == "__main__":
    main()
