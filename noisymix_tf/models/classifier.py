"""Classifiers in files: Keras files, directories of runs, SavedModels."""

import atexit
import functools
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
import zipfile

from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.files import flush
from noisymix_tf.lazy import keras, tf
from noisymix_tf.models.unwrap import DIGITS, classifier_of
from noisymix_tf.places import at_home, is_address

# Where a SavedModel has what servers do not read.
EXTRA = "assets.extra"
_SAVED_MODEL, _RUN_MODEL = "saved_model.pb", "model.keras"
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
# Signatures by preference: floats first, since attacks need gradients.
_SIGNATURES = ("serving_float", "serve", "serving_default")
# Outputs by preference: probabilities are a softmax away from logits, and that
# way is not exact.
_OUTPUTS = ("logits", "probabilities")
_DAMAGED = "the file is damaged or cut short"
# Earliest date that a zip file can hold; and what in its JSON depends on when
# and in which process it was written.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_NO_SAVING_DATE = b'"date_saved": "1980-01-01@00:00:00"'
_DATE = re.compile(b'"date_saved": "[^"]*"')
_IDENTITY = re.compile(rb'("shared_object_id": )(\d+)')


def load_classifier(path) -> "keras.Model | SavedModel":
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
    return SavedModel(path) if path.is_dir() else classifier_of(read(path))


def locate(path) -> pathlib.Path:
    """The file, or the folder of a SavedModel, that a path leads to.

    Of what lies in a bucket it is a copy.
    """
    where, path = path, at_home(path)
    path = _fetched(path) if is_address(path) else pathlib.Path(path)
    why = "nothing is there"
    if path.is_file():
        if path.suffix in _KERAS_SUFFIXES:
            return path
        why = f"the file does not end in {', '.join(_KERAS_SUFFIXES)}"
    elif path.is_dir():
        if (path / _RUN_MODEL).is_file():
            return path / _RUN_MODEL
        if (path / _SAVED_MODEL).is_file():
            return path
        files = path.glob(f"*/{_SAVED_MODEL}")
        versions = [f.parent for f in files if is_version(f.parent)]
        if versions:
            return max(versions, key=lambda folder: int(folder.name))
        why = f"the folder holds neither {_RUN_MODEL} nor {_SAVED_MODEL}"
    raise UsageError(
        f"There is no model at {str(where)!r} ({why}): give a .keras file, the "
        "directory of a run, or a SavedModel."
    )


def is_version(path) -> bool:
    """Whether a server takes a folder of such a name for a version."""
    return path.name.isascii() and path.name.isdecimal()


@functools.cache
def _fetched(address):
    """A copy on this machine of a model, and of its card, in a bucket."""
    folder = tempfile.mkdtemp(prefix="noisymix-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # `pathlib` folds slashes.
    address = re.sub(":/+", "://", address.rstrip("/"), count=1)
    above, _, name = address.rpartition("/")
    gfile, source = tf.io.gfile, f"{address}/{_RUN_MODEL}"
    try:
        source = source if gfile.exists(source) else address
        if gfile.isdir(source):
            walk = gfile.walk(source)
            places = [f"{at}/{each}" for at, _, files in walk for each in files]
        else:  # And its card.
            places = gfile.glob(f"{os.path.splitext(source)[0]}.*")
        for place in places:
            copy = pathlib.Path(folder, place.removeprefix(f"{above}/"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            gfile.copy(place, copy)
    except tf.errors.OpError as error:
        raise UsageError(
            f"There is no model to be had at {address!r} "
            f"({one_line(error)}): copy it to this machine."
        ) from error
    return pathlib.Path(folder, name)


def read(path) -> "keras.Model":
    """Loads a Keras model, not compiled, from a file, or says why it cannot."""
    # Registers the layers that a model of ours may hold.
    from noisymix_tf import layers  # noqa: F401

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Whatever a damaged or foreign file leads to.
        why, advice = reason(path, error), "write it anew"
        if why != _DAMAGED:
            advice += ", or import the module of its own layers first"
        raise UsageError(
            f"The model {str(path)!r} cannot be loaded ({why}): {advice}."
        ) from error


def reason(path, error) -> str:
    """Why a Keras file could not be loaded, in one line."""
    path = pathlib.Path(path)
    # Of a file that was cut short Keras says that there is none.
    if path.suffix == ".keras" and path.is_file():
        try:
            with zipfile.ZipFile(path) as file:
                is_damaged = file.testzip() is not None
        except Exception:  # Whatever damage leads to.
            is_damaged = True
        if is_damaged:
            return _DAMAGED
    return one_line(error)[:200]


def write(model, path) -> None:
    """Saves a Keras model so that equal models give equal bytes.

    It is Keras' own file, but for the date, which is a constant, and for shared
    objects, which are numbered as they appear, not by their identities in this
    process. It has reached the disk on return.
    """
    path = pathlib.Path(path)
    raw = path.with_name(f".{path.stem}.raw.keras")
    try:
        model.save(raw)
        with zipfile.ZipFile(raw) as source, open(path, "wb") as file:
            with zipfile.ZipFile(file, "w") as target:
                for name in source.namelist():
                    entry = zipfile.ZipInfo(name, _NO_DATE)
                    entry.external_attr = 0o600 << 16
                    content = source.read(name)
                    if name == "metadata.json":
                        content = _DATE.sub(_NO_SAVING_DATE, content)
                    if name == "config.json":
                        content = _renumbered(content)
                    target.writestr(entry, content)
            flush(file)
    finally:
        raw.unlink(missing_ok=True)


def _renumbered(config):
    numbers = {}

    def number(match):
        return b"%s%d" % (match[1], numbers.setdefault(match[2], len(numbers)))

    return _IDENTITY.sub(number, config)


class SavedModel:
    """A signature of a SavedModel, in the form of a Keras model.

    A `UsageError` if none takes images and gives one output per class.

    Attributes:
        name: Path of the folder of `saved_model.pb`.
        signature, output: Names of what is called and what is taken of it.
        inputs: List of one `tf.TensorSpec`, `[None, H, W, C]`.
        ending: What the output is by its name, `"logits"` or
            `"probabilities"`; else None.
        fingerprint: Hash of its files.
    """

    def __init__(self, path):
        self.name = str(path)
        try:
            self._loaded = tf.saved_model.load(self.name)
        except Exception as error:  # Whatever a damaged file leads to.
            raise UsageError(
                f"The SavedModel {self.name!r} cannot be loaded "
                f"({reason(path, error)}): write it anew."
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
            if file.is_file() and EXTRA not in file.parts:
                digest.update(file.relative_to(folder).as_posix().encode())
                digest.update(file.read_bytes())
        self.fingerprint = digest.hexdigest()[:DIGITS]

    def _takes(self, function):
        """Whether it is a signature of a classifier; then it is taken."""
        arguments = function.structured_input_signature[1].items()
        outputs = function.structured_outputs
        known = [name for name in _OUTPUTS if name in outputs]
        found = known or [
            name
            for name, spec in outputs.items()
            if spec.shape.rank == 2 and spec.dtype.is_floating
        ]
        if len(arguments) != 1 or not (known or len(found) == 1):
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
