"""Checkpoints that are either whole or not there.

A checkpoint is a folder `step-00000123` with `state.npz` (every variable of the
trainer and its optimizer, and the running metrics of the epoch) and
`manifest.json` (step and SHA-256).
It is written under another name, flushed to disk, and renamed; what a killed
process leaves half-written never has the final name. A checkpoint whose bytes
do not match its manifest is reported and skipped.
"""

import hashlib
import json
import os
import pathlib
import shutil
import warnings

import numpy as np

_PREFIX = "step-"
_PARTIAL = ".partial-"
_STATE = "state.npz"
_MANIFEST = "manifest.json"


class CheckpointFolder:
    """Saves and restores the state of a compiled Keras model.

    Args:
        path: Folder of the checkpoints; created when first saved to.
        keep: How many of the newest checkpoints to keep.

    Example:

    >>> checkpoints = CheckpointFolder("runs/a/checkpoints")
    >>> start_step, metrics = checkpoints.restore(trainer)
    >>> checkpoints.save(trainer, step=78)
    """

    def __init__(self, path, keep=2):
        self.path = pathlib.Path(path)
        self.keep = keep

    def save(self, model, step):
        """Writes the checkpoint of a step; returns whether it did.

        A state with a value that is not finite is not worth keeping: nothing is
        written and the previous checkpoint stays the newest.
        """
        state = _arrays("state", state_variables(model))
        state |= _arrays("metric", metric_variables(model))
        if not all(np.all(np.isfinite(value)) for value in state.values()):
            return False
        self.path.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.glob(f"{_PARTIAL}*"):
            shutil.rmtree(leftover)
        partial = self.path / f"{_PARTIAL}{step}"
        partial.mkdir()
        with open(partial / _STATE, "wb") as file:
            np.savez(file, **state)
            flush(file)
        manifest = {"step": int(step), "sha256": file_digest(partial / _STATE)}
        with open(partial / _MANIFEST, "w") as file:
            json.dump(manifest, file)
            flush(file)
        final = self.path / f"{_PREFIX}{step:08d}"
        if final.exists():
            shutil.rmtree(final)
        os.rename(partial, final)
        flush_folder(self.path)
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.path / f"{_PREFIX}{old:08d}")
        return True

    def steps(self):
        """Steps of the checkpoints present, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name.removeprefix(_PREFIX))
            for entry in self.path.iterdir()
            if entry.name.startswith(_PREFIX)
        )

    def restore(self, model):
        """Loads the newest whole checkpoint into a compiled, built model.

        Returns:
            `(step, metrics)`: the step it was written at and the values of the
            running metrics, in the order of `metric_variables`; `(0, [])` if
            there is no checkpoint.
        """
        for step in reversed(self.steps()):
            folder = self.path / f"{_PREFIX}{step:08d}"
            try:
                manifest = json.loads((folder / _MANIFEST).read_text())
                if manifest["sha256"] != file_digest(folder / _STATE):
                    raise ValueError("its contents do not match its checksum")
                with np.load(folder / _STATE) as state:
                    arrays = {key: state[key] for key in state.files}
            except (OSError, ValueError, KeyError) as error:
                warnings.warn(
                    f"Skipped checkpoint {folder}: {error}", stacklevel=2
                )
                continue
            assign(state_variables(model), _select("state", arrays))
            return step, _select("metric", arrays)
        return 0, []


def state_variables(model):
    """Variables of a model and its optimizer, each once."""
    model.optimizer.build(model.trainable_variables)
    return _unique([*model.variables, *model.optimizer.variables])


def metric_variables(model):
    """Variables of the metrics that exist by now, each once."""
    return _unique(v for metric in model.metrics for v in metric.variables)


def assign(variables, arrays):
    """Assigns arrays to variables of the same number and shapes."""
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise ValueError("The checkpoint belongs to another model.")
    for variable, array in zip(variables, arrays):
        variable.assign(array)


def _arrays(prefix, variables):
    return {
        f"{prefix}-{index:05d}": np.asarray(variable)
        for index, variable in enumerate(variables)
    }


def _select(prefix, arrays):
    return [arrays[key] for key in sorted(arrays) if key.startswith(prefix)]


def _unique(variables):
    return list({id(variable): variable for variable in variables}.values())


def file_digest(path):
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(file):
    """Returns when what was written to an open file has reached the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(path):
    """Returns when the names of a folder's files have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
