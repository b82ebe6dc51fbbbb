"""The layout of ImageNet-C: corruption/severity/class/image.

A file takes its name when it is complete; a killed writer goes on with the
files that are not there.
"""

import os
import shutil

import numpy as np

from noisymix_tf.corruption_sets.image_files import make_files
from noisymix_tf.errors import UsageError

# Images that a worker is given at once; each is written at every severity.
_CALL_IMAGES = 4


def entries(recipe):
    """Names of what a recipe adds to the manifest."""
    return [f"{recipe.stem}/{level}" for level in recipe.levels]


def write(job, recipe):
    """Makes the files that are missing; yields how many are there."""
    root = job.folder.path / recipe.stem
    missing = {}
    for level in recipe.levels:
        there = set(map(_key, _files(root / str(level))))
        for place, name in enumerate(job.names):
            if name not in there:
                missing.setdefault(place, []).append(level)
    done = len(recipe.levels) * len(job.names)
    done -= sum(map(len, missing.values()))
    for made, _ in job.workers.ordered(_calls(job, recipe, root, missing)):
        done += made
        yield done
    for name in entries(recipe):
        job.folder.record(name, {"files": len(job.names)})
    yield done


def _calls(job, recipe, root, missing):
    """Yields calls that make files, by level for each image."""
    if not missing:
        return
    places = np.array(sorted(missing))
    whole = len(places) == len(job.images)
    split = job.images if whole else job.images.subset(places)
    for images, _ in split.batches(_CALL_IMAGES):
        here, places = np.split(places, [len(images)])
        files = [
            {n: root / str(n) / job.names[p] for n in missing[p]} for p in here
        ]
        given = job.workers.share(images), job.first + here, files
        yield make_files, recipe, job.image_format, *given


def join(folder, parts):
    """Links, or else copies, the files of parts into one tree.

    Args:
        folder: `SetFolder` of the whole.
        parts: Pairs of the path of a part and its entries.
    """
    for name in parts[0][1]:
        number = 0
        for path, known in parts:
            files = list(_files(path / name))
            if len(files) != known[name]["files"]:
                raise UsageError(
                    f"{path / name} has {len(files)} files, but had "
                    f"{known[name]['files']} when it was finished: the part's "
                    f"command makes them again."
                )
            number += len(files)
            for file in files:
                _take(file.path, folder.path / name / _key(file))
        folder.record(name, {"files": number})


def _take(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(source, target)


def _key(file):
    """`"class/name"` of a file."""
    return "/".join(file.path.split(os.sep)[-2:])


def _files(root):
    """Finished files below a folder of classes, `os.DirEntry`s."""
    for folder in os.scandir(root) if root.is_dir() else ():
        for file in os.scandir(folder.path) if folder.is_dir() else ():
            # What a crash of the machine left empty is not finished; what is
            # hidden has not got its name yet.
            if file.stat().st_size and file.name[0] != ".":
                yield file
