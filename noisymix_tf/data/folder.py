"""Your own photographs: one folder for each class."""

import hashlib
import os

from noisymix_tf.data.dataset import Dataset, one_line, size_text
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")

_TEST_FOLDERS = ("val", "validation", "test")
_TEST_SHARE = 0.2

# Up to these amounts every file is decoded once when the folder is loaded, so
# that a bad one is named before training starts. 1,500 JPEG files of 224 x 224
# pixels (23 MB) take half a second of one core.
_CHECKED_FILES = 5_000
_CHECKED_BYTES = 200_000_000


def load(*, data_dir=None, image_size=None, preprocess=None):
    """Returns a folder of images as a `Dataset`.

    Either layout will do; classes are numbered in the order of their names:

    - `data_dir/train/<class>/*` and `data_dir/val/<class>/*` (or
      `validation`, or `test`; the first of the three that is there);
    - `data_dir/<class>/*`, of which a fifth of every class is for testing:
      those whose names have the lowest SHA-256 digest, so that the same files
      always give the same split.

    Files are `.jpg`, `.jpeg`, `.png`, `.bmp` or `.gif` in either case; hidden
    ones and others are ignored. Grey, palette and alpha images become RGB.

    Args:
        data_dir: The folder; the dataset has its name.
        image_size: Size S of the square that images are brought to: the
            shorter side is resized to S, then the centre is cropped. None
            where all images have one size already.
        preprocess: How images are brought to one size, see `Preprocess`, such
            as `"resize256-crop224"`; None for what `image_size` says.

    Raises:
        UsageError: If the folder is in no such layout, images have several
            sizes and none is given, `image_size` and `preprocess` differ, or
            a file cannot be decoded. Folders of more than 5,000 files or
            200 MB are not decoded in advance; there a bad file is found when
            it is read.
    """
    image_size = given_size(image_size, preprocess)
    train, test = _list_splits(_checked_directory(data_dir))
    splits = [labelled(enumerate(part.values())) for part in (train, test)]
    if image_size is None:
        image_size = common_size([p for paths, _ in splits for p in paths])
    train_split, test_split = (
        FileSplit(paths, labels, image_size) for paths, labels in splits
    )
    if few(train_split.paths + test_split.paths):
        train_split.check()
        test_split.check()
    return Dataset(
        name=name_of(data_dir),
        train=train_split,
        test=test_split,
        class_names=tuple(train),
        image_shape=train_split.image_shape,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        flip=True,
    )


def name_of(root):
    """A folder's own name, for reports; never that of another dataset."""
    from noisymix_tf.data import DATASETS

    above, name = os.path.split(os.path.abspath(os.path.expanduser(root)))
    if name in ("train", *_TEST_FOLDERS):
        name = f"{os.path.basename(above)} {name}"
    return f"folder {name}" if name in ("", *DATASETS.names()) else name


def given_size(image_size, preprocess):
    """What an `EncodedSplit` is given; None where images are as stored."""
    if image_size is not None and image_size < 1:
        raise UsageError(
            f"--image_size={image_size}: give a positive number of pixels."
        )
    if preprocess is None:
        return image_size
    preprocess = Preprocess.parse(preprocess)
    if image_size not in (None, preprocess.side):
        raise UsageError(
            f"--image_size={image_size} does not go with "
            f"preprocess={preprocess}: leave one of them out."
        )
    return None if preprocess.side is None else preprocess


def _checked_directory(data_dir):
    expected = "the folder that holds train/ and val/, or one folder per class"
    if data_dir is None:
        raise UsageError(f"--dataset=folder needs --data_dir=DIR, {expected}.")
    return existing(data_dir, expected, "--data_dir=")


def existing(path, expected, named=""):
    """The path of a folder that is there, `~` expanded.

    Raises:
        UsageError: It is not; `named` is put before the path.
    """
    root = os.path.expanduser(path)
    if not os.path.isdir(root):
        state = "does not exist"
        if os.path.exists(root):
            state = "is a file (unpack it if it is an archive)"
        raise UsageError(f"{named}{root} {state}: give {expected}.")
    return root


def _list_splits(root):
    """Two dicts, class name -> files, for training and for testing."""
    if not has_splits(root):
        return _divide(_list_classes(root))
    folders, _ = list_folder(root)
    train = os.path.join(root, "train")
    for name in _TEST_FOLDERS:
        if name in folders:
            test = os.path.join(root, name)
            classes = _list_classes(train), _list_classes(test)
            check_same_classes(
                "Training and test folders must hold the same classes",
                classes,
                (f"only in {train}", f"only in {test}"),
            )
            return classes
    raise UsageError(
        f"{train} has nothing beside it to test on; expected one of "
        f"{', '.join(_TEST_FOLDERS)} in --data_dir={root}."
    )


def has_splits(root):
    """Whether the classes are below `root/train`.

    A class may be called "train" too; its folder then holds images only.
    """
    folders, _ = list_folder(root)
    return "train" in folders and bool(
        list_folder(os.path.join(root, "train"))[0]
    )


