"""The directory of a run: who it belongs to, and what lies where in it."""

import os
import pathlib

from noisymix_tf.errors import UsageError


class RunFolder:
    """The output directory of one configuration.

    The effective flags are written to `flags.txt` when the directory is first
    used; afterwards only the same configuration may continue there.

    Args:
        config: The `Config` of the run.

    Raises:
        UsageError: No directory was given, it cannot be written, it holds
            something else, or it belongs to a different configuration.
    """

    def __init__(self, config):
        if not config.run.output_dir:
            raise UsageError(
                "--output_dir is missing: name a directory for the run."
            )
        self.path = pathlib.Path(config.run.output_dir)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim(config)
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

    def has_export(self):
        """Whether a SavedModel of the run has been written."""
        return any(entry.name.isdigit() for entry in self.saved_model.glob("*"))

    def _claim(self, config):
        flagfile = self.path / "flags.txt"
        partial = self.path / ".flags.txt.partial"
        partial.unlink(missing_ok=True)
        if flagfile.exists():
            self._compare(config, flagfile.read_text().splitlines())
        elif any(self.path.iterdir()):
            raise UsageError(
                f"--output_dir={self.path} is not empty and holds no run; name "
                f"a new or empty directory."
            )
        # Rewritten also for a continued run: it proves that the directory is
        # writable, and free flags may have changed.
        lines = [line for line in config.flags().values() if line is not None]
        partial.write_text("\n".join(lines) + "\n")
        os.replace(partial, flagfile)

    def _compare(self, config, lines):
        before = {_name(line): line for line in lines if line}
        differing = []
        for name, line in config.flags(with_free=False).items():
            if before.get(name) != line:
                old = before.get(name) or f"--{name} not set"
                differing.append(f"{line or f'--{name} not set'} (was {old})")
        if differing:
            raise UsageError(
                f"--output_dir={self.path} holds a run of another "
                f"configuration: {'; '.join(differing)}. Name another "
                f"directory, or give the same flags."
            )


def _name(line):
    """The flag's name in `--name=value`, `--name` or `--noname`."""
    name, equals, _ = line.removeprefix("--").partition("=")
    return name if equals or not name.startswith("no") else name[2:]
