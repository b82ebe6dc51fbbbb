"""Training images of any dataset, one by one, in the sizes they have."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.data import folder
from noisymix_tf.data.classes import balanced_subset, image_names
from noisymix_tf.data.dataset import one_line
from noisymix_tf.data.preprocess import BY_PILLOW, decode_image
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled images of several sizes.

    Attributes:
        names: N different `class/name.suffix`.
        sizes: N pairs (height, width).
        read_one: Function from a position to uint8 `[h, w, 3]`.
        identity: Word for the images, see `data.identity`.
    """

    names: tuple
    sizes: tuple
    read_one: Callable
    identity: str

    def __len__(self):
        return len(self.names)

    def read(self, positions):
        """Images of one size, uint8 `[B, h, w, 3]`."""
        return np.stack([self.read_one(int(p)) for p in positions])

    def batches(self, batch_size):
        """Lists of positions, each of images of one size, in a fixed order."""
        by_size = {}
        for position, size in enumerate(self.sizes):
            by_size.setdefault(size, []).append(position)
        return [
            positions[start : start + batch_size]
            for positions in by_size.values()
            for start in range(0, len(positions), batch_size)
        ]

    def digest(self):
        """A word for which images these are, in which order."""
        lines = [f"{n} {s}" for n, s in zip(self.names, self.sizes)]
        lines.append(self.identity)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def source(config, suffix):
    """The training images that flags name.

    Args:
        config: `noisymix_tf.config.image_trees.ImageSourceConfig`.
        suffix: Ending of the names, such as `".png"`.

    Returns:
        `Source`.

    Raises:
        UsageError: There is no such dataset, or a file cannot be read.
    """
    if config.dataset == "folder":
        split, class_names = _files(config)
    else:
        dataset = data.load(
            config.dataset,
            data_dir=config.data_dir,
            image_size=config.image_size,
            train_examples=config.train_examples,
        )
        split, class_names = dataset.train, dataset.class_names
    names = image_names(split, class_names, suffix)
    if config.dataset == "folder" and config.image_size is None:
        return Source(
            tuple(names),
            tuple(folder.header_size(path) for path in split.paths),
            lambda position: _as_stored(split.paths[position]),
            str(split.identity),
        )

    def read_one(position):
        try:
            return split.fetch(tf.constant([position]))[0].numpy()
        except tf.errors.OpError:
            split.check([position])
            raise

    sizes = (split.image_shape[:2],) * len(split)
    return Source(tuple(names), sizes, read_one, str(split.identity))


def _files(config):
    """A folder's training images and the names of its classes."""
    classes = folder.splits(config.data_dir)[0]
    paths, labels = folder.labelled(classes)
    # A size that is not known yet plays no part in the choice of images.
    split = data.FileSplit(paths, labels, config.image_size or 1)
    if config.train_examples is not None:
        split = balanced_subset(
            split, config.train_examples, "the training images"
        )
    return split, tuple(classes)


def _as_stored(path):
    is_bmp = path.lower().endswith(BY_PILLOW)
    try:
        return decode_image(tf.io.read_file(path), is_bmp).numpy()
    except (tf.errors.OpError, ValueError) as error:
        raise UsageError(
            f"Cannot read the image {path!r}: {one_line(error)}. Replace or "
            "remove it."
        ) from error