def training_files(data_dir):
    """The training images of a folder, of whatever sizes.

    Args:
        data_dir: Folder in a layout of `load`.

    Returns:
        Dict from class name to its files, both sorted by name.

    Raises:
        UsageError: If the folder is in no such layout.
    """
    return _list_splits(_checked_directory(data_dir))[0]


def _list_classes(root):
    """Dict from class name to its files, both in the order of the names."""
    classes = class_files(root, what="images", remedy="fill or remove it")
    if len(classes) < 2:
        raise UsageError(
            f"{root} holds one class only, {next(iter(classes))!r}; a "
            "classifier needs two."
        )
    return classes


def class_files(
    root, extensions=EXTENSIONS, what="files", remedy="unpack it again"
):
    """`{class folder: files}` of a folder of classes, both sorted.

    Args:
        root: The folder.
        extensions: Endings of the files that count, in lower case.
        what: What the files are called in a message.
        remedy: What to do about an empty class, for the message.

    Raises:
        UsageError: If there are no class folders, or one holds no such files.
    """
    folders, _ = list_folder(root)
    kinds = ", ".join(extensions)
    if not folders:
        raise UsageError(
            f"{root} holds no class folders: expected {root}/<class>/* "
            f"({kinds})."
        )
    classes = {}
    for name in folders:
        folder = os.path.join(root, name)
        files = [
            os.path.join(folder, file)
            for file in list_folder(folder)[1]
            if file.lower().endswith(extensions)
        ]
        if not files:
            raise UsageError(
                f"The class folder {folder} holds no {what} ({kinds}): "
                f"{remedy}."
            )
        classes[name] = files
    return classes


def list_folder(folder):
    """Sorted names of the folders and of the files in it, but hidden ones.

    Raises:
        UsageError: If the folder cannot be listed, or holds a link that leads
            nowhere, what is neither file nor folder, or a name that is no
            line of UTF-8.
    """
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    check_name(entry.path)
                    _kind(entry, folders, files).append(entry.name)
    except OSError as error:
        raise UsageError(f"Cannot list {folder}: {error.strerror}.") from error
    return sorted(folders), sorted(files)


def check_name(path):
    """Refuses a name that TensorFlow, a report or a list of classes cannot say.

    Raises:
        UsageError: It is not UTF-8, or has several lines.
    """
    path = os.fspath(path)
    try:
        path.encode()
        is_line = path.splitlines() == [path]
    except UnicodeEncodeError:
        is_line = False
    if not is_line:
        raise UsageError(
            f"The name {path!r} is no line of UTF-8 text: rename it."
        )


def _kind(entry, folders, files):
    """The list that an entry of a folder belongs to."""
    if entry.is_dir():
        return folders
    if entry.is_file():
        return files
    state = "is a link that leads nowhere"
    if not entry.is_symlink():
        state = "is neither a file nor a folder"
    raise UsageError(f"{entry.path!r} {state}: remove it.")


def check_same_classes(rule, pair, words):
    """Raises the `UsageError` that names the classes of one alone of a pair."""
    parts = []
    for word, names, others in zip(words, pair, reversed(pair)):
        odd = [name for name in names if name not in others]
        if odd:
            more = ", ..." if odd[5:] else ""
            parts.append(f"{word}: {', '.join(odd[:5])}{more}")
    if parts:
        raise UsageError(f"{rule}; {'; '.join(parts)}.")


def _divide(classes):
    """Splits every class into files for training and for testing."""
    train, test = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            raise UsageError(
                f"Class {name!r} has one image only, {files[0]!r}; at least "
                "two are needed, one of them to test on."
            )
        number = max(1, round(_TEST_SHARE * len(files)))
        chosen = set(sorted(files, key=_digest)[:number])
        train[name] = [file for file in files if file not in chosen]
        test[name] = [file for file in files if file in chosen]
    return train, test


def _digest(path):
    return hashlib.sha256(os.path.basename(path).encode()).digest()


def labelled(classes):
    """Files of all classes in one list, and their labels.

    Args:
        classes: Pairs of a label and its files.
    """
    classes = list(classes)
    paths = [file for _, files in classes for file in files]
    return paths, [label for label, files in classes for _ in files]


def common_size(paths):
    """The (height, width) of every image, from the headers of the files."""
    first = header_size(paths[0])
    for path in paths[1:]:
        size = header_size(path)
        if size != first:
            raise UsageError(
                f"Images must have one size, but {paths[0]!r} is "
                f"{size_text(first)} and {path!r} is {size_text(size)} (height "
                "x width); give --image_size=N to bring them to N x N, or a "
                "preprocess such as resize256-crop224."
            )
    return first


def header_size(path):
    """The (height, width) of an image, from the header of its file.

    Raises:
        UsageError: If it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:
        raise UsageError(
            f"Cannot read the image {path!r}: {one_line(error)}. "
            "Replace or remove it."
        ) from error


def few(paths):
    """Whether so few files can all be decoded before they are needed."""
    return len(paths) <= _CHECKED_FILES and (
        sum(map(os.path.getsize, paths)) <= _CHECKED_BYTES
    )
