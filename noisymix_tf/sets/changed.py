"""Trees of changed training images: those of any dataset, in their sizes."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from noisymix_tf import data, devices, places
from noisymix_tf.data import folder
from noisymix_tf.data.classes import balanced_subset
from noisymix_tf.data.preprocess import decode_image
from noisymix_tf.lazy import Image, tf
from noisymix_tf.options import AT_LEAST_1, SEED, Options, option
from noisymix_tf.progress import say
from noisymix_tf.sets import layouts, writer

_SIDE = 128  # Of an image on the sheet.
# Flags that do not decide pixels; `data_dir` is known by what it holds.
_FREE = ("output_dir", "data_dir", "vgg_weights", "styles")


@dataclasses.dataclass(frozen=True)
class ImageSourceConfig(Options):
    """Which training images are taken."""

    dataset: str = option(
        "folder",
        "Dataset: folder, digits, cifar10, cifar100 or imagenet. Only its "
        "training images are taken.",
    )
    data_dir: str | None = option(
        None,
        "The folder of images (class-per-directory, with or without train/ and "
        "val/ above), or the directory of prepared tensorflow-datasets.",
    )
    image_size: int | None = option(
        None,
        "Bring images to this size: the shorter side, then the centre. By "
        "default those of a folder keep their sizes.",
        AT_LEAST_1,
    )
    train_examples: int | None = option(
        None,
        "Take a class-balanced, deterministic subset of this size.",
        AT_LEAST_1,
    )


@dataclasses.dataclass(frozen=True)
class TreeConfig(Options):
    """What is written, and where to."""

    output_dir: str | None = option(
        None,
        "Directory of the tree, CLASS/IMAGE. A command that was killed is "
        "continued by the same command.",
    )
    format: str = option(
        "png",
        "png: the very pixels; jpeg: quality 85, a fraction of the size.",
        choices=("png", "jpeg"),
    )
    batch_size: int = option(
        8, "Images of one size that are made together.", AT_LEAST_1
    )
    seed: int = option(0, "Seed of everything random.", SEED)


def begin(config) -> None:
    """What comes before a tree is written: where it goes, and how."""
    places.check_writable(config.output_dir, "tree")
    # A tree that is continued is the one that would have been made at once.
    tf.config.experimental.enable_op_determinism()


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled images of several sizes."""

    names: tuple  # N different `class/name.suffix`.
    sizes: tuple  # N pairs (height, width).
    read_one: Callable  # From a position to uint8 `[h, w, 3]`.
    identity: str  # Word for the images, see `data.identity`.

    def __len__(self):
        return len(self.names)

    def read(self, positions) -> np.ndarray:
        """Images of one size, uint8 `[B, h, w, 3]`."""
        return np.stack([self.read_one(int(p)) for p in positions])

    def batches(self, batch_size) -> Iterator[list[int]]:
        """Lists of positions, each of images of one size, in a fixed order."""
        by_size = {}
        for position, size in enumerate(self.sizes):
            by_size.setdefault(size, []).append(position)
        for positions in by_size.values():
            for start in range(0, len(positions), batch_size):
                yield positions[start : start + batch_size]

    def digest(self) -> str:
        """A word for which images these are, in which order."""
        lines = [f"{n} {s}" for n, s in zip(self.names, self.sizes)]
        return digest([*lines, self.identity])


def digest(lines) -> str:
    """16 hexadecimal digits that tell lists of lines apart."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def source(config, image_format) -> Source:
    """The training images that an `ImageSourceConfig` names, as a `Source`.

    `image_format`, of what is made of them, is `"png"` or `"jpeg"`.
    """
    size, examples = config.image_size, config.train_examples
    if config.dataset == "folder":
        classes = folder.splits(config.data_dir)[0]
        # A size that is not known yet plays no part in the choice of images.
        split = data.FileSplit(*folder.labelled(classes), size or 1)
        own = examples, "the training images", len(classes)
        split = balanced_subset(split, *own)
    else:
        how = {"image_size": size, "train_examples": examples}
        dataset = data.load(config.dataset, data_dir=config.data_dir, **how)
        split, classes = dataset.train, dataset.class_names
    names = layouts.image_names(split, classes, layouts.SUFFIXES[image_format])
    sizes, is_stored = [split.image_shape[:2]] * len(split), False
    if config.dataset == "folder" and size is None:
        sizes, is_stored = map(folder.header_size, split.paths), True

    def read(position):
        if is_stored:
            return decoded(split.paths[position]).numpy()
        try:
            return split.image(position).numpy()
        except (tf.errors.OpError, ValueError):
            split.check([position])
            raise

    return Source(tuple(names), tuple(sizes), read, str(split.identity))


def decoded(path, what="image") -> "tf.Tensor":
    """A file's pixels, uint8 `[h, w, 3]`; errors call it `what`."""
    with folder.must(f"read the {what} {path!r}"):
        return decode_image(tf.io.read_file(path), True)


@contextlib.contextmanager
def tree_folder(config, source, **more):
    """The `SetFolder` of a tree: flags, and `more`, decide its pixels."""
    flags = {k: v for k, v in vars(config).items() if k not in _FREE}
    flags["format"] = layouts.FORMATS[flags["format"]]
    flags |= {"images": len(source), "names": source.digest(), **more}
    what, path = "image trees", config.output_dir
    with writer.claimed_folder(path, flags, what=what) as folder:
        devices.announce()
        say(f"Writing to {folder.path}")
        yield folder


class ChangedPart(writer.Part):
    """What `make(images, positions)` makes of a `Source`, uint8 `[B, h, w, 3]`.

    The pixels do not depend on where a writer was killed: batches stay.
    """

    name = "images"

    def __init__(self, source, make, batch_size):
        self._source, self._make = source, make
        self._batch_size, self.total = batch_size, len(source)

    def done(self, folder):
        return len({*self._source.names} & {*layouts.there(folder.path)})

    def write(self, folder, workers):
        names, there = self._source.names, layouts.there(folder.path)
        lacking = {p for p, name in enumerate(names) if name not in there}
        for positions in self._source.batches(self._batch_size):
            if lacking.isdisjoint(positions):
                continue
            made = self._make(self._source.read(positions), positions)
            for position, image in zip(positions, made):
                if position in lacking:
                    layouts.save(image, folder.path / names[position])
            lacking.difference_update(positions)
            yield self.total - len(lacking)
        sheet = folder.path / "sheet.png"
        if not sheet.exists():
            few = writer.few(self.total)
            made = (str(folder.path / names[position]) for position in few)
            made = (decoded(path).numpy() for path in made)
            columns = map(self._source.read_one, few), made
            columns = [[*map(_shown, column)] for column in columns]
            writer.write_sheet(sheet, columns)


def _shown(image):
    return np.asarray(Image.fromarray(image).resize((_SIDE, _SIDE)))
