"""Where a command may read and write: on this machine, and apart."""

import dataclasses
import errno
import os
import pathlib
import re

from noisymix_tf.errors import UsageError

# Of two letters at least: one would be a drive. `pathlib` folds the slashes.
_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]+:/")
# In front of a directory of tensorflow-datasets.
_PREPARED = "tfds:"


def check_local(**arguments):
    """Refuses addresses, such as gs://bucket, in place of local paths.

    To Python's own functions, which read and write there, such an address is
    a folder called `gs:`; what is written needs a lock and atomic renames.

    Args:
        **arguments: Name and value of each, or a list of values; what is no
            string or path counts as good.

    Raises:
        UsageError: One is an address.

    Example:

    >>> check_local(output_dir="runs/a", c_dir="tfds:/data")
    """
    for name, value in arguments.items():
        for path in value if isinstance(value, tuple | list) else [value]:
            if not isinstance(path, str | os.PathLike):
                continue
            text = os.fspath(path)
            if not is_address(text):
                continue
            if name.endswith("output_dir"):
                raise UsageError(
                    f"{name}={text} is no path of this machine, and a bucket "
                    f"has neither the lock nor the atomic renames that keep a "
                    f"run whole: give a local folder, and copy it there when "
                    f"the command has ended."
                )
            raise UsageError(
                f"{name}={text} is no path of this machine: give a local "
                f"folder or file; copy what is there, or mount it (a bucket of "
                f"Google with gcsfuse)."
            )


def is_address(path):
    """Whether a path is an address, such as gs://bucket, be it folded."""
    return bool(_ADDRESS.match(os.fspath(path).removeprefix(_PREPARED)))


def check_there(config):
    """Refuses paths that lead nowhere before the imports that reading needs.

    Args:
        config: The `Options` of a command.

    Raises:
        UsageError: What has to exist does not.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not field.metadata["exists"] or value is None:
            continue
        path = value.removeprefix(_PREPARED)
        # Of references some have a name.
        is_name = field.name == "reference" and os.sep not in path
        if is_name or is_address(path):
            continue
        if not os.path.exists(os.path.expanduser(path)):
            raise UsageError(
                f"--{field.name}={value} does not exist. It is: "
                f"{field.metadata['help']}"
            )


def check_data_dir(data_dir, read, name="data_dir"):
    """Refuses an address of data that is not read from start to end.

    Args:
        data_dir: A path or an address, or None.
        read: `"random"` or `"sequential"`.
        name: Of the argument.

    Raises:
        UsageError: It is an address, and `read` another than sequential.
    """
    try:
        check_local(**{} if read == "sequential" else {name: data_dir})
    except UsageError as error:
        raise UsageError(
            f"{error} With --read=sequential, imagenet prepared as tfrecord "
            "is read where it lies."
        ) from None


def check_apart(config):
    """Refuses an output directory inside of a tree of images.

    The next command would take what is written there for a class of them.

    Args:
        config: The `Options` of a command.

    Raises:
        UsageError: It lies in a tree, links followed.
    """
    output = getattr(config, "output_dir", None)
    is_folder = getattr(config, "dataset", None) == "folder"
    for field in dataclasses.fields(config) if output else ():
        name, value = field.name, getattr(config, field.name) or ()
        if not (field.metadata["tree"] or (is_folder and name == "data_dir")):
            continue
        trees = [value] if isinstance(value, str) else [*value]
        if name == "shift_dir":  # Of several sets NAME:DIR,NAME:DIR.
            sets = str(value or "").split(",")
            trees += [tree.partition(":")[2] for tree in sets]
        for tree in trees:
            if _lies_in(output, os.path.expanduser(tree)):
                raise UsageError(
                    f"--output_dir={output} lies in --{name}={tree}, where its "
                    f"files would be taken for images and its folders for "
                    f"classes; name a directory outside of it."
                )


def check_writable(path, purpose):
    """Refuses an `--output_dir` before the imports that writing there needs.

    Nothing is made: what only writing can tell is left to it.

    Args:
        path: The directory; it need not exist.
        purpose: What it is for.

    Raises:
        UsageError: None was given, or it cannot be made or written.
    """
    if not path:
        raise UsageError(
            f"--output_dir is missing: name a directory for the {purpose}."
        )
    try:
        number = _obstacle(pathlib.Path(path))
    except OSError as error:  # Of a name that is too long, a closed folder.
        number = error.errno
    if number:
        error = OSError(number, os.strerror(number))
        raise UsageError(
            f"--output_dir={path} cannot be written ({error.strerror}); name "
            f"a writable directory."
        ) from error


def _obstacle(place):
    """Number of the error that making a directory would meet; 0 for none."""
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return errno.ENOTDIR
    if os.access(place, os.W_OK | os.X_OK):
        return 0
    is_read_only = os.statvfs(place).f_flag & os.ST_RDONLY
    return errno.EROFS if is_read_only else errno.EACCES


def _lies_in(path, folder):
    if not os.path.isdir(folder):
        return False
    place = pathlib.Path(os.path.realpath(path))
    return any(
        os.path.samefile(parent, folder)
        for parent in (place, *place.parents)
        if os.path.exists(parent)
    )
