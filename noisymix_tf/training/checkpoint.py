"""The state of a training run, saved and restored exactly.

A checkpoint holds every variable of the trainer and its optimizer, and the
running metrics of the epoch. `checkpoint_files` says how it lies on disk.
"""

import pathlib
import sys
from concurrent import futures

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.training import checkpoint_files as files


class CheckpointFolder:
    """Saves and restores the state of a compiled Keras model.

    Args:
        path: Folder of the checkpoints; created when first saved to.
        keep: How many of the newest checkpoints to keep, at least 1.

    Example:

    >>> checkpoints = CheckpointFolder("runs/a/checkpoints")
    >>> start_step, metrics = checkpoints.restore(trainer)
    >>> checkpoints.save(trainer, step=78)
    """

    def __init__(self, path, keep=2):
        if keep < 1:
            raise UsageError(
                f"keep={keep} must be at least 1: how many of the newest "
                f"checkpoints to keep."
            )
        self.path = pathlib.Path(path)
        self.keep = keep
        self._unusable = []
        self._thread = None
        self._writing = None

    def save(self, model, step, background=False):
        """Writes the checkpoint of a step; returns whether it does.

        A state with a value that is not finite is not worth keeping: nothing is
        written and the previous checkpoint stays the newest.

        Args:
            model: Compiled Keras model.
            step: The step that it has come to.
            background: Whether to copy the values only, and to leave the
                writing to a thread while training goes on. One checkpoint is
                written at a time: a second one waits for the first.

        Raises:
            OSError: The checkpoint cannot be written, or an earlier one could
                not be written in the background. What was there is untouched.
        """
        self.wait()
        state = _arrays("state", state_variables(model))
        state |= _arrays("metric", metric_variables(model))
        if not all(np.all(np.isfinite(value)) for value in state.values()):
            return False
        state = {name: _storable(value) for name, value in state.items()}
        if not background:
            self._write(step, state)
            return True
        if self._thread is None:
            self._thread = futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing = self._thread.submit(self._write, step, state)
        return True

    def wait(self):
        """Returns when nothing is being written any more.

        Raises:
            OSError: What was being written in the background failed.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def steps(self):
        """Steps of the checkpoints present, ascending."""
        return files.steps(self.path)

    def restore(self, model):
        """Loads the newest whole checkpoint into a compiled, built model.

        A checkpoint that is damaged or belongs to another model is named on
        the standard error, and the one before it is used.

        Returns:
            `(step, metrics)`: the step it was written at and the values of the
            running metrics, in the order of `metric_variables`; `(0, [])` if
            there is no checkpoint.

        Raises:
            UsageError: There are checkpoints, but none that can be used.
        """
        self.wait()
        self._unusable = []
        for step in reversed(self.steps()):
            try:
                arrays = files.read(self.path, step)
                assign(state_variables(model), _select("state", arrays))
            except (files.DamagedCheckpoint, _OtherModel) as error:
                reason = str(error)
                _say(f"Skipped checkpoint {self._name(step)}: {reason}.")
                self._unusable.append(step)
                continue
            if self._unusable:
                _say(f"Used the one before: {self._name(step)}.")
            return step, _select("metric", arrays)
        if self._unusable:
            raise UsageError(
                f"No checkpoint in {self.path} can be used (of the oldest: "
                f"{reason}): remove that folder to begin afresh, or name "
                f"another --output_dir."
            )
        return 0, []

    def tidy(self):
        """Removes what a killed process left: halves, and too many.

        For the one process that writes there.

        Raises:
            OSError: It cannot be removed.
        """
        self.wait()
        files.remove_leftovers(self.path)
        self._remove_oldest()

    def _write(self, step, state):
        files.write(self.path, step, state)
        # They would count among those that are kept.
        for damaged in set(self._unusable) & {*self.steps()} - {step}:
            files.remove(self.path, damaged)
        self._unusable = []
        self._remove_oldest()

    def _remove_oldest(self):
        for old in self.steps()[: -self.keep]:
            files.remove(self.path, old)

    def _name(self, step):
        return files.folder_of(self.path, step)


class _OtherModel(ValueError):
    """The arrays are not those of the model."""


def state_variables(model):
    """Variables of a model and its optimizer, each once."""
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
    return _unique([*model.variables, *model.optimizer.variables])


def metric_variables(model):
    """Variables of the metrics that exist by now, each once."""
    return _unique(v for metric in model.metrics for v in metric.variables)


def assign(variables, arrays):
    """Assigns arrays to variables of the same number and shapes.

    Raises:
        ValueError: Their number or shapes differ; nothing was assigned.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise _OtherModel("it belongs to another model")
    for variable, array in zip(variables, arrays):
        variable.assign(_restored(array, variable))


def _arrays(prefix, variables):
    # Copies: training goes on while they are written.
    return {
        f"{prefix}-{index:05d}": np.asarray(variable).copy()
        for index, variable in enumerate(variables)
    }


def _select(prefix, arrays):
    return [arrays[key] for key in sorted(arrays) if key.startswith(prefix)]


def _storable(array):
    """An array that NumPy's files can hold: bfloat16 as its bits."""
    if array.dtype.kind != "V":
        return array
    return array.view(f"u{array.dtype.itemsize}")


def _restored(array, variable):
    """What `_storable` was given."""
    dtype = np.dtype(keras.backend.standardize_dtype(variable.dtype))
    return array.view(dtype) if dtype.kind == "V" else array


def _unique(variables):
    return list({id(variable): variable for variable in variables}.values())


def _say(text):
    print(text, file=sys.stderr, flush=True)
