"""Classifiers out of files: Keras files, directories of runs, SavedModels."""

import hashlib
import pathlib

import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local
from noisymix_tf.training import keras_file
from noisymix_tf.training.unwrap import classifier_of

_SAVED_MODEL = "saved_model.pb"
_RUN_MODEL = "model.keras"
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
# Signatures by preference: floats first, since attacks need gradients.
_SIGNATURES = ("serving_float", "serve", "serving_default")
# Outputs by preference: probabilities are a softmax away from logits, and that
# way is not exact.
_OUTPUTS = ("logits", "probabilities")
_DIGITS = 16


def load_classifier(path):
    """Loads whatever classifier lies at a path.

    Args:
        path: A `.keras` (or `.h5`) file; the directory of a run, which holds
            `model.keras`; a SavedModel, or the folder above its versions, of
            which the newest is taken.

    Returns:
        A Keras model, or a `SavedModel`: what `noisymix_tf.evaluate` takes.

    Raises:
        UsageError: If there is no such file, or it is no classifier.

    Example:

    >>> model = load_classifier("runs/quickstart")
    >>> evaluate(model, data.load("digits"))
    """
    path = locate(path)
    if path.is_dir():
        return SavedModel(path)
    return classifier_of(keras_file.read(path))


def locate(path):
    """The file, or the folder of a SavedModel, that a path leads to.

    Args:
        path: As in `load_classifier`.

    Returns:
        `pathlib.Path`.

    Raises:
        UsageError: If there is none.
    """
    check_local(path=path)
    path = pathlib.Path(path)
    if not path.exists():
        raise UsageError(
            f"There is no model at {str(path)!r}: give a .keras file, the "
            "directory of a run, or a SavedModel."
        )
    if path.is_dir():
        if (path / _RUN_MODEL).is_file():
            return path / _RUN_MODEL
        return _saved_model_folder(path)
    if path.suffix not in _KERAS_SUFFIXES:
        raise UsageError(
            f"{str(path)!r} is no model file: give one that ends in "
            f"{', '.join(_KERAS_SUFFIXES)}, or a directory."
        )
    return path


class SavedModel:
    """A signature of a SavedModel, in the form of a Keras model.

    Args:
        path: Folder of `saved_model.pb`.

    Attributes:
        name: Its path.
        signature: Name of the signature that is called.
        output: Name of the output that is taken.
        inputs: List of one `tf.TensorSpec`, `[None, H, W, C]`.
        ending: What the output is by its name, `"logits"` or
            `"probabilities"`; else None.
        fingerprint: Hash of its files.

    Raises:
        UsageError: If no signature takes images and gives one output per class.
    """

    def __init__(self, path):
        self.name = str(path)
        try:
            self._loaded = tf.saved_model.load(self.name)
        except Exception as error:  # Whatever a damaged file leads to.
            raise UsageError(
                f"The SavedModel {self.name!r} cannot be loaded "
                f"({keras_file.reason(path, error)}): write it anew."
            ) from error
        self.signature, self._call, argument, self.output = _pick(
            self.name, dict(self._loaded.signatures)
        )
        self._argument, spec = argument
        self.inputs = [spec]
        self.ending = self.output if self.output in _OUTPUTS else None
        self.fingerprint = _hash_of_files(pathlib.Path(path))

    def __call__(self, images, training=False):
        """Outputs `[B, K]` of pixels 0..255 `[B, H, W, C]`."""
        (spec,) = self.inputs
        values = {self._argument: tf.cast(images, spec.dtype)}
        return self._call(**values)[self.output]


def _saved_model_folder(path):
    if (path / _SAVED_MODEL).is_file():
        return path
    versions = [
        folder
        for folder in path.iterdir()
        if folder.name.isdigit() and (folder / _SAVED_MODEL).is_file()
    ]
    if not versions:
        raise UsageError(
            f"The directory {str(path)!r} holds neither {_RUN_MODEL} nor a "
            f"SavedModel ({_SAVED_MODEL}): give one that does."
        )
    return max(versions, key=lambda folder: int(folder.name))


def _pick(name, signatures):
    """The best signature: `(its name, function, argument, output's name)`."""
    order = [s for s in _SIGNATURES if s in signatures]
    order += [s for s in sorted(signatures) if s not in order]
    for signature in order:
        function = signatures[signature]
        arguments = function.structured_input_signature[1]
        outputs = function.structured_outputs
        if len(arguments) != 1:
            continue
        ((argument, spec),) = arguments.items()
        images = spec.shape.rank == 4 and (
            spec.dtype.is_floating or spec.dtype == tf.uint8
        )
        output = _output(outputs)
        if images and output is not None:
            return signature, function, (argument, spec), output
    raise UsageError(
        f"No signature of the SavedModel {name!r} takes images [N, H, W, C] "
        f"and gives one output per class; it has "
        f"{', '.join(sorted(signatures)) or 'none'}: export it anew."
    )


def _output(outputs):
    for name in _OUTPUTS:
        if name in outputs:
            return name
    floats = [
        name
        for name, spec in outputs.items()
        if spec.shape.rank == 2 and spec.dtype.is_floating
    ]
    return floats[0] if len(floats) == 1 else None


def _hash_of_files(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "assets.extra" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGITS]
