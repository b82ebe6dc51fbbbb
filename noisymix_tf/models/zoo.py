"""The networks that are known by name, and their published PyTorch weights."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

import numpy as np

from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import keras
from noisymix_tf.models import applications
from noisymix_tf.models.averaging import normalisations
from noisymix_tf.options import BELOW_1, POSITIVE, Options, option
from noisymix_tf.registry import Registry


class _Networks(Registry):
    """What is registered, and the networks of Keras as `applications/NAME`."""

    def get(self, name):
        if name.startswith(applications.PREFIX):
            build = functools.partial(applications.build, name)
            return Architecture(build, taps=("auto",))
        try:
            return super().get(name)
        except UsageError as error:
            raise UsageError(
                f"{error} Those of Keras are called {applications.PREFIX}NAME."
            ) from None


MODELS = _Networks("model")


@dataclasses.dataclass(frozen=True)
class ModelConfig(Options):
    """Which network."""

    model: str = option(
        "preact_resnet18",
        "Network; applications/NAME is one of keras.applications, such as "
        "applications/EfficientNetV2B0, see weights.",
        choices=MODELS,
        first=True,
    )
    width: float = option(1.0, "Factor of the number of channels.", POSITIVE)
    dropout: float | None = option(
        None, "Dropout inside blocks; by default the network's own.", BELOW_1
    )
    precision: str = option(
        "float32",
        "What the network computes in: float32, mixed_bfloat16 or "
        "mixed_float16 (with a scaled loss). Weights, loss and measurements "
        "are float32 in any case.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An entry of the model registry.

    `build` takes the arguments of `noisymix_tf.models.build`, less the name;
    its defaults are the network's own. `torch_names` are those of the code
    bases that publish weights, `taps` the layers at whose output the reference
    mixes: the normalised input and the ends of the first three stages.
    """

    build: Callable
    torch_names: tuple["TorchNames", ...] = ()
    taps: tuple[str, ...] = ("normalize", "stage1", "stage2", "stage3")


def build(
    name, *, width=1.0, seed=0, sync_batch_norm=False, **options
) -> "keras.Model":
    """Builds a registered network.

    Two calls with the same arguments give equal weights, bit for bit, whatever
    else the process has done; Keras's global seed is neither used nor moved.

    Args:
        name: One of `MODELS.names()`, or `"applications/ResNet50"` and the
            like, which take `weights` but no constants, width or dropout; see
            `noisymix_tf.models.applications.build`.
        input_shape: `(height, width, channels)`; a side may be `None`.
        num_classes: Number of logits, at least 2.
        mean, std: Mean and deviation of each channel, or of all, for pixels
            scaled to 0..1.
        width: Multiplier of all channel counts; 0.25 makes a small network.
        dropout: Rate in [0, 1) of dropout inside the blocks.
        seed: Integer of at least 0, of the initial weights and the dropout.
        sync_batch_norm: Whether batch normalisation takes its statistics from
            the parts of a batch on all replicas of a `tf.distribute` strategy.

    What is `None` or left out is the network's own: `(224, 224, 3)`, 1000
    classes and ImageNet's mean and deviation for `"resnet50"`; `(32, 32, 3)`,
    10 classes and 0.5 for the others. Dropout is 0.1 for `"wide_resnet28_4"`,
    0 elsewhere.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]`, float32
        or uint8, to float32 logits `[N, num_classes]`. Its layer `"normalize"`
        puts out the normalised image, `"stage{i}"` the end of stage i.

    Raises a `UsageError` if the name or an argument cannot be used.

    >>> model = build("preact_resnet18", num_classes=100, width=0.25)
    >>> model(np.zeros([1, 32, 32, 3])).shape
    TensorShape([1, 100])
    """
    given = {key: value for key, value in options.items() if value is not None}
    network = MODELS.get(name)
    whole_number("num_classes", given.get("num_classes", 2), 2)
    try:
        model = network.build(width=width, seed=seed, **given)
    except TypeError as error:
        raise UsageError(
            f"{name!r} cannot be built with width={width!r} and {given} "
            f"({one_line(error)}): see noisymix_tf.models.build."
        ) from error
    return synchronized(model, sync_batch_norm)


def synchronized(model, is_wanted=True) -> "keras.Model":
    """The model; its batch normalisation is over all replicas' parts."""
    for layer in normalisations(model) if is_wanted else ():
        layer.synchronized = True
    return model


def default_taps(name) -> tuple[str, ...]:
    """Returns the layers at whose outputs the reference mixes this network."""
    return MODELS.get(name).taps


_IN_BLOCK = re.compile(r"stage(\d+)_block(\d+)_(\w+)")
# Parameter of a Keras layer -> PyTorch's name.
_AFFINE = {"kernel": "weight", "bias": "bias"}
_BATCH_NORM = {"gamma": "weight", "beta": "bias"}
_BATCH_NORM |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
_PARAMETERS = {"Conv2D": _AFFINE, "Dense": _AFFINE}
_PARAMETERS["BatchNormalization"] = _BATCH_NORM
# What wrappers put before the names of weights.
_PREFIXES = re.compile(r"^(module\.|model\.)+")
# Names of the constants that PyTorch models of pixels in 0..1 normalise with.
_CONSTANTS = {"mu": "mean", "normalize.mean": "mean"}
_CONSTANTS |= {"sigma": "std", "normalize.std": "std"}


