"""Write a saved classifier for TensorFlow Serving.

python -m noisymix_tf export --model=runs/quickstart --output_dir=models/digits
"""

import dataclasses

from noisymix_tf import places, run_folder
from noisymix_tf.commands import command
from noisymix_tf.data.options import TestDataConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.files import read_text
from noisymix_tf.options import AT_LEAST_1, POSITIVE, Options, Range, option
from noisymix_tf.progress import say

_SIZES = Range(lambda v: all(s >= 1 for s in v), "a list of numbers from 1 on")


@dataclasses.dataclass(frozen=True)
class FormConfig(Options):
    """What is written."""

    preprocess: str | None = option(
        None,
        "How encoded images come to size: resize256-crop224 (shorter side, "
        "then the centre), resize224 (both sides), crop224 or as_stored; by "
        "default as the run's images, else resizeS-cropS for a model of S x S.",
    )
    outputs: str = option(
        "auto",
        "What the model gives: logits, probabilities, or auto to find out.",
        choices=("auto", "logits", "probabilities"),
    )
    weights_dtype: str = option(
        "float32",
        "How kernels are stored: float32, float16 or bfloat16 (half the "
        "size). It computes as before.",
        choices=("float32", "float16", "bfloat16"),
    )
    batch_sizes: tuple[int, ...] = option(
        (),
        "Sizes of the batches that the server is to make, such as 1,8,32: "
        "they are warmed up and written to batching_params.pbtxt.",
        _SIZES,
    )
    temperature: bool = option(
        False,
        "Divide logits by the temperature in the model's card (see "
        "--temperature_examples of train), so that the probabilities that are "
        "served are calibrated.",
    )
    quantize: bool = option(
        False,
        "Also write a LiteRT (TFLite) model with 8-bit weights, if it loses "
        "at most one in a hundred of the images that the model has right; "
        "without labels, of those for which it says the same as the model.",
    )
    onnx: bool = option(
        False, 'Also write an ONNX model (pip install "noisymix_tf[onnx]").'
    )
    tolerance: float | None = option(
        None,
        "Largest accepted difference from the Keras model; by default 1e-5, "
        "or 1e-2 with weights or layers in float16, 5e-2 in bfloat16.",
        POSITIVE,
    )


@dataclasses.dataclass(frozen=True)
class CheckConfig(Options):
    """Which images the written model is compared with the Keras model on."""

    dataset: str | None = option(
        None, "Dataset of the test images; by default the run's, else noise."
    )
    data_dir: str | None = option(
        None, "Directory of the dataset; by default the run's."
    )
    image_size: int | None = option(
        None,
        "Size of the images of a folder, where no preprocess is given.",
        AT_LEAST_1,
    )


@dataclasses.dataclass(frozen=True)
class ExportConfig(FormConfig, CheckConfig):
    """What is exported, and where to."""

    model: str | None = option(
        None,
        "The classifier: a .keras file, or the directory of a run, on this "
        "machine or, with --weights=saved, in a bucket (gs://...).",
        address=True,
        first=True,
    )
    weights: str = option(
        "saved",
        "Of a run: saved (model.keras, which was evaluated), last (after the "
        "last step) or ema (their average), from its newest checkpoint, or "
        "best (best.keras, where a BestCheckpoint wrote it).",
        choices=("saved", "last", "ema", "best"),
        first=True,
    )
    output_dir: str | None = option(
        None,
        "Folder of the served model; its next free version is written.",
        first=True,
    )
    labels: str | None = option(
        None,
        "File with the name of each class, one a line; by default the names "
        "in the model's card, if any.",
    )
    report: str | None = option(
        None,
        "Directory of a report of noisymix_tf evaluate on this model, to be "
        "copied into the export with the test images that it shows.",
    )


# Datasets whose images come to size as a flag says.
_SIZED = ("folder", "imagenet")
# Images to count on, enough to tell one point; and to compare on.
_MEASURED, _COMPARED = 500, 16


