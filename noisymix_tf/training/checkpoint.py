"""The state of a training run: whole or not there, and restored exactly.

A checkpoint has every variable of the trainer and its optimizer, and the
running metrics of the epoch. It is a folder `step-00000123` with `state.npz`,
arrays by name, and `manifest.json`, its step and the SHA-256 of the arrays.

It is written under another name, flushed to disk, and renamed, and renamed
again before it is removed. So what a killed process leaves behind is known by
its name. Every byte counts when it is read: the manifest must be the very text
that its folder's name and the bytes of the arrays call for.
"""

import json
import os
import pathlib
import re
import shutil
import zipfile
from concurrent import futures

import keras
import numpy as np

from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.files import (
    file_digest,
    flush,
    flush_folder,
    write_atomically,
)
from noisymix_tf.progress import warn

_NAME = re.compile(r"step-(\d{8,})")
_PARTIAL, _ASIDE = ".partial-", ".partial-old-"
_STATE, _MANIFEST = "state.npz", "manifest.json"


class UnusableCheckpoint(Exception):
    """It is not what was once written, or belongs to another model."""


class CheckpointFolder:
    """Saves and restores the state of a compiled Keras model.

    Args:
        path: Folder of the checkpoints; created when first saved to.
        keep: How many of the newest checkpoints to keep, at least 1.
    """

    def __init__(self, path, keep=2):
        self.path = pathlib.Path(path)
        self.keep = whole_number("keep", keep, 1)
        self._unusable = set()
        self._thread = self._writing = None

    def save(self, model, step, background=False) -> bool:
        """Writes the checkpoint of a step that a compiled model has come to.

        Where what is trained, or the optimizer, is not finite, or anything is
        no number, the state is not worth keeping: nothing is written, False
        returned, and the checkpoint before stays the newest.

        Args:
            background: Whether a thread writes a copy while training goes on.
                A second checkpoint waits for the first.

        Raises:
            OSError: The checkpoint cannot be written, or an earlier one could
                not be written in the background. What was there is untouched.
        """
        self.wait()
        variables = state_variables(model)
        state = named("state", variables)
        trained = [*model.trainable_variables, *model.optimizer.variables]
        trained = {id(variable) for variable in trained}
        for variable, value in zip(variables, state.values()):
            # A constant may be infinite; statistics that broke are NaN.
            is_bad = np.isnan(value)
            if id(variable) in trained:
                is_bad = ~np.isfinite(value)
            if np.any(is_bad):
                return False
        state |= named("metric", metric_variables(model))
        for name, value in state.items():
            # NumPy's files know no bfloat16: it is kept as its bits.
            if value.dtype.kind == "V":
                state[name] = value.view(f"u{value.dtype.itemsize}")
        if not background:
            self.write(step, state)
            return True
        if self._thread is None:
            self._thread = futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing = self._thread.submit(self.write, step, state)
        return True

    def wait(self) -> None:
        """Returns when nothing is being written; an `OSError` if it failed."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def steps(self) -> list[int]:
        """Steps of the checkpoints present, ascending."""
        entries = self.path.iterdir() if self.path.is_dir() else ()
        matches = [_NAME.fullmatch(entry.name) for entry in entries]
        return sorted(int(match[1]) for match in matches if match)

    def usable(self) -> list[int]:
        """The same without those that `restore` has passed over."""
        return [step for step in self.steps() if step not in self._unusable]

    def restore(self, model, prepare=lambda step: None) -> tuple[int, list]:
        """Loads the newest whole checkpoint into a compiled, built model.

        One that is damaged or belongs to another model is named on the standard
        error, and the one before it is used.

        Args:
            prepare: Called with the step of a checkpoint before it is loaded,
                for a model whose optimizer is not the same at all steps.

        Returns:
            `(step, metrics)`: its step, and the values of `metric_variables`;
            `(0, [])` if there is no checkpoint.

        Raises:
            UsageError: There are checkpoints, but none that can be used.
        """
        self.wait()
        self._unusable = set()
        for step in reversed(self.steps()):
            try:
                arrays = self.read(step)
                prepare(step)
                assign(state_variables(model), select("state", arrays))
            except UnusableCheckpoint as error:
                reason = str(error)
                warn(f"Skipped checkpoint {self.folder(step)}: {reason}.")
                self._unusable.add(step)
                continue
            if self._unusable:
                warn(f"Used the one before: {self.folder(step)}.")
            return step, select("metric", arrays)
        if self._unusable:
            raise UsageError(
                f"No checkpoint in {self.path} can be used (of the oldest: "
                f"{reason}): remove that folder to begin afresh, or name "
                f"another --output_dir."
            )
        return 0, []

    def tidy(self) -> None:
        """Removes what a killed process left: halves, and too many.

        For the one process that writes there; an `OSError` if it cannot.
        """
        self.wait()
        self._tidy()

    def folder(self, step) -> pathlib.Path:
        """The folder of a step's checkpoint."""
        return self.path / f"step-{step:08d}"

    def write(self, step, arrays) -> None:
        """Writes a dict of arrays, which have reached the disk on return."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        partial = self.path / f"{_PARTIAL}{step}"
        try:
            partial.mkdir()
            with open(partial / _STATE, "wb") as file:
                np.savez(file, **arrays)
                flush(file)
            write_atomically(partial / _MANIFEST, _manifest(step, partial))
            flush_folder(partial)
            if self.folder(step).exists():
                self._put_aside(step)
            os.rename(partial, self.folder(step))
            flush_folder(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self._unusable.discard(step)
        self._tidy()

    def read(self, step) -> dict[str, np.ndarray]:
        """Reads what `write` was given, or raises `UnusableCheckpoint`."""
        folder = self.folder(step)
        try:
            manifest = (folder / _MANIFEST).read_bytes()
            if manifest != _manifest(step, folder).encode():
                raise UnusableCheckpoint("its bytes do not match its checksum")
            with np.load(folder / _STATE) as state:
                return {key: state[key] for key in state.files}
        except FileNotFoundError as error:
            missing = pathlib.Path(error.filename).name
            raise UnusableCheckpoint(f"{missing} is missing") from error
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnusableCheckpoint(reason) from error

    def _tidy(self):
        self._remove_leftovers()
        for step in {*self.steps()} - {*self.usable()[-self.keep :]}:
            self._put_aside(step)
        self._remove_leftovers()

    def _put_aside(self, step):
        # Whoever is killed while it is removed leaves no half of it.
        os.rename(self.folder(step), self.path / f"{_ASIDE}{step}")

    def _remove_leftovers(self):
        for leftover in self.path.glob(f"{_PARTIAL}*"):
            shutil.rmtree(leftover)


def _manifest(step, folder):
    digest = file_digest(folder / _STATE)
    return json.dumps({"step": int(step), "sha256": digest})


def state_variables(model) -> list:
    """Variables of a model and its optimizer, each once."""
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
    return _unique([*model.variables, *model.optimizer.variables])


def metric_variables(model) -> list:
    """Variables of the metrics that exist by now, each once."""
    return _unique(v for metric in model.metrics for v in metric.variables)


def _unique(variables):
    return list({id(variable): variable for variable in variables}.values())


def assign(variables, arrays) -> None:
    """Assigns arrays to variables, all or, if any shape differs, none."""
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise UnusableCheckpoint("it belongs to another model")
    for variable, array in zip(variables, arrays):
        dtype = np.dtype(keras.backend.standardize_dtype(variable.dtype))
        variable.assign(array.view(dtype) if dtype.kind == "V" else array)


def named(prefix, variables) -> dict[str, np.ndarray]:
    """The values of variables by names that tell their order."""
    # Copies: training goes on while they are written.
    return {
        f"{prefix}-{index:05d}": np.asarray(variable).copy()
        for index, variable in enumerate(variables)
    }


def select(prefix, arrays) -> list[np.ndarray]:
    """The arrays that `named` was given, out of those of several prefixes."""
    return [arrays[key] for key in sorted(arrays) if key.startswith(prefix)]
