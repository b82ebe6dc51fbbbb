"""Example images of a report: a few of every kind, with the model's answers.

They lie in `examples/` of the evaluation's folder, small: a picture each, and
for every cell a file of JSON that says what is on them:

{"cell": {"dataset": "cifar10", "suite": "c", ...},
 "examples": [{"picture": "c-fog-3-5f0c2a...-0.png", "place": 0,
               "label": "cat", "predicted": "dog", "right": false,
               "frame": null}, ...],
 "frames": []}

Of a sequence there are some frames of one, and `frames` holds the class that is
predicted for each of all its frames.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import re

import numpy as np

from noisymix_tf.evaluation.files import write_atomically

FOLDER = "examples"

# Images of a cell, or frames of a sequence.
COUNT = 6

# Longest side of a picture in pixels, and up to which side nothing is lost.
SIDE = 112
_LOSSLESS_SIDE = 64

# The severity that stands for all of a corruption.
MIDDLE = 3


@dataclasses.dataclass(frozen=True)
class Example:
    """One picture.

    Attributes:
        picture: Name of its file.
        place: Place of the image, or of the sequence, in the cell.
        label: Name of the true class; None where it is not known.
        predicted: Name of the predicted class.
        right: Whether they are the same class; None where it is not known.
        frame: Place in the sequence; None of an image.
    """

    picture: str
    place: int
    label: str | None
    predicted: str
    right: bool | None
    frame: int | None = None


@dataclasses.dataclass(frozen=True)
class Examples:
    """What was kept of one cell.

    Attributes:
        cell: The `Cell`.
        examples: `Example`s.
        pictures: The bytes of their files.
        frames: Predicted class of every frame of a sequence; else empty.
    """

    cell: object
    examples: tuple
    pictures: tuple
    frames: tuple = ()


class Gallery:
    """Keeps examples while cells are measured.

    Images are taken at places spread evenly over the cell, the same in every
    cell of the same images. Of sequences it is the one in the middle. Of a
    corruption the first severity that comes is kept, and severity 3; a report
    shows the one that is nearest to 3.

    Only what is kept of the running cell is in memory.

    Args:
        folder: Folder of the evaluation.
        dataset: Has `class_names`.

    Example:

    >>> gallery = Gallery("run", dataset)
    >>> for images, labels, indices in batches:
    ...     gallery.see(cell, images, model(images), labels, indices)
    >>> gallery.keep(cell)
    >>> read("run", cell).examples[0].predicted
    'cat'
    """

    def __init__(self, folder, dataset):
        self._folder = pathlib.Path(folder) / FOLDER
        self._class_names = dataset.class_names
        self._begun = set()
        self._cell = None
        self._wanted = np.array([], int)
        self._seen = []

    def see(self, cell, images, outputs, labels, indices):
        """Takes what is wanted out of a batch.

        Args:
            cell: The `Cell` that is running.
            images: uint8 or float `[b, H, W, C]`, values 0..255; sequences
                `[b, T, H, W, C]`.
            outputs: float `[b, K]`, logits or probabilities; of sequences
                `[b, T, K]`.
            labels: ints `[b]`; None for labels that are not known.
            indices: int `[b]`, places of the images in the cell.
        """
        if cell != self._cell:
            self._begin(cell, images.ndim == 5)
        for row in np.flatnonzero(np.isin(indices, self._wanted)):
            self._seen.append(
                (
                    int(indices[row]),
                    _thumbnails(images[row]),
                    np.argmax(outputs[row], axis=-1),
                    labels[row],
                )
            )

    def _begin(self, cell, sequences):
        self._cell, self._seen = cell, []
        corruption = dataclasses.replace(cell, severity=0, data="")
        if cell.severity != MIDDLE and corruption in self._begun:
            self._wanted = np.array([], int)
        elif sequences:
            self._wanted = np.array([cell.n // 2])
        else:
            self._wanted = spread(cell.n)
        self._begun.add(corruption)

    def keep(self, cell, class_names=None):
        """Writes what was taken of a complete cell, if anything was.

        The file of JSON comes last: without it pictures are not looked at.

        Args:
            cell: The `Cell`.
            class_names: Names of the classes that its outputs and labels
                count; by default the dataset's.
        """
        if cell != self._cell or not self._seen:
            return
        names = self._class_names if class_names is None else class_names
        examples, pictures, frames = _examples(stem(cell), self._seen, names)
        self._folder.mkdir(parents=True, exist_ok=True)
        for example, picture in zip(examples, pictures):
            write_atomically(self._folder / example.picture, picture)
        content = {
            "cell": dataclasses.asdict(cell),
            "examples": [dataclasses.asdict(example) for example in examples],
            "frames": frames,
        }
        write_atomically(
            self._folder / f"{stem(cell)}.json",
            json.dumps(content, indent=1) + "\n",
        )
        self._cell, self._seen = None, []


def read(folder, cell):
    """What was kept of a cell.

    Args:
        folder: Folder of the evaluation.
        cell: The `Cell`.

    Returns:
        `Examples`; None if there are none, or not whole, or of another cell.
    """
    folder = pathlib.Path(folder) / FOLDER
    try:
        content = json.loads((folder / f"{stem(cell)}.json").read_bytes())
        if content["cell"] != dataclasses.asdict(cell):
            return None
        examples = tuple(Example(**values) for values in content["examples"])
        # Only the name: no file of another folder is ever shown.
        pictures = tuple(
            (folder / pathlib.Path(example.picture).name).read_bytes()
            for example in examples
        )
        return Examples(cell, examples, pictures, tuple(content["frames"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stem(cell):
    """Name of a cell's files, without ending: readable, safe, and its own."""
    fields = json.dumps(dataclasses.asdict(cell), sort_keys=True)
    words = [cell.suite, cell.corruption, cell.severity or None, cell.setting]
    readable = "-".join(str(word) for word in words if word is not None)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", readable)[:40].strip("-")
    return f"{readable}-{hashlib.sha256(fields.encode()).hexdigest()[:16]}"


