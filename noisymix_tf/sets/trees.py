"""Files of single images, and the tree: corruption/severity/class/image."""

import collections
import io
import os
import pathlib
import shutil

import numpy as np

from noisymix_tf.data.classes import folder_names
from noisymix_tf.errors import UsageError
from noisymix_tf.sets.writer import Part

# The released ImageNet-C are JPEGs of this quality.
_JPEG = {"format": "jpeg", "quality": 85, "optimize": True}
SUFFIXES = {"jpeg": ".JPEG", "png": ".png"}
# What settings say of them.
FORMATS = {"jpeg": "jpeg 85", "png": "png"}
# Images that a worker is given at once; each is written at every severity.
_CALL_IMAGES = 4


def save(image, path):
    """Writes uint8 `[H, W, C]`; the file takes its name when it is complete.

    The ending of the `pathlib.Path`, whose folder is made, says the format.
    """
    from PIL import Image

    of = {"format": "png"} if path.suffix == SUFFIXES["png"] else _JPEG
    Image.fromarray(image).save(buffer := io.BytesIO(), **of)
    # Not waited for until it is on the disk, as `write_atomically` does: with
    # millions of small files this would take hours.
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)


def image_names(split, class_names, suffix):
    """`class/name` for each image, no two the same: a file's, or a number."""
    names = folder_names(class_names)
    width = len(str(len(split) - 1))
    numbers = (f"{place:0{width}}" for place in range(len(split)))
    files = [pathlib.Path(p) for p in getattr(split, "paths", numbers)]
    files = [(names[k], file) for k, file in zip(split.labels, files)]
    often = collections.Counter((name, file.stem) for name, file in files)
    # `cat.jpg` and `cat.png` of one class keep what tells them apart.
    return [
        f"{n}/{f.stem if often[n, f.stem] == 1 else f.name}{suffix}"
        for n, f in files
    ]


def there(root):
    """Finished files below a folder of classes, `{"class/name": path}`."""
    found = {}
    for folder in os.scandir(root) if root.is_dir() else ():
        for file in os.scandir(folder.path) if folder.is_dir() else ():
            # What a crash of the machine left empty is not finished; what is
            # hidden has not got its name yet.
            if file.stat().st_size and file.name[0] != ".":
                found[f"{folder.name}/{file.name}"] = file.path
    return found


class TreePart(Part):
    """Trees of one `Recipe`, for a split whose first image is at `first`.

    `names` are `class/name` of the files; what is there is not made again.
    """

    def __init__(self, recipe, split, first, names):
        self._recipe, self._split = recipe, split
        self._first, self._names = first, names
        self.name = recipe.stem
        self.entries = [f"{self.name}/{level}" for level in recipe.levels]
        self.total = len(recipe.levels) * len(split)

    def write(self, folder, workers):
        root, missing = folder.path / self.name, {}
        for level in self._recipe.levels:
            known = there(root / str(level))
            for place, name in enumerate(self._names):
                if name not in known:
                    missing.setdefault(place, []).append(level)
        done = self.total - sum(map(len, missing.values()))
        for made, _ in workers.ordered(self._calls(root, missing, workers)):
            done += made
            yield done
        for entry in self.entries:
            folder.record(entry, {"files": len(self._names)})
        yield done

    def _calls(self, root, missing, workers):
        """Yields calls that make files, by level for each image."""
        if not missing:
            return
        places = np.array(sorted(missing))
        whole = len(places) == len(self._split)
        split = self._split if whole else self._split.subset(places)
        for images, _ in split.batches(_CALL_IMAGES):
            here, places = np.split(places, [len(images)])
            files = [
                {n: root / str(n) / self._names[p] for n in missing[p]}
                for p in here
            ]
            given = workers.share(images), self._first + here, files
            yield self._recipe.save, *given


def join(folder, parts):
    """Links, or else copies, files of parts, `(path, entries)`, into a tree."""
    for name in parts[0][1]:
        number = 0
        for path, known in parts:
            files, wanted = there(path / name), known[name]["files"]
            if len(files) != wanted:
                raise UsageError(
                    f"{path / name} has {len(files)} files, but had {wanted} "
                    f"when it was finished: the part's command makes them "
                    f"again."
                )
            number += wanted
            for key, source in files.items():
                _take(source, folder.path / name / key)
        folder.record(name, {"files": number})


def _take(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(source, target)
