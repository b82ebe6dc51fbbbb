"""Where a model comes from, as values of JSON: the fields of a model card."""

import collections.abc
import importlib.metadata
import numbers
import os
import platform

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf
from noisymix_tf.models.fingerprint import model_fingerprint
from noisymix_tf.models.unwrap import classifier_of, step_of
from noisymix_tf.version import __version__

# More class names than this would be most of a card.
_MAX_CLASS_NAMES = 1000
# What `get_config` says of every Keras layer.
_OF_ANY_LAYER = ("model", "name", "trainable", "dtype")
# Constants of layers: x * scale + offset, (x - mean) / sqrt(variance).
_NORMALIZING = {
    "Rescaling": ("scale", "offset"),
    "Normalization": ("mean", "variance"),
}


def versions():
    """Versions of everything that takes part, `{name: version or None}`."""
    return {
        "noisymix_tf": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "keras-cv": _installed("keras-cv"),
        "tensorflow-datasets": _installed("tensorflow-datasets"),
    }


def of_model(model):
    """What a built model or `NoisyMix` is, and how it was trained.

    `training` is `None` for one that is not compiled.
    """
    classifier = classifier_of(model)
    if not getattr(classifier, "built", False):
        raise UsageError(
            f"{getattr(model, 'name', model)!r} is no built Keras model: give "
            f"a model that has seen its first batch."
        )
    inputs = getattr(classifier, "inputs", None) or ()
    outputs = getattr(classifier, "outputs", None) or ()
    training = None
    if getattr(model, "compiled", False):
        training = {
            "steps": step_of(model),
            "optimizer": plain(model.optimizer),
            "loss": plain(model.loss),
        }
        if classifier is not model:
            config = model.get_config().items()
            config = {k: v for k, v in config if k not in _OF_ANY_LAYER}
            training |= {"method": "NoisyMix", "hyperparameters": plain(config)}
    words = "The model has no layer that normalises pixels."
    if normalisation(classifier):
        words = (
            "Takes pixels 0..255 as they are; they are normalised inside the "
            "model."
        )
    return {
        "versions": versions(),
        "preprocessing": words,
        "training": training,
        "model": {
            "name": classifier.name,
            "class": type(classifier).__name__,
            "input_shape": list(inputs[0].shape[1:]) if inputs else None,
            "num_classes": outputs[0].shape[-1] if outputs else None,
            "parameters": classifier.count_params(),
            "fingerprint": model_fingerprint(classifier),
        },
    }


def of_dataset(dataset):
    """A `noisymix_tf.data.Dataset`, a name, or fields of the user's own."""
    if dataset is None or isinstance(dataset, collections.abc.Mapping):
        return plain(dataset)
    if isinstance(dataset, str):
        return {"name": dataset}
    fields = {
        "name": dataset.name,
        "train_examples": len(dataset.train),
        "test_examples": len(dataset.test),
        "image_shape": dataset.image_shape,
        "num_classes": dataset.num_classes,
    }
    if dataset.num_classes <= _MAX_CLASS_NAMES:
        fields["class_names"] = dataset.class_names
    if preprocess_of(dataset) is not None:
        fields["preprocess"] = str(preprocess_of(dataset))
    return plain(fields)


def preprocess_of(dataset):
    """How its test images came to size; None where they are as stored."""
    rule = getattr(dataset.test, "preprocess", None)
    return rule if rule and rule.side is not None else None


def of_flags(flags):
    """Flags as written on a command line, or as a dict; or a `Config`."""
    if hasattr(flags, "flags"):
        flags = [line for line in flags.flags().values() if line is not None]
    return plain(flags)


def of_metrics(metrics):
    """Figures of `Results` by section, with the images; of a dict itself."""
    if metrics is None or isinstance(metrics, collections.abc.Mapping):
        return plain(metrics)
    sections = {}
    for section in metrics.report.sections:
        # Seconds are about the machine, not the model.
        shown = [f for f in section.figures if f.kind != "seconds"]
        if shown:
            sections[section.name] = {
                **{figure.key: figure.value for figure in shown},
                "n": section.n,
                "source": section.source,
                "origin": section.origin,
                **({"notes": section.notes} if section.notes else {}),
            }
    return plain(sections)


def plain(value):
    """A value as JSON has it: Keras objects by class, inf and nan as words."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        value = float(value)
        if not np.isfinite(value):
            return str(value)
        # Without the digits that float32 put there.
        single = np.float32(value)
        return float(str(single)) if float(single) == value else value
    if isinstance(value, collections.abc.Mapping):
        if value.get("class_name") == "function":
            return value["config"]
        if {"class_name", "config"} <= value.keys():
            value = {"class": value["class_name"], **(value["config"] or {})}
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {"class": type(value).__name__, **plain(value.get_config())}
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    # Not `repr`, which may name an address.
    return getattr(value, "__name__", type(value).__name__)


def normalisation(classifier):
    """The layers that normalise pixels, each with its constants, as JSON."""
    return [
        {"layer": layer.name, "class": kind}
        | {
            name: np.asarray(getattr(layer, name)).ravel().tolist()
            for name in _NORMALIZING[kind]
        }
        for layer in classifier._flatten_layers(include_self=False)
        if (kind := type(layer).__name__) in _NORMALIZING
    ]


def _installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
