"""All commands by name: `python -m noisymix_tf COMMAND`, or `noisymix COMMAND`.

python -m noisymix_tf train --flagfile=quickstart
"""

from noisymix_tf import __version__, command_line, train
from noisymix_tf.commands import COMMANDS, title
from noisymix_tf.errors import UsageError

_HELP = """\
usage: python -m noisymix_tf COMMAND [--flag=value ...]
       COMMAND --help prints its flags, --version the version.
"""


def main() -> None:
    """What the script `noisymix` calls."""
    command_line.run(_hand_over)


def _hand_over(argv):
    """Carries out a command; without one, says which there are."""
    words = command_line.load_plugins(argv[1:])
    name = next((word for word in words if word != "--quiet"), "--help")
    titles = {"train": train.__doc__.partition("\n")[0]}
    titles |= {name: title(name) for name in sorted(COMMANDS.names())}
    if name in ("--help", "-h", "--helpfull"):
        lines = (f"  {name:<13} {words}" for name, words in titles.items())
        print(_HELP, *lines, sep="\n")
    elif name == "--version":
        print(f"noisymix_tf {__version__}")
    elif name not in titles:
        raise UsageError(
            f"Unknown command {name!r}. Known: {', '.join(titles)}."
        )
    else:
        command = train.main if name == "train" else COMMANDS.get(name)
        place = argv.index(name, 1)
        command([name, *argv[1:place], *argv[place + 1 :]])


if __name__ == "__main__":
    main()