def spread(n, count=COUNT):
    """`count` places spread evenly over 0 to n - 1, all if there are fewer."""
    places = np.linspace(0, n - 1, min(n, count))
    return np.unique(np.round(places).astype(int))


def _examples(name, seen, class_names):
    """`(examples, pictures, frames)` of what was taken of one cell."""
    examples, pictures, frames = [], [], []
    for place, images, predicted, label in seen:
        known = label is not None
        if predicted.ndim:
            frames = [str(class_names[k]) for k in predicted]
            taken = spread(len(predicted)).tolist()
            answers = predicted[taken]
        else:
            taken, answers = [None], [predicted]
        for frame, image, answer in zip(taken, images, answers):
            ending, picture = _encoded(image)
            examples.append(
                Example(
                    picture=f"{name}-{len(pictures)}.{ending}",
                    place=place,
                    label=str(class_names[label]) if known else None,
                    predicted=str(class_names[answer]),
                    right=bool(answer == label) if known else None,
                    frame=frame,
                )
            )
            pictures.append(picture)
    return examples, pictures, frames


def _thumbnails(images):
    """Small copies of an image, or of some frames of a sequence."""
    if images.ndim == 4:
        return [_thumbnail(images[k]) for k in spread(len(images))]
    return [_thumbnail(images)]


def _thumbnail(image):
    """A Pillow image of `[H, W, C]`, no side longer than `SIDE`."""
    from PIL import Image

    pixels = np.clip(np.round(np.asarray(image)), 0, 255).astype(np.uint8)
    grey = pixels.shape[-1] < 3
    picture = Image.fromarray(pixels[..., 0] if grey else pixels[..., :3])
    picture.thumbnail((SIDE, SIDE))
    return picture


def _encoded(picture):
    """`(ending of the file's name, content)`."""
    ending = "png" if max(picture.size) <= _LOSSLESS_SIDE else "jpg"
    content = io.BytesIO()
    if ending == "png":
        picture.save(content, "PNG", optimize=True)
    else:
        picture.save(content, "JPEG", quality=85, optimize=True)
    return ending, content.getvalue()