@dataclasses.dataclass(frozen=True)
class TorchNames:
    """What the PyTorch code of some authors calls the layers of a network.

    `outside` leads from a layer outside the stages to PyTorch's module,
    `inside` from a part of a block, where the names differ; `block` is the
    format of a block's name, of its `stage` from 1 and its `index` from 0.

    >>> names = TorchNames({"stem": "conv1"}, inside={"shortcut": "skip"})
    >>> names.of("stem"), names.of("stage2_block1_shortcut")
    ('conv1', 'layer2.0.skip')
    """

    outside: Mapping[str, str]
    block: str = "layer{stage}.{index}"
    inside: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def of(self, layer) -> str | None:
        """Returns the module of a layer's name, `None` where there is none."""
        match = _IN_BLOCK.fullmatch(layer)
        if match is None:
            return self.outside.get(layer)
        stage, block, part = match.groups()
        prefix = self.block.format(stage=stage, index=int(block) - 1)
        return f"{prefix}.{self.inside.get(part, part)}"


def load_torch_weights(model, state_dict) -> None:
    """Sets the weights of a network of this package from a PyTorch one.

    Of all registered `Architecture.torch_names` those that fit best are taken.

    Args:
        model: A model that `build` made, or one saved and loaded.
        state_dict: Mapping from PyTorch parameter names to arrays (or CPU
            tensors) in PyTorch's layouts, or a checkpoint that holds one as
            `"state_dict"` or `"model_state_dict"`. A leading `"module."` or
            `"model."` is dropped and `num_batches_tracked` ignored. Constants
            of a normalisation inside the PyTorch model (`mu` and `sigma`, or
            `normalize.mean` and `normalize.std`) must be the model's own.

    An entry that is missing, left over or of another shape is a `UsageError`,
    as are other normalisations; the model is then unchanged. Example:
    `load_torch_weights(build("resnet50"), torch.load("resnet50.pth"))`.
    """
    state = _entries(state_dict)
    variables = _variables(model, state)
    _check_normalization(model, state)
    values = {}
    for key, variable in variables.items():
        if key not in state:
            raise UsageError(
                f"The PyTorch weights lack {key!r}, which {model.name!r} needs."
            )
        value = np.asarray(state.pop(key))
        # The axes of all but the kernels of convolutions are in reverse order.
        axes = (2, 3, 1, 0) if value.ndim == 4 else None
        values[key] = value = value.transpose(axes)
        if value.shape != tuple(variable.shape):
            raise UsageError(
                f"PyTorch weight {key!r} has shape {value.shape} in Keras's "
                f"layout, but {model.name!r} needs {tuple(variable.shape)}."
            )
    if state:
        raise UsageError(
            f"The PyTorch weights hold {min(state)!r}, "
            f"which {model.name!r} does not have ({len(state)} such entries)."
        )
    for key, value in values.items():
        variables[key].assign(value)


def _entries(state_dict):
    """The entries of a checkpoint without what wrappers add to them."""
    state = state_dict
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(state, Mapping) and wrapper in state:
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise UsageError(
            f"The PyTorch weights are a {type(state).__name__}; give a "
            "mapping from names to arrays, such as module.state_dict()."
        )
    return {
        _PREFIXES.sub("", key): value
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }


def _variables(model, state):
    """Variables by PyTorch's key, of the names that most entries go by."""
    layers = [layer for layer in model.layers if layer.weights]
    known = [n for _, entry in MODELS.items() for n in entry.torch_names]
    for layer in layers:
        known = [names for names in known if names.of(layer.name)]
        if not known or type(layer).__name__ not in _PARAMETERS:
            raise UsageError(
                f"Model {model.name!r} is not a registered network: "
                f"no PyTorch name is known for its layer {layer.name!r}."
            )
    found = [
        {
            f"{names.of(layer.name)}.{suffix}": variable
            for layer in layers
            for name, suffix in _PARAMETERS[type(layer).__name__].items()
            if (variable := getattr(layer, name)) is not None
        }
        for names in known
    ]
    return max(found, key=lambda variables: len(variables.keys() & state))


def _check_normalization(model, state):
    """Takes a PyTorch model's normalisation out of its state, and compares."""
    layer = model.get_layer("normalize")
    std = 1 / (255 * np.asarray(layer.scale))
    own = {"std": std, "mean": -np.asarray(layer.offset) * std}
    for key, what in _CONSTANTS.items():
        if key not in state:
            continue
        ours, theirs = own[what], np.ravel(np.asarray(state.pop(key)))
        fits = theirs.size in (1, ours.size)
        if not fits or not np.allclose(theirs, ours, rtol=0, atol=1e-4):
            raise UsageError(
                f"The PyTorch model normalises with {key} {_text(theirs)}, "
                f"{model.name!r} with {what} {_text(ours)}; build it with "
                f"{what}={_text(theirs)}."
            )


def _text(values):
    return f"({', '.join(f'{v:.4g}' for v in values)})"
