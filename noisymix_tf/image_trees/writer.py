"""The tree that is written, and how it is filled."""

import io

import numpy as np
from PIL import Image

from noisymix_tf.config import by_name
from noisymix_tf.contact_sheet import contact_sheet
from noisymix_tf.corruption_sets.folder import SetFolder
from noisymix_tf.corruption_sets.image_files import JPEG_QUALITY, save
from noisymix_tf.files import write_atomically
from noisymix_tf.progress import Progress

_ROWS = 6
_SIDE = 128
# Flags that do not decide pixels; `data_dir` is known by what it holds.
_FREE = ("output_dir", "data_dir", "vgg_weights", "styles")


def settings(config, source):
    """What decides the pixels of a tree, as JSON values.

    Args:
        config: Configuration of a door, of groups of flags.
        source: `Source`.

    Returns:
        Dict.
    """
    flags = {k: v for k, v in by_name(config).items() if k not in _FREE}
    if flags["format"] == "jpeg":
        flags["format"] = f"jpeg {JPEG_QUALITY}"
    return flags | {"images": len(source), "names": source.digest()}


def tree_folder(path, settings):
    """The directory of a tree, for a `with` statement, see `SetFolder`.

    Raises:
        UsageError: It cannot be written, holds something else, was made with
            other settings, or is in use.
    """
    return SetFolder(path, settings, what="image trees")


def fill(folder, source, make, *, image_format, batch_size, shown=True):
    """Writes the images of a tree that are not there yet, and a sheet.

    A file takes its name when it is complete; a killed writer goes on with the
    batches of which files are missing. The pixels do not depend on where it
    was killed, because a batch always consists of the same images.

    Args:
        folder: `SetFolder`.
        source: `Source`.
        make: Function `(images, positions) -> images` of uint8
            `[B, H, W, 3]` and ints `[B]`.
        image_format: `"png"` or `"jpeg"`.
        batch_size: Images in a batch.
        shown: Whether to report on the standard error.
    """
    paths = [folder.path / name for name in source.names]
    there = np.array([_is_there(path) for path in paths], bool)
    bar = Progress(None if shown else io.StringIO())
    bar.begin(len(source), there.sum())
    for positions in source.batches(batch_size):
        if there[positions].all():
            continue
        made = make(source.read(positions), positions)
        for position, image in zip(positions, made):
            if not there[position]:
                save(image, paths[position], image_format)
                there[position] = True
        bar.advance(there.sum(), "images")
    _write_sheet(folder.path / "sheet.png", source, paths)
    bar.end()


def _is_there(path):
    # What a crash of the machine left empty is not finished.
    return path.is_file() and path.stat().st_size > 0


def _write_sheet(path, source, paths):
    """A few images, each with what was made of it, to look at."""
    if path.exists():
        return
    import tensorflow as tf

    chosen = np.linspace(0, len(source) - 1, min(_ROWS, len(source)))
    pairs = []
    for position in np.unique(chosen.astype(int)):
        with Image.open(paths[position]) as made:
            pairs.append([_shown(source.read_one(position)), _shown(made)])
    sheet = contact_sheet(np.array(pairs))
    write_atomically(path, tf.io.encode_png(sheet).numpy())


def _shown(image):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)))
