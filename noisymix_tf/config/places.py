"""Where a command may write: not among the images that it reads."""

import os
import pathlib

from noisymix_tf.errors import UsageError

# Flags that name trees of images; --data_dir is one for --dataset=folder only.
_TREES = ("train_data_dir", "extra_data_dirs", "r_dir", "shift_dir", "styles")


def check(flags):
    """Refuses an output directory inside of a tree of images.

    The next command would take what is written there for a class of them.

    Args:
        flags: Dict from the name of a flag to its value; others than those of
            trees and `output_dir` may be there.

    Raises:
        UsageError: It lies in a tree, links followed.
    """
    output = flags.get("output_dir")
    if not output:
        return
    is_tree = flags.get("dataset") == "folder"
    for name in (*_TREES, "data_dir") if is_tree else _TREES:
        value = flags.get(name) or ()
        for tree in (value,) if isinstance(value, str) else value:
            if _lies_in(output, os.path.expanduser(tree)):
                raise UsageError(
                    f"--output_dir={output} lies in --{name}={tree}, where its "
                    f"files would be taken for images and its folders for "
                    f"classes; name a directory outside of it."
                )


def _lies_in(path, folder):
    if not os.path.isdir(folder):
        return False
    place = pathlib.Path(os.path.realpath(path))
    return any(
        os.path.samefile(parent, folder)
        for parent in (place, *place.parents)
        if parent.exists()
    )