@command("export", ExportConfig)
def run(config: ExportConfig):
    """Writes a `serving.Exported`, and prints what was compared."""
    if config.model is None:
        raise UsageError("--model is missing: give --model=PATH.")
    places.check_writable(config.output_dir, "versions of a model")
    from noisymix_tf.models.classifier import locate
    from noisymix_tf.serving import ExportMismatch, arguments
    from noisymix_tf.serving.saved_model import export

    names, path = None, config.model
    if config.labels is not None:
        advice = "give a text file with the name of each class, one a line."
        text = read_text(config.labels, f"--labels={config.labels}", advice)
        names = text.splitlines()
    if places.is_address(path) and config.weights == "saved":
        path = locate(path)
    source = model, card, _ = arguments.load(path, config.weights)
    form = config.arguments(FormConfig)
    form["weights"] = form.pop("weights_dtype")
    preprocess = form.pop("preprocess")
    form["temperature"] = _temperature(config, card)
    checks, origin = _checks(source, config, preprocess, config.quantize)
    if names is not None:
        checks["class_names"] = names
    say(f"Comparing on {origin}")
    how = {"card": card, "report": config.report, **checks, **form}
    try:
        exported = export(model, config.output_dir, **how)
    except ExportMismatch as error:
        raise UsageError(str(error)) from error
    print(_summary(exported, origin))
    return exported


def _temperature(config, card):
    if not config.temperature:
        return 1.0
    found = (card or {}).get("temperature")
    if not found and run_folder.from_card(config.model, "temperature", "value"):
        raise UsageError(
            f"--temperature was fitted to --weights=saved, not to --weights="
            f"{config.weights}: leave one out."
        )
    if not isinstance(found, dict):
        raise UsageError(
            f"--temperature: the card of {config.model} has none; train with "
            f"--temperature_examples, or leave it out."
        )
    return found["value"]


def _checks(source, given, preprocess, measure):
    """Options of `export` beside a model, and what they compare it on.

    That is test images of the given dataset, of the run's, or else noise.
    """
    from noisymix_tf.training import setup

    model, card, data = source
    told = (card or {}).get("dataset") or {}
    options = {name: told.get(name) for name in ("class_names", "preprocess")}
    given = given.arguments(CheckConfig).items()
    given = {name: value for name, value in given if value is not None}
    if "dataset" in given:
        data = TestDataConfig(**given)
    elif data is not None:
        data = dataclasses.replace(data, **given)
    elif given:
        raise UsageError(f"--{min(given)} is of a dataset: give --dataset.")
    if preprocess is not None and data and data.dataset in _SIZED:
        size = given.get("image_size")
        data = dataclasses.replace(data, preprocess=preprocess, image_size=size)
    origin = "noise"
    try:
        if data is not None:
            names = options["class_names"]
            dataset = setup.test_dataset(data, names)
            options |= _test_images(dataset, model, measure)
            options["class_names"] = names or options["class_names"]
            number = len(options["check_images"])
            origin = f"{number} test images of {data.dataset}"
    except UsageError as error:
        if given:
            raise
        origin = f"noise (not on the run's data: {error})"
    if preprocess is not None:
        options["preprocess"] = preprocess
    return options, origin


def _test_images(dataset, model, measure):
    from noisymix_tf import model_card
    from noisymix_tf.models.unwrap import classifier_of
    from noisymix_tf.serving import arguments

    number = _MEASURED if measure else _COMPARED
    # Every so many, because a folder has them class by class.
    step = max(1, len(dataset.test) // number)
    part = dataset.test.subset(range(len(dataset.test))[::step][:number])
    images, labels = next(part.batches(number))
    found = {"check_images": images}
    found["preprocess"] = model_card.preprocess_of(dataset)
    if dataset.num_classes == arguments.shapes(classifier_of(model))[1]:
        found |= {"check_labels": labels, "class_names": dataset.class_names}
    return found


def _summary(exported, origin):
    lines = ["Reloaded by a new process; largest difference from Keras:"]
    width = max(map(len, exported.differences))
    for name, difference in exported.differences.items():
        lines.append(f"  {name.ljust(width)}  {difference:.1e}")
    if exported.quantized is not None:
        measure, before, after, n, is_written = exported.quantized
        found = f"the same class as without for {after} of {n}"
        if measure == "accuracy":
            found = f"{after} of {n} right, {before} without"
        end = "" if is_written else ": too many lost, NOT written"
        lines.append(
            f"With 8-bit weights: {found} ({measure} on {origin}){end}"
        )
    if exported.onnx_difference is not None:
        gap = exported.onnx_difference
        lines.append(f"ONNX model: probabilities differ by at most {gap:.1e}")
    files = [p for p in exported.path.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files)
    lines.append(f"SavedModel: {exported.path} ({size / 1e6:.1f} MB)")
    return "\n".join(lines)
