"""Example images of a section as HTML."""

import base64
import dataclasses

from noisymix_tf.evaluation import gallery
from noisymix_tf.evaluation.charts import frames
from noisymix_tf.evaluation.markup import element
from noisymix_tf.evaluation.sections.core import source_of

# What files of PNG begin with; the others are JPEG.
_PNG = b"\x89PNG"
_MARKS = {True: ("right", "✓"), False: ("wrong", "✗"), None: ("unknown", "")}

_STILL = "✓ right, ✗ wrong, and below it the true class."
_FILM = (
    "Some frames of one sequence each: ✓ right, ✗ wrong. Below them is a mark "
    "for every frame, high where the prediction is not that of the first frame."
)


def examples(section, cells, folder):
    """Images of the cells of a section, with predictions.

    Args:
        section: `Section`.
        cells: The report's `Cell`s: pictures of other ones are not shown.
        folder: Folder of the evaluation, see `gallery`.

    Returns:
        `Markup`, or None if nothing was kept.
    """
    own = [cell for cell in cells if _belongs(cell, section)]
    kept = [found for cell in own if (found := gallery.read(folder, cell))]
    kept = _one_severity(kept)
    if not kept:
        return None
    return element(
        "div",
        element("h3", "Examples"),
        element(
            "p",
            _FILM if any(found.frames for found in kept) else _STILL,
            class_="legend",
        ),
        element("div", [_strip(found) for found in kept], class_="strips"),
        # Where there is no table its place is free.
        class_="examples wide" if section.table else "examples beside",
    )


def _belongs(cell, section):
    if section.name.split("_")[0] != cell.suite:
        return False
    if cell.corruption is None:
        return True
    return source_of(cell) == section.source and (
        cell.corruption in section.cells
    )


def _one_severity(kept):
    """Of every corruption the severity that is nearest to the middle."""
    nearest = {}
    for found in sorted(
        kept, key=lambda f: abs(f.cell.severity - gallery.MIDDLE)
    ):
        key = dataclasses.replace(found.cell, severity=0, data="")
        nearest.setdefault(key, found)
    return [found for found in kept if found in nearest.values()]


def _strip(found):
    """The pictures of one cell in a row."""
    return element(
        "figure",
        element("figcaption", _caption(found)),
        element(
            "ol",
            [_tile(*pair) for pair in zip(found.examples, found.pictures)],
            tabindex="0",
        ),
        frames.draw(found.frames) if found.frames else None,
        class_="strip",
    )


def _caption(found):
    cell = found.cell
    words = (cell.corruption or cell.setting or "as they are").replace("_", " ")
    if cell.corruption is not None:
        if not found.frames:
            words += f", severity {cell.severity}"
    if found.frames:
        label = found.examples[0].label
        words += f", {label}" if label is not None else ""
        words += f": {frames.in_words(found.frames)}"
    return words


def _tile(example, picture):
    mark, symbol = _MARKS[example.right]
    small = picture.startswith(_PNG)
    data = base64.b64encode(picture).decode()
    return element(
        "li",
        element(
            "img",
            src=f"data:image/{'png' if small else 'jpeg'};base64,{data}",
            alt=_sentence(example),
            class_="coarse" if small else None,
        ),
        element(
            "span",
            f"{symbol} {example.predicted}".strip(),
            title=example.predicted,
        ),
        _below(example),
        class_=mark,
    )


def _below(example):
    """The true class of a mistake; of a frame, its place."""
    if example.frame is not None:
        return element("small", f"frame {example.frame + 1}")
    if example.right is False:
        return element("small", example.label, title=example.label)
    return None


def _sentence(example):
    """A picture in words."""
    what = "Image" if example.frame is None else f"Frame {example.frame + 1}"
    of = f" of {example.label}" if example.label is not None else ""
    verdict = {True: ", right", False: ", wrong", None: ""}[example.right]
    return f"{what}{of}, predicted {example.predicted}{verdict}"
