"""The files of a comparison, and the directory that they lie in."""

import pathlib

from noisymix_tf.comparison import runs
from noisymix_tf.errors import UsageError

# Says that the directory is one of a comparison, and repeats it as a flagfile.
FLAGFILE = "comparison.flags"
_NAME = "comparison"


def claim(output_dir):
    """Makes the directory of a comparison, if it is not one already.

    Args:
        output_dir: Its path.

    Returns:
        `pathlib.Path`.

    Raises:
        UsageError: It cannot be written, or holds something else.
    """
    folder = pathlib.Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise UsageError(
            f"--output_dir={folder} cannot be written ({error.strerror}); name "
            f"a writable directory."
        ) from error
    if runs.FLAGS in names:
        raise UsageError(
            f"--output_dir={folder} holds a run: name another directory for "
            f"the comparison."
        )
    if FLAGFILE not in names and any(not n.startswith(".") for n in names):
        raise UsageError(
            f"--output_dir={folder} is not empty and holds no comparison; name "
            f"a new or empty directory."
        )
    return folder


def write_flags(folder, words):
    """Keeps the flags of a comparison, one a line.

    Args:
        folder: Its directory.
        words: Its command line, from `arguments.flat`: a flagfile in it might
            be the one that is written here.
    """
    lines = [word for word in words if not word.startswith("--output_dir=")]
    (folder / FLAGFILE).write_text(
        "\n".join([*lines, f"--output_dir={folder}"]) + "\n"
    )


def write(folder, table):
    """Writes a table in all its forms.

    Args:
        folder: Directory of the comparison.
        table: `table.Table`.

    Returns:
        Paths of the files.
    """
    # Here, because they come with TensorFlow, which no training waits for.
    from noisymix_tf.comparison.writers.csv import csv
    from noisymix_tf.comparison.writers.html import html
    from noisymix_tf.comparison.writers.json import json
    from noisymix_tf.comparison.writers.latex import latex
    from noisymix_tf.comparison.writers.markdown import markdown
    from noisymix_tf.evaluation.files import write_atomically

    writers = {
        "md": markdown,
        "csv": csv,
        "tex": latex,
        "html": html,
        "json": json,
    }
    paths = []
    for suffix, writer in writers.items():
        paths.append(folder / f"{_NAME}.{suffix}")
        write_atomically(paths[-1], writer(table))
    return paths
