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


def check_local(**arguments) -> None:
    """Raises a `UsageError` if a local path is an address, as gs://bucket.

    To Python's own functions, which read and write there, such an address is
    a folder called `gs:`. Arguments are paths or lists of them; what is no
    string or path counts as good.

    >>> check_local(output_dir="runs/a", c_dir="tfds:/data")
    """
    for name, value in arguments.items():
        values = value if isinstance(value, tuple | list) else [value]
        paths = [v for v in values if isinstance(v, str | os.PathLike)]
        for path in filter(is_address, paths):
            advice = (
                "give a local folder or file; copy what is there, or mount it "
                "(a bucket of Google with gcsfuse)."
            )
            if name.endswith("output_dir"):
                advice = (
                    "a bucket has neither the lock nor the atomic renames that "
                    "keep a run whole. Give a local folder, and copy it there "
                    "when the command has ended."
                )
            raise UsageError(
                f"{name}={path} is no path of this machine: {advice}"
            )


def is_address(path: str | os.PathLike) -> bool:
    """Whether a path is an address, such as gs://bucket, be it folded."""
    return bool(_ADDRESS.match(os.fspath(path).removeprefix(_PREPARED)))


def at_home(path: str | os.PathLike) -> str:
    """A path whose `~/` is expanded, as a shell does in front of a word."""
    path = os.fspath(path)
    return os.path.expanduser(path) if path.startswith("~/") else path


def check_there(config) -> None:
    """Raises a `UsageError` if what an option of `Options` names is not there.

    It comes before the imports that reading needs.
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


def check_data_dir(data_dir, read: str, name: str = "data_dir") -> None:
    """Refuses an address of data that is read in another way than sequential.

    `read` is `"random"` or `"sequential"`, `name` that of the argument.
    """
    try:
        check_local(**{} if read == "sequential" else {name: data_dir})
    except UsageError as error:
        raise UsageError(
            f"{error} With --read=sequential, imagenet prepared as tfrecord "
            "is read where it lies."
        ) from None


def check_apart(config) -> None:
    """Refuses an output directory inside of a tree of images, links followed.

    The next command would take what is written there for a class of them: a
    `UsageError` for the `Options` of a command that has both.
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
                    f"--output_dir={output} lies in --{name}={tree}, whose "
                    f"images or classes its files and folders would be taken "
                    f"for; name a directory outside of it."
                )


def _lies_in(path, folder):
    if not os.path.isdir(folder):
        return False
    place = pathlib.Path(os.path.realpath(path))
    return any(
        os.path.samefile(parent, folder)
        for parent in (place, *place.parents)
        if os.path.exists(parent)
    )


def check_writable(path: str | os.PathLike | None, purpose: str) -> None:
    """Refuses an `--output_dir` that is missing, or cannot be made or written.

    Nothing is made: what only writing can tell is left to it.
    """
    if not path:
        raise UsageError(
            f"--output_dir is missing: name a directory for the {purpose}."
        )
    try:
        number = _obstacle(pathlib.Path(path))
        if number:
            raise OSError(number, os.strerror(number))
    except OSError as error:  # Also of a name that is too long.
        raise unwritable(path, error) from error


def unwritable(path: str | os.PathLike, error: OSError) -> UsageError:
    """What is raised from an error of an `--output_dir`."""
    return UsageError(
        f"--output_dir={path} cannot be written ({error.strerror}); name a "
        f"writable directory."
    )


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
