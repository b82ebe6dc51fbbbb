"""The configuration of a run.

Every field is a command-line flag of the same name (`command_line.py` makes
them); its default, help text and range are stated once, here.
"""

import dataclasses
from collections.abc import Callable

from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class _Range:
    """What values of a field are accepted, and the words for it."""

    accepts: Callable
    words: str


_POSITIVE = _Range(lambda v: v > 0, "greater than 0")
_AT_LEAST_0 = _Range(lambda v: v >= 0, "at least 0")
_AT_LEAST_1 = _Range(lambda v: v >= 1, "at least 1")
_SHARE = _Range(lambda v: 0 <= v <= 1, "in [0, 1]")
_MOMENTUM = _Range(lambda v: 0 <= v < 1, "in [0, 1)")
_SEVERITIES = _Range(
    lambda v: bool(v) and all(1 <= s <= 5 for s in v),
    "a list of numbers from 1 to 5",
)
_AUGMIX_SEVERITY = _Range(lambda v: 0.1 <= v <= 10, "from 0.1 to 10")
_NOT_EMPTY = _Range(bool, "a list of at least one")
_DEPTH = _Range(lambda v: v == -1 or v >= 1, "-1 (random 1..3) or at least 1")


def _field(
    default,
    help,
    *,
    range=None,
    choices=None,
    kind=None,
    item=str,
    free=False,
):
    """A field that becomes a flag.

    Args:
        default: Default value.
        help: Help text.
        range: `_Range` that given values must satisfy.
        choices: Accepted strings.
        kind: Type of the flag where the default is `None`.
        item: Type of the items of a tuple.
        free: Whether the flag may differ when a run is continued, because it
            does not change what is trained.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "range": range,
            "choices": choices,
            "kind": kind or type(default),
            "item": item,
            "free": free,
        },
    )


class _Group:
    """Checks the values of a group of fields against their ranges."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            accepted = field.metadata["range"]
            if value is None or accepted is None:
                continue
            if not accepted.accepts(value):
                raise UsageError(
                    f"--{field.name}={text(value)} must be {accepted.words}."
                )


@dataclasses.dataclass(frozen=True)
class DataConfig(_Group):
    """Which images, and the standard crop and flip."""

    dataset: str = _field(
        "digits", "Dataset: digits, cifar10, cifar100 or folder."
    )
    data_dir: str | None = _field(
        None,
        "Directory of prepared tensorflow-datasets (cifar10, cifar100), or of "
        "the images (folder: class-per-directory, with or without train/ and "
        "val/ above).",
        kind=str,
        free=True,
    )
    image_size: int | None = _field(
        None,
        "Resize the shorter side of images of a folder to this and crop the "
        "centre; without it all images must have one size.",
        kind=int,
        range=_AT_LEAST_1,
    )
    train_examples: int | None = _field(
        None,
        "Train on a class-balanced, deterministic subset of this size.",
        kind=int,
        range=_AT_LEAST_1,
    )
    test_examples: int | None = _field(
        None,
        "Evaluate on a class-balanced, deterministic subset of this size.",
        kind=int,
        range=_AT_LEAST_1,
    )
    crop_padding: int | None = _field(
        None,
        "Black pixels around the image from which a random crop is taken; by "
        "default the dataset's own (4).",
        kind=int,
        range=_AT_LEAST_0,
    )
    flip: bool | None = _field(
        None,
        "Flip half of the images left to right; by default the dataset's own "
        "(not for digits).",
        kind=bool,
    )


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Group):
    """Which network."""

    model: str = _field(
        "preact_resnet18",
        "Network: preact_resnet18, preact_wide_resnet18, wide_resnet28_4, "
        "wide_resnet40_2, resnet20, resnet56 or resnet50.",
    )
    width: float = _field(
        1.0, "Factor of the number of channels.", range=_POSITIVE
    )
    dropout: float | None = _field(
        None,
        "Dropout inside blocks; by default the network's own.",
        kind=float,
        range=_MOMENTUM,
    )


