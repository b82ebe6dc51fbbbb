"""Example images of a report: a few of every kind, with the model's answers.

They lie in `examples/` of the evaluation's folder, a file of JSON for each
cell, named by its key. Of a sequence there are some frames of one, and `frames`
holds the class that is predicted for each of all its frames.
"""

import base64
import dataclasses
import io
import itertools
import json
import math
import pathlib

import numpy as np

from noisymix_tf.files import write_atomically
from noisymix_tf.lazy import Image

FOLDER = "examples"

# Images of a cell, or frames of a sequence.
_COUNT = 6
# Longest side of a picture in pixels, and up to which side nothing is lost.
_SIDE, _LOSSLESS_SIDE = 112, 64
# The severity that stands for all of a corruption.
_MIDDLE = 3


class Gallery:
    """Keeps examples of the cells of an evaluation, by its folder.

    They are of different classes, where the first chunk has them, and the same
    in all cells of the same images. Of a corruption the first severity that
    comes is kept, and severity 3; a report shows the one that is nearest to 3.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder) / FOLDER
        self._begun = set()

    def see(self, cell, images, outputs, labels, class_names):
        """Writes examples of a `Cell`, if it is one to be shown.

        Args:
            images: uint8 or float `[b, H, W, C]`, values 0..255; sequences
                `[b, T, H, W, C]`.
            outputs: float `[b, K]`, logits or probabilities; of sequences
                `[b, T, K]`.
            labels: int `[b]`, below 0 where they are not known.
            class_names: Names of the classes that outputs and labels count.
        """
        corruption = dataclasses.replace(cell, severity=0, data="")
        is_known = cell.severity != _MIDDLE and corruption in self._begun
        if is_known or not len(labels):
            return
        self._begun.add(corruption)
        labels, predicted = np.asarray(labels), np.argmax(outputs, axis=-1)
        frames, kept = [], _varied(labels)
        taken = [None] * len(kept)
        if images.ndim == 5:
            # Some frames of the first of them.
            place = kept[0]
            frames = [str(class_names[k]) for k in predicted[place]]
            images, predicted = images[place], predicted[place]
            labels = np.full(len(images), labels[place])
            kept = taken = _spread(len(images))
        examples = [
            _example(images[k], labels[k], predicted[k], class_names, frame)
            for k, frame in zip(kept, taken)
        ]
        content = {"cell": dataclasses.asdict(cell), "examples": examples}
        content = json.dumps(content | {"frames": frames}) + "\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / f"{cell.key}.json", content)


def read(folder, cell) -> dict | None:
    """What was kept of a cell in an evaluation's folder; None for nothing."""
    try:
        path = pathlib.Path(folder, FOLDER, f"{cell.key}.json")
        content = json.loads(path.read_bytes())
        pictures = [example["picture"] for example in content["examples"]]
        # None is ever read from another place.
        own = all(picture.startswith("data:image/") for picture in pictures)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return content if own else None


def shown(folder, section, cells) -> list[dict]:
    """What was kept of the cells of a `Section`, with captions."""
    kept = {}
    for cell in cells:
        kind = cell.corruption, cell.setting
        far = abs(cell.severity - _MIDDLE)
        if _belongs(cell, section) and far < kept.get(kind, (math.inf,))[0]:
            if found := read(folder, cell):
                kept[kind] = far, {**found, "caption": _caption(cell, found)}
    return [found for _, found in kept.values()]


def _belongs(cell, section):
    if (cell.suite, cell.adapt) != (section.suite, section.adapt):
        return False
    name = section.name.removesuffix("_adapted" if section.adapt else "")
    if cell.corruption in (None, name):
        return True
    source = "generated" if cell.generator else cell.source
    return source == section.source and cell.corruption in section.cells


def _caption(cell, found):
    """`"fog, severity 3"`, or `"tilt, cat: 3 changes in 31 frames"`."""
    caption = cell.setting or cell.corruption or "as they are"
    caption = caption.replace("_", " ")
    if not (frames := found["frames"]):
        return caption + f", severity {cell.severity}" * bool(cell.severity)
    label = found["examples"][0]["label"]
    of = f", {label}" if label else ""
    number = sum(a != b for a, b in itertools.pairwise(frames))
    noun = "change" if number == 1 else "changes"
    return f"{caption}{of}: {number or 'no'} {noun} in {len(frames)} frames"


def _spread(n):
    """At most `_COUNT` places spread evenly over 0 to n - 1, a list."""
    places = np.linspace(0, n - 1, min(n, _COUNT))
    return np.unique(np.round(places).astype(int)).tolist()


def _varied(labels):
    """At most `_COUNT` places, the first of each class before its second."""
    turns = [np.sum(labels[:k] == label) for k, label in enumerate(labels)]
    return np.sort(np.argsort(turns, kind="stable")[:_COUNT]).tolist()


def _example(image, label, predicted, names, frame):
    known = label >= 0
    return {
        "picture": _picture(image),
        "label": str(names[label]) if known else None,
        "predicted": str(names[predicted]),
        "right": bool(predicted == label) if known else None,
        "frame": frame,
    }


def _picture(image):
    """A small picture of `[H, W, C]` as text that a page can show."""
    pixels = np.clip(np.round(np.asarray(image)), 0, 255).astype(np.uint8)
    grey = pixels.shape[-1] < 3
    picture = Image.fromarray(pixels[..., 0] if grey else pixels[..., :3])
    picture.thumbnail((_SIDE, _SIDE))
    form = "png" if max(picture.size) <= _LOSSLESS_SIDE else "jpeg"
    content = io.BytesIO()
    picture.save(content, form, quality=85, optimize=True)
    text = base64.b64encode(content.getvalue()).decode()
    return f"data:image/{form};base64,{text}"
