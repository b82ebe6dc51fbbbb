"""The configuration of a run: all of its options."""

import dataclasses

from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.augment import VIEWS
from noisymix_tf.command_line import PluginOptions
from noisymix_tf.data.options import DataConfig
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.models import applications
from noisymix_tf.models.pretrained import PretrainedConfig
from noisymix_tf.models.zoo import ModelConfig
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    SEED,
    Options,
    option,
    with_parts,
)
from noisymix_tf.training.options import MethodConfig, OptimizerConfig
from noisymix_tf.training.tuning import TuningConfig


@dataclasses.dataclass(frozen=True)
class RunConfig(Options):
    """Where a run writes, and how it is carried out."""

    output_dir: str | None = option(
        None,
        "Directory of the run: checkpoints, metrics, report, models. An "
        "interrupted run is continued by the same command.",
        free=True,
        first=True,
    )
    extend: bool = option(
        False,
        "Go on with a run of fewer epochs, where the learning rate and the "
        "levels are those that a run of --epochs would have had.",
        free=True,
    )
    seed: int = option(0, "Seed of everything random.", SEED, first=True)
    strategy: str = option(
        "auto",
        "Devices: single, mirrored (all accelerators of this machine share "
        "every batch), multi_worker (all machines of TF_CONFIG), tpu, or auto "
        "(mirrored where there are several).",
        choices=("auto", "single", "mirrored", "multi_worker", "tpu"),
        free=True,
    )
    tpu: str | None = option(
        None,
        "With strategy tpu: the TPU's name or address; local on a TPU VM.",
        free=True,
        address=True,
    )
    sync_batch_norm: bool = option(
        False,
        "Batch normalisation over the whole batch, not over each device's "
        "part of it.",
    )
    data_service: str | None = option(
        None,
        "Address of a tf.data service, grpc://HOST:PORT, whose workers make "
        "the batches; see python -m noisymix_tf data-service.",
        free=True,
        address=True,
    )
    checkpoint_steps: int = option(
        0,
        "Steps between checkpoints; 0: at the end of each epoch.",
        AT_LEAST_0,
        free=True,
    )
    keep_checkpoints: int = option(
        2,
        "Newest checkpoints that are kept; where one is damaged, the one "
        "before it is used.",
        AT_LEAST_1,
        free=True,
    )
    validation_epochs: int = option(
        0,
        "Epochs between measurements of clean test accuracy; 0: only after "
        "training.",
        AT_LEAST_0,
        free=True,
    )
    corruption_epochs: int = option(
        0,
        "Epochs between measurements of accuracy on corrupted test images "
        "(1000 of them, severity 3), for the log; 0: only after training.",
        AT_LEAST_0,
        free=True,
    )
    jit_compile: str = option(
        "auto",
        "Compile the train step with XLA: true, false, or auto (on one "
        "accelerator with --nodeterministic; some operations have no "
        "deterministic form in XLA on a GPU).",
        choices=("auto", "true", "false"),
    )
    augment_on: str = option(
        "host",
        "Where views are made: host (by the input pipeline) or device (in the "
        "train step, where a host cannot feed its accelerators). The same "
        "views.",
        choices=("host", "device"),
    )
    input: str = option(
        "host",
        "Where the training images are: host (read and decoded by the input "
        "pipeline) or device (all of them live there, for datasets in memory; "
        "views are made there too). The same batches.",
        choices=("host", "device"),
    )
    deterministic: bool = option(
        True, "Use deterministic kernels: the same flags, the same weights."
    )
    input_threads: int = option(
        0,
        "Threads that read, decode and augment images; 0: all cores.",
        AT_LEAST_0,
        free=True,
    )
    tensorboard: bool = option(
        True, "Write TensorBoard scalars and a picture of the views.", free=True
    )
    progress: str = option(
        "auto",
        "Progress: bar, lines (one for each epoch), none, or auto (a bar on a "
        "terminal).",
        choices=("auto", "bar", "lines", "none"),
        free=True,
    )
    export: bool = option(
        True, "Write a SavedModel beside model.keras.", free=True
    )


@dataclasses.dataclass(frozen=True)
class _Methods(MethodConfig):
    PARTS = (VIEWS, MIXINGS, ADVERSARIES)

    def __post_init__(self):
        super().__post_init__()
        # Their mistakes, before anything is loaded.
        for registry in self.PARTS:
            self.built(registry, getattr(self, registry.kind))


@dataclasses.dataclass(frozen=True)
class Config(
    DataConfig,
    ModelConfig,
    PretrainedConfig,
    with_parts(_Methods),
    OptimizerConfig,
    TuningConfig,
    RunConfig,
    PluginOptions,
    EvaluationConfig,
):
    """Everything that determines a run."""

    @property
    def network(self) -> str:
        """What is trained, in words."""
        if self.model.startswith(applications.PREFIX):
            return f"{self.model}, weights {self.weights}"
        return self.init or self.model
