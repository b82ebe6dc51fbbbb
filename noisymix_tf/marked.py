"""Results that commands write into pages, between two lines of their name.

`--write_to=README.md#digits` is the place between these lines of README.md:

    <!-- digits: begin -->
    <!-- digits: end -->
"""

import dataclasses
import datetime
import os
import pathlib
import re
import shlex
import sys

from noisymix_tf import flagfiles, provenance
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.options import Options, option
from noisymix_tf.progress import say

_FLAG = "write_to"


@dataclasses.dataclass(frozen=True)
class WriteToOptions(Options):
    """A page of results."""

    write_to: str | None = option(
        None,
        "FILE#NAME: the table goes there as well, with how it was made, in "
        "place of what stands between the lines <!-- NAME: begin --> and "
        "<!-- NAME: end -->.",
        free=True,
    )


def aligned(lines) -> list[list[str]]:
    """Cells of a Markdown table, and its rule: aligned for a terminal, too.

    >>> aligned([["", "clean"], ["NoisyMix", 99.2]])[1:]
    [[':-------', '----:'], ['NoisyMix', ' 99.2']]
    """
    head, *lines = [[*map(str, line)] for line in lines]
    wide = [max(3, *map(len, words)) for words in zip(head, *lines)]
    dashes = ["-" * (width - 1) for width in wide]
    rule = [f":{dashes[0]}", *(f"{own}:" for own in dashes[1:])]
    return [
        [first.ljust(wide[0]), *map(str.rjust, rest, wide[1:])]
        for first, *rest in (head, rule, *lines)
    ]


def check(write_to: str | None) -> None:
    """Refuses a place that `write` could not use, before the work for it.

    And notes the commit, that of the code which is about to work.
    """
    if write_to is not None:
        _parts(write_to)
        provenance.commit()


def write(
    write_to: str | None, text: str, *facts: str, made: str | None = None
) -> None:
    """Writes Markdown, and under it a paragraph on how it was made.

    That names the command line, without this flag, and the day. All else in the
    file stays as it is, byte for byte.

    Args:
        write_to: `FILE#NAME`; None for nowhere.
        text: A title is left out, as the page has one; parts are one deeper.
        *facts: On seeds, numbers of images and the like, in words.
        made: By which code and machine; by default this one's.

    A `UsageError` if there is no such file or place, or it cannot be written.
    """
    if write_to is None:
        return
    path, before, after = _parts(write_to)
    text = re.sub("(?m)^##", "###", re.sub(r"\A# .*\n+", "", text))
    made = made or f"{provenance.code()}; {provenance.machine()}"
    words = f"`{_command(sys.argv[1:])}`, {datetime.date.today()}, {made}"
    words = ". ".join([words, *(fact.rstrip(".") for fact in facts)])
    lines = f"\n{text.strip()}\n\n{words}.\n\n"
    if before.endswith("\r\n"):
        lines = lines.replace("\n", "\r\n")
    try:
        write_atomically(path, before + lines + after)
    except OSError as error:
        raise _refused(write_to, error.strerror) from error
    say(f"Written to {write_to}")


def _parts(write_to):
    """The path, and the text up to the place and after it."""
    file, _, name = write_to.rpartition("#")
    if not file or not name:
        raise _refused(write_to, "it is not of the form FILE#NAME")
    # Not a link to it, which would be replaced.
    path = pathlib.Path(os.path.realpath(os.path.expanduser(file)))
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise _refused(write_to, reason) from error
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            raise _refused(write_to, f"{place} is not writable")
    ends = []
    for end in ("begin", "end"):
        line = f"<!-- {name}: {end} -->"
        found = [*re.finditer(rf"(?m)^{re.escape(line)}\r?(\n|\Z)", text)]
        if len(found) != 1:
            raise _refused(write_to, f"it has {len(found)} lines {line}, not 1")
        ends += found
    begin, end = ends[0].end(), ends[1].start()
    if end < begin:
        raise _refused(write_to, "its end stands before its begin")
    return path, text[:begin], text[end:]


def _refused(write_to, reason):
    return UsageError(
        f"--{_FLAG}={write_to} cannot be used ({reason}): name a text file "
        f"with a line <!-- NAME: begin --> and below it <!-- NAME: end -->."
    )


def _command(words):
    """The command as it was given, but for this flag."""
    kept, rest = [], iter(words)
    for word in rest:
        name, value = flagfiles.split(word)
        if name != _FLAG:
            kept.append(word)
        elif value is None:
            next(rest, None)
    return f"python -m noisymix_tf {shlex.join(kept)}"
