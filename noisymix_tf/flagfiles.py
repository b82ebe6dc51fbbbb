"""Flagfiles: where those of this package lie, and what a command line means.

A name of a flagfile is a path. Where there is no such file, it is looked up
among those of this package, with or without `flags/` and `.flags`:
`flags/quickstart.flags` and `quickstart` are the same in any directory.
"""

import os
import pathlib

from noisymix_tf.errors import UsageError
from noisymix_tf.files import read_text

_SUFFIX = ".flags"


def folder() -> pathlib.Path:
    """The folder `flags`: in an installed package, or beside a checkout's."""
    package = pathlib.Path(__file__).resolve().parent
    inside = package / "flags"
    return inside if inside.is_dir() else package.parent / "flags"


def names(part: str = "") -> list[str]:
    """Names in a part of the folder, sorted: `names("method")`."""
    return sorted(path.stem for path in (folder() / part).glob(f"*{_SUFFIX}"))


def find(name: str, flag: str = "--flagfile") -> pathlib.Path:
    """The path of a flagfile, or a `UsageError` that lists what there is."""
    # Of `os.path`, which have no errors of their own for odd names.
    path = pathlib.Path(os.path.expanduser(name))
    if os.path.isfile(path):
        return path
    # An absolute path stays what it is.
    own = name.removeprefix("flags/")
    for found in (folder() / own, folder() / f"{own}{_SUFFIX}"):
        if os.path.isfile(found):
            return found
    raise UsageError(f"{flag}={name} cannot be opened. {_present(path)}")


def expand(words: list[str]) -> list[str]:
    """A command line with the lines of its flagfiles in their places.

    `--method=NAME` stands for the flagfile of that name in `flags/method/`;
    within flagfiles it is a word only. One that is not there, or is no text, is
    a `UsageError`.
    """
    lines, rest = [], iter(words)
    for word in rest:
        name, value = split(word)
        if word == "--":
            return [*lines, word, *rest]
        if name not in ("flagfile", "method"):
            lines.append(word)
            continue
        value = next(rest, None) if value is None else value
        if value is None:
            raise UsageError(f"{word} needs a value: give {word}=NAME.")
        lines += _read(find(value) if name == "flagfile" else method(value))
    return lines


def method(name: str) -> pathlib.Path:
    """The path of a method's flagfile."""
    known = names("method")
    if name not in known:
        raise UsageError(f"Unknown method {name!r}. Known: {', '.join(known)}.")
    return folder() / "method" / f"{name}{_SUFFIX}"


def _read(path, above=()):
    """The flags in a file, those of the files that it names among them."""
    if path in above:
        raise UsageError(f"--flagfile={path} names itself: remove that line.")
    advice = "give a file with a flag in each line."
    text = read_text(path, f"--flagfile={path}", advice)
    lines = []
    for line in map(str.strip, text.splitlines()):
        name, value = split(line)
        if name == "flagfile" and value is not None:
            lines += _read(find(value, f"{path}: --flagfile"), (*above, path))
        elif line and not line.startswith(("#", "//")):
            lines.append(line)
    return lines


def split(word: str) -> tuple[str, str | None]:
    """`("epochs", "3")` of `--epochs=3`; no value is None, no flag `""`."""
    if not word.startswith("-"):
        return "", None
    name, equals, value = word.lstrip("-").partition("=")
    return name, value.strip() if equals else None


def _present(path):
    """What could have been meant: the neighbours, or those of the package."""
    own = path.parent
    if any(own.glob(f"*{_SUFFIX}")):
        found = ", ".join(sorted(p.name for p in own.glob(f"*{_SUFFIX}")))
        return f"In {own}: {found}."
    part = str(own).removeprefix("flags").strip("/.")
    found = names(part) or names(part := "")
    place = f"flags/{part}".strip("/")
    return f"In {place} of this package: {', '.join(found)}."
