"""Pictures to look at: what a corruption does to a few images."""

import numpy as np

from noisymix_tf.contact_sheet import contact_sheet
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.files import write_atomically

ROWS = 6
# Frames of a film that are shown, evenly spaced.
_FRAMES = 8


def write_sheets(folder, recipes, split, workers):
    """Draws what is missing of `sheets/<name>.png`, one for each recipe.

    It has a row for each of a few images, evenly spaced in the split: the
    clean image, then five severities, or frames of its film.

    Args:
        folder: `pathlib.Path`.
        recipes: List of `Recipe`.
        split: Test images.
        workers: `Workers`.
    """
    import tensorflow as tf

    paths = {folder / "sheets" / f"{r.stem}.png": r for r in recipes}
    missing = {path: r for path, r in paths.items() if not path.exists()}
    if not missing:
        return
    (folder / "sheets").mkdir(exist_ok=True)
    places = np.linspace(0, len(split) - 1, min(ROWS, len(split)))
    places = np.unique(places.astype(int))
    images, _ = next(split.subset(places).batches(len(places)))
    for path, recipe in missing.items():
        # All five, whatever was asked for: sets of a tree are added one by one.
        levels = SEVERITIES if recipe.suite == "c" else recipe.levels
        calls = [(recipe.make, images, places, level) for level in levels]
        columns = [made for made, _ in workers.ordered(calls)]
        clean = images
        if recipe.suite == "p":
            (films,) = columns
            shown = np.linspace(0, films.shape[1] - 1, _FRAMES).astype(int)
            columns = [films[:, frame] for frame in shown]
            height, width = films.shape[2:4]
            top = (images.shape[1] - height) // 2
            left = (images.shape[2] - width) // 2
            clean = images[:, top:, left:][:, :height, :width]
        sheet = contact_sheet(np.stack([clean, *columns], axis=1))
        write_atomically(path, tf.io.encode_png(sheet).numpy())
