"""All commands by name: `python -m noisymix_tf COMMAND`, or `noisymix COMMAND`.

python -m noisymix_tf train --flagfile=quickstart
"""

from noisymix_tf import doors, plugins, train
from noisymix_tf.commands import COMMANDS, title
from noisymix_tf.errors import UsageError
from noisymix_tf.version import __version__

_HELP = """\
usage: python -m noisymix_tf COMMAND [--flag=value ...]
       COMMAND --help prints its flags, --version the version.
"""


def main():
    """What the script `noisymix` calls."""
    doors.run(_hand_over)


def _hand_over(argv):
    """Carries out a command; without one, says which there are."""
    plugins.load(argv[1:])
    others = [word for word in argv[1:] if not word.startswith("--plugins=")]
    name = others[0] if others else "--help"
    titles = {"train": train.__doc__.partition("\n")[0]}
    titles |= {name: title(name) for name in sorted(COMMANDS.names())}
    if name in ("--help", "-h"):
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
