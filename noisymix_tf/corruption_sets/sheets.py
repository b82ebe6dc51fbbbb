"""Pictures to look at: what a corruption does to a few images."""

import numpy as np

from noisymix_tf.corruption_sets.recipes import Corrupted
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.evaluation.contact_sheet import contact_sheet
from noisymix_tf.evaluation.files import write_atomically

ROWS = 6
# Frames of a film that are shown, evenly spaced.
_FRAMES = 8


def write_sheet(path, recipe, split, workers):
    """Draws a row for each of a few images, evenly spaced in the split.

    The clean image comes first, then five severities, or frames of its film.

    Args:
        path: PNG file to write.
        recipe: `Corrupted` or `Perturbed`.
        split: Test images.
        workers: `Workers`.
    """
    import tensorflow as tf

    places = np.linspace(0, len(split) - 1, min(ROWS, len(split)))
    places = np.unique(places.astype(int))
    images, _ = next(split.subset(places).batches(len(places)))
    # All five, whatever was asked for: sets of a tree are added one by one.
    levels = SEVERITIES if isinstance(recipe, Corrupted) else recipe.levels
    calls = [(images, places, level) for level in levels]
    made = list(workers.ordered(recipe.make, calls))
    if made[0].ndim == 5:
        (films,) = made
        shown = np.linspace(0, films.shape[1] - 1, _FRAMES).astype(int)
        height, width = films.shape[2:4]
        columns = [films[:, frame] for frame in shown]
        images = _centre(images, height, width)
    else:
        columns = made
    sheet = contact_sheet(np.stack([images, *columns], axis=1))
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, tf.io.encode_png(sheet).numpy())


def _centre(images, height, width):
    top = (images.shape[1] - height) // 2
    left = (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]