@dataclasses.dataclass(frozen=True)
class MethodConfig(_Group):
    """A training method: views x mixing x noise x stability."""

    method: str = _field(
        "custom",
        "Name of the method. On the command line, a known name reads its file "
        "in flags/method/; later flags override it.",
    )
    views: str = _field(
        "augmix",
        "Augmentation that makes the views: augmix or none.",
        choices=("augmix", "none"),
    )
    stability: str = _field(
        "jsd",
        "Stability term: jsd (a clean and two augmented views) or none (one "
        "view).",
        choices=("jsd", "none"),
    )
    jsd_weight: float = _field(
        12.0, "Weight of the Jensen-Shannon term.", range=_AT_LEAST_0
    )
    mixing: str = _field(
        "manifold",
        "Mixing of examples: manifold (at a random tap), input (at the first "
        "tap) or none.",
        choices=("manifold", "input", "none"),
    )
    taps: tuple[str, ...] = _field(
        ("auto",),
        "Layers where mixing and noise may happen, in the order of the data "
        "flow; auto: behind the normalisation and the first three stages.",
        range=_NOT_EMPTY,
    )
    alpha: float = _field(
        1.0,
        "Mixing coefficient ~ Beta(alpha, alpha); 0 means no mixing.",
        range=_AT_LEAST_0,
    )
    additive_noise: float = _field(
        0.5, "Level of additive noise.", range=_AT_LEAST_0
    )
    multiplicative_noise: float = _field(
        0.5, "Level of multiplicative noise.", range=_AT_LEAST_0
    )
    noise_sparsity: float = _field(
        0.65, "Share of entries without noise.", range=_SHARE
    )
    noise_per_view: tuple[float, ...] = _field(
        (1.0, 2.0, 3.0),
        "Factors of the additive level for the clean and the augmented views.",
        range=_NOT_EMPTY,
        item=float,
    )
    augmix_severity: float = _field(
        3.0, "Severity of AugMix's operations.", range=_AUGMIX_SEVERITY
    )
    augmix_width: int = _field(
        3, "Number of AugMix's augmentation chains.", range=_AT_LEAST_1
    )
    augmix_depth: int = _field(
        -1, "Operations in a chain; -1: random, 1 to 3.", range=_DEPTH
    )
    augmix_alpha: float = _field(
        1.0, "Concentration of AugMix's mixing weights.", range=_POSITIVE
    )
    augmix_all_ops: bool = _field(
        False,
        "Also use color, contrast, brightness and sharpness, which overlap "
        "with the corruptions of the evaluation.",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.stability == "jsd" and self.views == "none":
            raise UsageError(
                "--stability=jsd compares several views, and --views=none "
                "makes one; give --views=augmix or --stability=none."
            )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(_Group):
    """Stochastic gradient descent with a cosine schedule."""

    epochs: int = _field(200, "Epochs.", range=_AT_LEAST_1)
    batch_size: int = _field(
        128,
        "Images a step; each counts once for all its views.",
        range=_AT_LEAST_1,
    )
    learning_rate: float = _field(
        0.1, "Learning rate at the start.", range=_POSITIVE
    )
    final_learning_rate: float = _field(
        1e-6, "Learning rate at the end of the cosine.", range=_AT_LEAST_0
    )
    momentum: float = _field(0.9, "Momentum.", range=_MOMENTUM)
    nesterov: bool = _field(True, "Nesterov's momentum.")
    weight_decay: float = _field(
        5e-4, "Weight decay of all trainable variables.", range=_AT_LEAST_0
    )
    weight_decay_mode: str = _field(
        "l2",
        "l2: in the gradient, as the reference; decoupled: as in AdamW.",
        choices=("l2", "decoupled"),
    )


@dataclasses.dataclass(frozen=True)
class RunConfig(_Group):
    """Where a run writes, and how it is carried out."""

    output_dir: str | None = _field(
        None,
        "Directory of the run: checkpoints, metrics, report, models. An "
        "interrupted run is continued by the same command.",
        kind=str,
        free=True,
    )
    seed: int = _field(0, "Seed of everything random.")
    checkpoint_steps: int = _field(
        0,
        "Steps between checkpoints; 0: at the end of each epoch.",
        range=_AT_LEAST_0,
        free=True,
    )
    validation_epochs: int = _field(
        0,
        "Epochs between measurements of clean test accuracy; 0: only after "
        "training.",
        range=_AT_LEAST_0,
        free=True,
    )
    corruption_epochs: int = _field(
        0,
        "Epochs between measurements of accuracy on corrupted test images "
        "(1000 of them, severity 3), for the log; 0: only after training.",
        range=_AT_LEAST_0,
        free=True,
    )
    jit_compile: str = _field(
        "auto",
        "Compile the train step with XLA: true, false, or auto (on "
        "accelerators).",
        choices=("auto", "true", "false"),
    )
    deterministic: bool = _field(
        True, "Use deterministic kernels: the same flags, the same weights."
    )
    input_threads: int = _field(
        2,
        "Batches that the input pipeline prepares at the same time; 0: as "
        "tf.data sees fit.",
        range=_AT_LEAST_0,
        free=True,
    )
    tensorboard: bool = _field(
        True,
        "Write TensorBoard scalars and a picture of the views.",
        free=True,
    )
    progress: str = _field(
        "auto",
        "Progress: bar, lines (one for each epoch), none, or auto (a bar on a "
        "terminal).",
        choices=("auto", "bar", "lines", "none"),
        free=True,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(_Group):
    """What is measured after training."""

    suites: tuple[str, ...] = _field(
        ("clean", "c"),
        "Suites of the evaluation: clean, c (generated corruptions).",
        range=_NOT_EMPTY,
        free=True,
    )
    corruptions: tuple[str, ...] = _field(
        (), "Corruptions of suite c; by default all common ones.", free=True
    )
    severities: tuple[int, ...] = _field(
        (1, 2, 3, 4, 5),
        "Severities of suite c.",
        range=_SEVERITIES,
        item=int,
        free=True,
    )
    eval_batch_size: int = _field(
        250, "Images a batch of the evaluation.", range=_AT_LEAST_1, free=True
    )
    eval_seed: int = _field(0, "Seed of the generated corruptions.", free=True)
    export: bool = _field(
        True, "Write a SavedModel beside model.keras.", free=True
    )


GROUPS = {
    "data": DataConfig,
    "model": ModelConfig,
    "method": MethodConfig,
    "optimizer": OptimizerConfig,
    "run": RunConfig,
    "evaluation": EvaluationConfig,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig = RunConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def flags(self, *, with_free=True):
        """Effective flags by name, as they are written on a command line."""
        lines = {}
        for name, group in GROUPS.items():
            for field in dataclasses.fields(group):
                value = getattr(getattr(self, name), field.name)
                if with_free or not field.metadata["free"]:
                    lines[field.name] = _line(field.name, value)
        return lines


def text(value):
    """A value as it is written on a command line."""
    if isinstance(value, tuple | list):
        return ",".join(text(item) for item in value)
    return str(value)


def _line(name, value):
    if value is None:
        return None
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={text(value)}"
