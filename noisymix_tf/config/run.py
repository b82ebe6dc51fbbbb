"""Flags of where and how a run is carried out."""

import dataclasses

from noisymix_tf.config.fields import AT_LEAST_0, AT_LEAST_1, SEED, Group, field


@dataclasses.dataclass(frozen=True)
class RunConfig(Group):
    """Where a run writes, and how it is carried out."""

    output_dir: str | None = field(
        None,
        "Directory of the run: checkpoints, metrics, report, models. An "
        "interrupted run is continued by the same command.",
        kind=str,
        free=True,
    )
    extend: bool = field(
        False,
        "Go on with a run of fewer epochs, where the learning rate and the "
        "levels are those that a run of --epochs would have had.",
        free=True,
    )
    seed: int = field(0, "Seed of everything random.", range=SEED)
    strategy: str = field(
        "auto",
        "Devices: single, mirrored (all accelerators of this machine share "
        "every batch), multi_worker (all machines of TF_CONFIG), tpu, or auto "
        "(mirrored where there are several).",
        choices=("auto", "single", "mirrored", "multi_worker", "tpu"),
        free=True,
    )
    tpu: str | None = field(
        None,
        "With strategy tpu: the TPU's name or address; local on a TPU VM.",
        kind=str,
        free=True,
        address=True,
    )
    sync_batch_norm: bool = field(
        False,
        "Batch normalisation over the whole batch, not over each device's "
        "part of it.",
    )
    data_service: str | None = field(
        None,
        "Address of a tf.data service, grpc://HOST:PORT, whose workers make "
        "the batches; see python -m noisymix_tf.data_service.",
        kind=str,
        free=True,
        address=True,
    )
    checkpoint_steps: int = field(
        0,
        "Steps between checkpoints; 0: at the end of each epoch.",
        range=AT_LEAST_0,
        free=True,
    )
    keep_checkpoints: int = field(
        2,
        "Newest checkpoints that are kept; where one is damaged, the one "
        "before it is used.",
        range=AT_LEAST_1,
        free=True,
    )
    validation_epochs: int = field(
        0,
        "Epochs between measurements of clean test accuracy; 0: only after "
        "training.",
        range=AT_LEAST_0,
        free=True,
    )
    corruption_epochs: int = field(
        0,
        "Epochs between measurements of accuracy on corrupted test images "
        "(1000 of them, severity 3), for the log; 0: only after training.",
        range=AT_LEAST_0,
        free=True,
    )
    jit_compile: str = field(
        "auto",
        "Compile the train step with XLA: true, false, or auto (on one "
        "accelerator with --nodeterministic; some operations have no "
        "deterministic form in XLA on a GPU).",
        choices=("auto", "true", "false"),
    )
    augment_on: str = field(
        "host",
        "Where views are made: host (by the input pipeline) or device (in the "
        "train step, where a host cannot feed its accelerators). The same "
        "views.",
        choices=("host", "device"),
    )
    input: str = field(
        "host",
        "Where the training images are: host (read and decoded by the input "
        "pipeline) or device (all of them live there, for datasets in memory; "
        "views are made there too). The same batches.",
        choices=("host", "device"),
    )
    deterministic: bool = field(
        True, "Use deterministic kernels: the same flags, the same weights."
    )
    input_threads: int = field(
        0,
        "Threads that read, decode and augment images; 0: all cores.",
        range=AT_LEAST_0,
        free=True,
    )
    tensorboard: bool = field(
        True, "Write TensorBoard scalars and a picture of the views.", free=True
    )
    progress: str = field(
        "auto",
        "Progress: bar, lines (one for each epoch), none, or auto (a bar on a "
        "terminal).",
        choices=("auto", "bar", "lines", "none"),
        free=True,
    )
    export: bool = field(
        True, "Write a SavedModel beside model.keras.", free=True
    )
