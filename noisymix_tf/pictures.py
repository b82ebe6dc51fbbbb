"""Pictures that are no images of a dataset: a folder of them, read whole."""

import pathlib

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def paths_in(folder, what, below=False) -> list[pathlib.Path]:
    """The pictures in a folder in the order of their names, at least one.

    Those in folders `below` it may count, too; hidden ones do not. Where there
    is none, it is a `UsageError` that calls them `what`: `"picture of frost"`.
    """
    folder = pathlib.Path(folder).expanduser()
    found = sorted(folder.rglob("*") if below else folder.glob("*"))
    found = [path for path in found if path.suffix.lower() in SUFFIXES]
    found = [path for path in found if not is_hidden(path, folder)]
    if not found:
        raise UsageError(
            f"No {what} in {str(folder)!r}: give a folder with files "
            f"{', '.join(SUFFIXES)}."
        )
    return found


def is_hidden(path, root) -> bool:
    """Whether a file, or a folder between it and a root, is a hidden one."""
    return any(name[0] == "." for name in path.relative_to(root).parts)


def read(path, what, change=None) -> np.ndarray:
    """A picture as uint8 `[H, W, 3]`, `change`d as a Pillow image before.

    One that cannot be read is a `UsageError`, in which it is called `what`.
    """
    # Pillow's SyntaxError is that of a damaged PNG.
    bad = OSError, ValueError, SyntaxError, Image.DecompressionBombError
    try:
        with Image.open(path) as picture:
            if picture.mode[:1] == "I":  # 16 bits, which would be clipped.
                levels = np.asarray(picture) // 256
                picture = Image.fromarray(levels.astype(np.uint8))
            picture = picture.convert("RGB")
    except bad as error:
        raise UsageError(
            f"The {what} {str(path)!r} cannot be read ({error}): replace or "
            "remove it."
        ) from error
    return np.asarray(change(picture) if change else picture)
