"""Classifiers out of files: Keras files, directories of runs, SavedModels."""

import atexit
import functools
import hashlib
import os
import pathlib
import re
import shutil
import tempfile

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.models import keras_file
from noisymix_tf.models.fingerprint import DIGITS
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.places import is_address

_SAVED_MODEL, _RUN_MODEL = "saved_model.pb", "model.keras"
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
# Signatures by preference: floats first, since attacks need gradients.
_SIGNATURES = ("serving_float", "serve", "serving_default")
# Outputs by preference: probabilities are a softmax away from logits, and that
# way is not exact.
_OUTPUTS = ("logits", "probabilities")


def load_classifier(path):
    """Loads whatever classifier lies at a path.

    Args:
        path: A `.keras` (or `.h5`) file; the directory of a run, which holds
            `model.keras`; a SavedModel, or the folder above its versions, of
            which the newest is taken. It may lie in a bucket that TensorFlow
            can read, `gs://BUCKET/run`.

    Returns:
        A Keras model, or a `SavedModel`: what `noisymix_tf.evaluate` takes.

    Raises:
        UsageError: If there is no such file, or it is no classifier.
    """
    path = locate(path)
    if path.is_dir():
        return SavedModel(path)
    return classifier_of(keras_file.read(path))


def locate(path):
    """The file, or the folder of a SavedModel, that a path leads to.

    Of what lies in a bucket it is a copy.
    """
    where = path
    path = _fetched(os.fspath(path)) if is_address(path) else pathlib.Path(path)
    if not path.exists():
        raise UsageError(
            f"There is no model at {str(where)!r}: give a .keras file, the "
            "directory of a run, or a SavedModel."
        )
    if path.is_file():
        if path.suffix not in _KERAS_SUFFIXES:
            raise UsageError(
                f"{str(path)!r} is no model file: give one that ends in "
                f"{', '.join(_KERAS_SUFFIXES)}, or a directory."
            )
        return path
    if (path / _RUN_MODEL).is_file():
        return path / _RUN_MODEL
    if (path / _SAVED_MODEL).is_file():
        return path
    files = path.glob(f"*/{_SAVED_MODEL}")
    versions = [f.parent for f in files if f.parent.name.isdigit()]
    if not versions:
        raise UsageError(
            f"The directory {str(path)!r} holds neither {_RUN_MODEL} nor a "
            f"SavedModel ({_SAVED_MODEL}): give one that does."
        )
    return max(versions, key=lambda folder: int(folder.name))


@functools.cache
def _fetched(address):
    """A copy on this machine of a model, and of its card, in a bucket."""
    folder = tempfile.mkdtemp(prefix="noisymix-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # `pathlib` folds slashes.
    address = re.sub(":/+", "://", address.rstrip("/"), count=1)
    above, _, name = address.rpartition("/")
    gfile = tf.io.gfile
    try:
        is_run = gfile.exists(f"{address}/{_RUN_MODEL}")
        if gfile.isdir(address) and not is_run:
            walk = gfile.walk(address)
            places = [f"{at}/{each}" for at, _, files in walk for each in files]
        else:
            file = f"{address}/{_RUN_MODEL}" if is_run else address
            at, _, each = file.rpartition("/")
            # And its card.
            places = gfile.glob(f"{at}/{pathlib.PurePath(each).stem}.*")
        for place in places:
            copy = pathlib.Path(folder, place.removeprefix(f"{above}/"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            gfile.copy(place, copy)
    except tf.errors.OpError as error:
        why = (error.message.splitlines() or ["no reason given"])[0]
        raise UsageError(
            f"There is no model to be had at {address!r} ({why}): copy it to "
            f"this machine."
        ) from error
    return pathlib.Path(folder, name)


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
        signatures = self._loaded.signatures
        known = [name for name in _SIGNATURES if name in signatures]
        for self.signature in dict.fromkeys([*known, *sorted(signatures)]):
            if self._takes(signatures[self.signature]):
                break
        else:
            raise UsageError(
                f"No signature of the SavedModel {self.name!r} takes images "
                f"[N, H, W, C] and gives one output per class; it has "
                f"{', '.join(sorted(signatures)) or 'none'}: export it anew."
            )
        self.ending = self.output if self.output in _OUTPUTS else None
        digest, folder = hashlib.sha256(), pathlib.Path(path)
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "assets.extra" not in file.parts:
                digest.update(file.relative_to(folder).as_posix().encode())
                digest.update(file.read_bytes())
        self.fingerprint = digest.hexdigest()[:DIGITS]

    def _takes(self, function):
        """Whether it is a signature of a classifier; then it is taken."""
        arguments = function.structured_input_signature[1].items()
        outputs = function.structured_outputs
        floats = [
            name
            for name, spec in outputs.items()
            if spec.shape.rank == 2 and spec.dtype.is_floating
        ]
        found = [name for name in _OUTPUTS if name in outputs]
        if not found and len(floats) == 1:
            found = floats
        if len(arguments) != 1 or not found:
            return False
        ((self._argument, spec),) = arguments
        self._call, self.output, self.inputs = function, found[0], [spec]
        is_pixel = spec.dtype.is_floating or spec.dtype == tf.uint8
        return spec.shape.rank == 4 and is_pixel

    def __call__(self, images, training=False):
        """Outputs `[B, K]` of pixels 0..255 `[B, H, W, C]`."""
        (spec,) = self.inputs
        values = {self._argument: tf.cast(images, spec.dtype)}
        return self._call(**values)[self.output]
