"""Style pictures: where they are, who gets which, and their moments."""

import functools
import hashlib
import pathlib
import zlib

import numpy as np
import tensorflow as tf

from noisymix_tf.data.dataset import one_line
from noisymix_tf.data.folder import EXTENSIONS, check_name
from noisymix_tf.data.preprocess import BY_PILLOW, Preprocess, decode_image
from noisymix_tf.errors import UsageError
from noisymix_tf.stylizing.moments import Moments


class Styles:
    """A folder of pictures, any of which may be any image's style.

    Args:
        folder: The folder; pictures below it count, hidden files do not.

    Attributes:
        paths: Their files, sorted.

    Raises:
        UsageError: There is no such folder, no picture in it, or one whose
            name is no line of UTF-8.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).expanduser()
        if not self.folder.is_dir():
            state = "is a file" if self.folder.exists() else "does not exist"
            raise UsageError(
                f"--styles={folder} {state}: give a folder of pictures."
            )
        self.paths = sorted(
            path
            for path in self.folder.rglob("[!.]*")
            if path.suffix.lower() in EXTENSIONS and path.is_file()
        )
        for path in self.paths:
            check_name(path)
        if not self.paths:
            raise UsageError(
                f"--styles={folder} holds no pictures "
                f"({', '.join(EXTENSIONS)}): give a folder of some."
            )

    def __len__(self):
        return len(self.paths)

    def digest(self):
        """A word for which pictures these are: names and sizes of files."""
        lines = [
            f"{path.relative_to(self.folder)} {path.stat().st_size}"
            for path in self.paths
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def draw(self, seed, name):
        """Which picture is the style of an image; a function of both.

        Args:
            seed: int, at least 0.
            name: The image's name, str.

        Returns:
            int in `[0, len(self))`.
        """
        words = [seed, zlib.crc32(name.encode())]
        generator = np.random.default_rng(words)
        return int(generator.integers(len(self)))

    def read(self, number, side):
        """A picture as a square: uint8 tensor `[side, side, 3]`."""
        path = str(self.paths[number])
        try:
            picture = decode_image(
                tf.io.read_file(path),
                path.lower().endswith(BY_PILLOW),
            )
        except (tf.errors.OpError, ValueError) as error:
            raise UsageError(
                f"Cannot read the style {path!r}: {one_line(error)}. Replace "
                "or remove it."
            ) from error
        return Preprocess(side, side).apply(picture)


def moments_of(styles, transfer):
    """A function from numbers of pictures, and a side, to their `Moments`.

    Those of the pictures that were asked for last are kept.

    Args:
        styles: `Styles`.
        transfer: `Transfer`.

    Returns:
        Function `(numbers, side) -> list of Moments [B, C]`.
    """

    @functools.lru_cache(4096)
    def of_one(number, side):
        return transfer.moments(styles.read(number, side)[None])

    def of_many(numbers, side):
        layers = zip(*(of_one(number, side) for number in numbers))
        return [
            Moments(*(tf.concat(values, 0) for values in zip(*layer)))
            for layer in layers
        ]

    return of_many
