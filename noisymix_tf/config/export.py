"""Flags of an export."""

import dataclasses

from noisymix_tf.config.fields import AT_LEAST_1, POSITIVE, Group, Range, field

_SIZES = Range(lambda v: all(s >= 1 for s in v), "a list of numbers from 1 on")


@dataclasses.dataclass(frozen=True)
class SourceConfig(Group):
    """What is exported, and where to."""

    model: str | None = field(
        None,
        "The classifier: a .keras file, or the directory of a run, on this "
        "machine or, with --weights=saved, in a bucket (gs://...).",
        kind=str,
        address=True,
    )
    weights: str = field(
        "saved",
        "Of a run: saved (model.keras, which was evaluated), last (after the "
        "last step) or ema (their average), from its newest checkpoint, or "
        "best (best.keras, where a BestCheckpoint wrote it).",
        choices=("saved", "last", "ema", "best"),
    )
    output_dir: str | None = field(
        None,
        "Folder of the served model; its next free version is written.",
        kind=str,
    )
    labels: str | None = field(
        None,
        "File with the name of each class, one a line; by default the names "
        "in the model's card, if any.",
        kind=str,
    )
    report: str | None = field(
        None,
        "Directory of a report of noisymix_tf.evaluate on this model, to be "
        "copied into the export with the test images that it shows.",
        kind=str,
    )


@dataclasses.dataclass(frozen=True)
class FormConfig(Group):
    """What is written."""

    preprocess: str | None = field(
        None,
        "How encoded images come to size: resize256-crop224 (shorter side, "
        "then the centre), resize224 (both sides), crop224 or as_stored; by "
        "default as the run's images, else resizeS-cropS for a model of S x S.",
        kind=str,
    )
    outputs: str = field(
        "auto",
        "What the model gives: logits, probabilities, or auto to find out.",
        choices=("auto", "logits", "probabilities"),
    )
    weights_dtype: str = field(
        "float32",
        "How kernels are stored: float32, float16 or bfloat16 (half the "
        "size). It computes as before.",
        choices=("float32", "float16", "bfloat16"),
    )
    batch_sizes: tuple = field(
        (),
        "Sizes of the batches that the server is to make, such as 1,8,32: "
        "they are warmed up and written to batching_params.pbtxt.",
        item=int,
        range=_SIZES,
    )
    quantize: bool = field(
        False,
        "Also write a LiteRT (TFLite) model with 8-bit weights, if it loses "
        "at most one in a hundred of the images that the model has right; "
        "without labels, of those for which it says the same as the model.",
    )
    onnx: bool = field(
        False, 'Also write an ONNX model (pip install "noisymix_tf[onnx]").'
    )
    tolerance: float | None = field(
        None,
        "Largest accepted difference from the Keras model; by default 1e-5, "
        "or 1e-2 with weights or layers in float16, 5e-2 in bfloat16.",
        kind=float,
        range=POSITIVE,
    )


@dataclasses.dataclass(frozen=True)
class CheckConfig(Group):
    """Which images the written model is compared with the Keras model on."""

    dataset: str | None = field(
        None,
        "Dataset of the test images; by default the run's, else noise.",
        kind=str,
    )
    data_dir: str | None = field(
        None, "Directory of the dataset; by default the run's.", kind=str
    )
    image_size: int | None = field(
        None,
        "Size of the images of a folder, where no preprocess is given.",
        kind=int,
        range=AT_LEAST_1,
    )


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Everything that determines an export."""

    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    form: FormConfig = dataclasses.field(default_factory=FormConfig)
    check: CheckConfig = dataclasses.field(default_factory=CheckConfig)
