"""Training images of any dataset, in their sizes, and those made of them."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from PIL import Image

from noisymix_tf import data
from noisymix_tf.data import folder
from noisymix_tf.data.classes import balanced_subset
from noisymix_tf.data.preprocess import BY_PILLOW, decode_image
from noisymix_tf.sets import trees, writer

_SIDE = 128  # Of an image on the sheet.
# Flags that do not decide pixels; `data_dir` is known by what it holds.
_FREE = ("output_dir", "data_dir", "vgg_weights", "styles")


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled images of several sizes."""

    names: tuple  # N different `class/name.suffix`.
    sizes: tuple  # N pairs (height, width).
    read_one: Callable  # From a position to uint8 `[h, w, 3]`.
    identity: str  # Word for the images, see `data.identity`.

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
        for positions in by_size.values():
            for start in range(0, len(positions), batch_size):
                yield positions[start : start + batch_size]

    def digest(self):
        """A word for which images these are, in which order."""
        lines = [f"{n} {s}" for n, s in zip(self.names, self.sizes)]
        return digest([*lines, self.identity])


def digest(lines):
    """16 hexadecimal digits that tell lists of lines apart."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def source(config, image_format):
    """The training images that an `ImageSourceConfig` names, as a `Source`.

    `image_format`, of what is made of them, is `"png"` or `"jpeg"`.
    """
    size, examples = config.image_size, config.train_examples
    if config.dataset == "folder":
        classes = folder.splits(config.data_dir)[0]
        # A size that is not known yet plays no part in the choice of images.
        files = folder.labelled(classes)
        split, classes = data.FileSplit(*files, size or 1), tuple(classes)
        split = balanced_subset(split, examples, "the training images")
    else:
        how = {"image_size": size, "train_examples": examples}
        dataset = data.load(config.dataset, data_dir=config.data_dir, **how)
        split, classes = dataset.train, dataset.class_names
    names = trees.image_names(split, classes, trees.SUFFIXES[image_format])
    if config.dataset == "folder" and size is None:
        sizes, read = map(folder.header_size, split.paths), _as_stored
    else:
        sizes, read = [split.image_shape[:2]] * len(split), _preprocessed
    read = functools.partial(read, split)
    return Source(tuple(names), tuple(sizes), read, str(split.identity))


def _preprocessed(split, position):
    try:
        return split.fetch([position])[0].numpy()
    except tf.errors.OpError:
        split.check([position])
        raise


def _as_stored(split, position):
    return decoded(split.paths[position], "image").numpy()


def decoded(path, what):
    """A file's pixels, uint8 tensor `[h, w, 3]`; errors call it `what`."""
    with folder.must(f"read the {what} {path!r}"):
        is_bmp = path.lower().endswith(BY_PILLOW)
        return decode_image(tf.io.read_file(path), is_bmp)


def tree_folder(config, source, **more):
    """The `SetFolder` of a tree: flags, and `more`, decide its pixels."""
    flags = {k: v for k, v in vars(config).items() if k not in _FREE}
    flags["format"] = trees.FORMATS[flags["format"]]
    flags |= {"images": len(source), "names": source.digest(), **more}
    return writer.claimed_folder(config.output_dir, flags, what="image trees")


class ChangedPart(writer.Part):
    """What `make(images, positions)` makes of a `Source`, uint8 `[B, h, w, 3]`.

    The pixels do not depend on where a writer was killed: batches stay.
    """

    name = "images"

    def __init__(self, source, make, batch_size):
        self._source, self._make = source, make
        self._batch_size, self.total = batch_size, len(source)

    def done(self, folder):
        return len({*self._source.names} & {*trees.there(folder.path)})

    def write(self, folder, workers):
        names = self._source.names
        there = {*names} & {*trees.there(folder.path)}
        for positions in self._source.batches(self._batch_size):
            lacking = {p for p in positions if names[p] not in there}
            if not lacking:
                continue
            made = self._make(self._source.read(positions), positions)
            for position, image in zip(positions, made):
                if position in lacking:
                    trees.save(image, folder.path / names[position])
                    there.add(names[position])
            yield len(there)
        sheet = folder.path / "sheet.png"
        if not sheet.exists():
            few = writer.few(self.total)
            paths = (folder.path / names[position] for position in few)
            before = map(Image.fromarray, map(self._source.read_one, few))
            columns = map(_shown, before), map(_shown, map(Image.open, paths))
            writer.write_sheet(sheet, [[*column] for column in columns])


def _shown(image):
    with image:
        return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)))
