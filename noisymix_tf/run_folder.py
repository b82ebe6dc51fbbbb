"""The directory of a run: who it belongs to, and what lies where in it."""

import pathlib
import shutil

from noisymix_tf import checks, run_lock
from noisymix_tf.errors import UsageError


class RunFolder:
    """The output directory of one configuration.

    The effective flags are written to `flags.txt` when the directory is first
    used; afterwards only the same configuration may continue there. Use it in
    a `with` statement: meanwhile no other process may write there.

    Args:
        config: The `Config` of the run.

    Raises:
        UsageError: No directory was given, it cannot be written, it holds
            something else, it belongs to a different configuration, or another
            process is writing there.

    Example:

    >>> with RunFolder(config) as folder:
    ...     noisymix_tf.save(model, folder.model)
    """

    def __init__(self, config):
        check(config)
        self.path = pathlib.Path(config.run.output_dir)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = run_lock.RunLock(self.path)
            try:
                self._claim(config)
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            raise UsageError(
                f"--output_dir={self.path} cannot be written "
                f"({error.strerror}); name a writable directory."
            ) from error
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.views = self.path / "views.png"
        self.model = self.path / "model.keras"
        self.evaluation = self.path / "evaluation"
        self.saved_model = self.path / "saved_model"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._lock.release()

    def has_export(self):
        """Whether a SavedModel of the run has been written."""
        return any(entry.name.isdigit() for entry in self.saved_model.glob("*"))

    def _claim(self, config):
        # Here, because the package comes with TensorFlow.
        from noisymix_tf.evaluation.files import (
            remove_leftovers,
            write_atomically,
        )

        _check_owner(self.path, config)
        # Rewritten also for a continued run: it proves that the directory is
        # writable, and free flags may have changed.
        lines = [line for line in config.flags().values() if line is not None]
        write_atomically(self.path / "flags.txt", "\n".join(lines) + "\n")
        remove_leftovers(self.path)
        for unfinished in (self.path / "saved_model").glob(".tmp-*"):
            shutil.rmtree(unfinished)


def check(config):
    """Raises what `RunFolder` would, as far as reading can tell."""
    checks.output_dir(config.run.output_dir, "run")
    path = pathlib.Path(config.run.output_dir)
    if path.is_dir():
        _check_owner(path, config)


def _check_owner(path, config):
    """Checks that a directory is of the configuration's run, or empty."""
    if (path / "flags.txt").exists():
        check_flags(path, config)
    elif not all(map(_is_of_a_start, path.iterdir())):
        raise UsageError(
            f"--output_dir={path} is not empty and holds no run; name a new "
            f"or empty directory."
        )


def check_flags(path, config):
    """Checks that a directory's run is of a configuration.

    Args:
        path: Directory of a run, which has its `flags.txt`.
        config: The `Config`; its free flags may differ.

    Raises:
        UsageError: It holds a run of another configuration, or the file is
            damaged.
    """
    file = pathlib.Path(path) / "flags.txt"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"{file} cannot be read ({reason}), so that nothing tells which "
            f"run {path} holds: put the file back, or name another directory."
        ) from error
    # A flag that an older version did not have counts as its default.
    before = type(config)().flags()
    before |= {flag_name(line): line for line in lines if line}
    differing = []
    for name, line in config.flags(with_free=False).items():
        if before.get(name) != line:
            old = before.get(name) or f"--{name} not set"
            differing.append(f"{line or f'--{name} not set'} (was {old})")
    if differing:
        raise UsageError(
            f"--output_dir={path} holds a run of another configuration: "
            f"{'; '.join(differing)}. Name another directory, or give the "
            f"same flags."
        )


def _is_of_a_start(path):
    """Whether a run that was killed while it began has left the file."""
    return path.name == run_lock.NAME or path.name.startswith(".flags.txt.")


def flag_name(line):
    """The flag's name in `--name=value`, `--name` or `--noname`."""
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals or not name.startswith("no") else name[2:]
