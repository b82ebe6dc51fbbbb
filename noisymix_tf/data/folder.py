"""What lies in a folder of images: classes, their files, and sizes."""

import contextlib
import hashlib
import os

from noisymix_tf.data.classes import listed
from noisymix_tf.data.dataset import one_line, size_text
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
TEST_FOLDERS = ("val", "validation", "test")

_LAYOUT = "the folder that holds train/ and val/, or one folder per class"
_TEST_SHARE = 0.2
# Up to these amounts all are decoded once, so that a bad file is named before
# training starts. 1,500 of 224 x 224 pixels take half a second of one core.
_CHECKED_FILES = 5_000
_CHECKED_BYTES = 200_000_000


@contextlib.contextmanager
def must(act, remedy="Replace or remove it"):
    """Turns what goes wrong, say in "read the file x", into a `UsageError`."""
    try:
        yield
    except Exception as error:
        raise UsageError(
            f"Cannot {act}: {one_line(error)}. {remedy}."
        ) from error


def existing(path, expected, flag=""):
    """The path of a folder that is there, `~` expanded."""
    root = os.path.expanduser(str(path)).rstrip(os.sep) or os.sep
    if not os.path.isdir(root):
        state = "does not exist"
        if os.path.exists(root):
            state = "is a file (unpack it if it is an archive)"
        raise UsageError(f"{flag}{root} {state}: give {expected}.")
    return root


def list_folder(folder):
    """Sorted names of the folders and of the files in it, but hidden ones."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                check_name(entry.path)
                if not entry.is_file() and not entry.is_dir():
                    state = "is neither a file nor a folder"
                    if entry.is_symlink():
                        state = "is a link that leads nowhere"
                    raise UsageError(f"{entry.path!r} {state}: remove it.")
                (files if entry.is_file() else folders).append(entry.name)
    except OSError as error:
        raise UsageError(f"Cannot list {folder}: {error.strerror}.") from error
    return sorted(folders), sorted(files)


def check_name(path):
    """Refuses a name that TensorFlow, a report or a list cannot say."""
    path = os.fspath(path)
    is_text = path.encode(errors="replace").decode() == path
    if not is_text or path.splitlines() != [path]:
        raise UsageError(
            f"The name {path!r} is no line of UTF-8 text: rename it."
        )


def class_files(root, extensions=EXTENSIONS, remedy="unpack it again"):
    """`{class folder: files}` of a folder of classes, both sorted."""
    classes, kinds = {}, ", ".join(extensions)
    for name in list_folder(root)[0]:
        names = list_folder(f"{root}/{name}")[1]
        classes[name] = [
            f"{root}/{name}/{file}"
            for file in names
            if file.lower().endswith(extensions)
        ]
        if not classes[name]:
            raise UsageError(
                f"{root}/{name} holds no files ({kinds}): {remedy}."
            )
    if not classes:
        raise UsageError(
            f"{root} holds no class folders: give {root}/<class>/* ({kinds})."
        )
    return classes


def own_classes(root, least=1):
    """`class_files` of a folder that a user made."""
    classes = class_files(root, remedy="fill or remove it")
    if len(classes) < least:
        name = next(iter(classes))
        raise UsageError(f"{root} holds one class only, {name!r}: add another.")
    return classes


def has_splits(root):
    """Whether the classes are below `root/train`.

    A class may be called "train" too; its folder then holds images only.
    """
    is_there = "train" in list_folder(root)[0]
    return is_there and bool(list_folder(f"{root}/train")[0])


def splits(data_dir):
    """`{class: files}` for training and for testing, see `trees.load`."""
    if data_dir is None:
        raise UsageError(f"--dataset=folder needs --data_dir=DIR, {_LAYOUT}.")
    root = existing(data_dir, _LAYOUT, "--data_dir=")
    if not has_splits(root):
        return _divide(own_classes(root, least=2))
    train, there = f"{root}/train", list_folder(root)[0]
    for test in (f"{root}/{name}" for name in TEST_FOLDERS if name in there):
        parts = own_classes(train, least=2), own_classes(test, least=2)
        rule = "Training and test folders must hold the same classes"
        check_same(rule, parts, (f"only in {train}", f"only in {test}"))
        return parts
    raise UsageError(
        f"{train} has nothing beside it to test on: add one of "
        f"{', '.join(TEST_FOLDERS)}."
    )


def _divide(classes):
    """Splits every class into files for training and for testing."""

    def digest(path):
        return hashlib.sha256(os.path.basename(path).encode()).digest()

    train, test = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            raise UsageError(
                f"{name!r} has one image, {files[0]!r}: two are needed, one to "
                "test on."
            )
        number = max(1, round(_TEST_SHARE * len(files)))
        chosen = {*sorted(files, key=digest)[:number]}
        train[name] = [file for file in files if file not in chosen]
        test[name] = [file for file in files if file in chosen]
    return train, test


def check_same(rule, pair, words):
    """Raises the `UsageError` that names the classes of one alone of a pair."""
    parts = []
    for word, names, others in zip(words, pair, reversed(pair)):
        odd = [name for name in names if name not in others]
        parts += [f"{word}: {listed(odd)}"] if odd else []
    if parts:
        raise UsageError(f"{rule}; {'; '.join(parts)}.")


def labelled(classes):
    """Files of all `(label, files)` in one list, and their labels."""
    pairs = [(file, label) for label, files in classes for file in files]
    return [file for file, _ in pairs], [label for _, label in pairs]


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
    return preprocess if preprocess.side else None


def common_size(paths):
    """The (height, width) of every image, from the headers of the files."""
    first = header_size(paths[0])
    for path in paths[1:]:
        size = header_size(path)
        if size != first:
            raise UsageError(
                f"{paths[0]!r} is {size_text(first)} (height x width) and "
                f"{path!r} is {size_text(size)}: give --image_size=N to bring "
                "all to N x N, or a preprocess such as resize256-crop224."
            )
    return first


def header_size(path):
    """The (height, width) of an image, from the header of its file."""
    from PIL import Image

    with must(f"read the image {path!r}"), Image.open(path) as image:
        return image.height, image.width


def few(paths):
    """Whether so few files can all be decoded before they are needed."""
    return len(paths) <= _CHECKED_FILES and (
        sum(map(os.path.getsize, paths)) <= _CHECKED_BYTES
    )
