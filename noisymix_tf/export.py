"""Door: saved classifier -> SavedModel for TensorFlow Serving.

python -m noisymix_tf.export --model=runs/quickstart --output_dir=models/digits

Imported, the module can be called as the function that it shadows:
`noisymix_tf.export(model, path)`.
"""

import dataclasses
import pathlib
import sys

from noisymix_tf import command_line, doors, places
from noisymix_tf.config import TestDataConfig
from noisymix_tf.config.export import ExportConfig
from noisymix_tf.errors import UsageError

_USAGE = "python -m noisymix_tf.export --model=PATH --output_dir=DIR"
# Datasets whose images come to size as a flag says.
_SIZED = ("folder", "imagenet")
# Images to count on, enough to tell one point; and to compare on.
_MEASURED, _COMPARED = 500, 16


def main(argv):
    """Parses the command line and exports."""
    command_line.define_flags(config=ExportConfig)
    run(command_line.parse(argv, config=ExportConfig, usage=_USAGE))


def run(config):
    """Exports as a configuration says, and prints what was compared.

    Args:
        config: `noisymix_tf.config.export.ExportConfig`.

    Returns:
        The `Exported`.
    """
    for flag in ("model", "output_dir"):
        if getattr(config.source, flag) is None:
            raise UsageError(f"--{flag} is missing: {_USAGE}")
    places.check_writable(config.source.output_dir, "versions of a model")
    from noisymix_tf.models.classifier import locate
    from noisymix_tf.serving import ExportMismatch, sources
    from noisymix_tf.serving.saved_model import export

    names = _names(config.source.labels)
    path = config.source.model
    if places.is_address(path) and config.source.weights == "saved":
        path = locate(path)
    source = sources.load(path, config.source.weights)
    form = dict(vars(config.form))
    form["weights"] = form.pop("weights_dtype")
    checks, origin = _checks(
        source, config.check, form.pop("preprocess"), form["quantize"]
    )
    if names is not None:
        checks["class_names"] = names
    print(f"Comparing on {origin}", file=sys.stderr, flush=True)
    try:
        exported = export(
            source[0],
            config.source.output_dir,
            card=source[1],
            report=config.source.report,
            **checks,
            **form,
        )
    except ExportMismatch as error:
        raise UsageError(str(error)) from error
    print(_summary(exported, origin))
    return exported


def _checks(source, given, preprocess, measure):
    """Options of `export` beside a model, and what they compare it on.

    That is test images of the given dataset, of the run's, or else noise.
    """
    from noisymix_tf.training import setup

    model, card, config = source
    told = (card or {}).get("dataset") or {}
    options = {name: told.get(name) for name in ("class_names", "preprocess")}
    given = {k: v for k, v in vars(given).items() if v is not None}
    data, origin = config and config.data, "noise"
    if "dataset" in given:
        data = TestDataConfig(**given)
    elif data is not None:
        data = dataclasses.replace(data, **given)
    elif given:
        raise UsageError(f"--{min(given)} is of a dataset: give --dataset.")
    if preprocess is not None and data and data.dataset in _SIZED:
        data = dataclasses.replace(data, preprocess=preprocess, image_size=None)
    try:
        if data is not None:
            found = _test_images(setup.test_dataset(data), model, measure)
            options |= found
            number = len(found["check_images"])
            origin = f"{number} test images of {data.dataset}"
    except UsageError as error:
        if given:
            raise
        origin = f"noise (not on the run's data: {error})"
    if preprocess is not None:
        options["preprocess"] = preprocess
    return options, origin


def _test_images(dataset, model, measure):
    from noisymix_tf import provenance
    from noisymix_tf.models.unwrap import classifier_of
    from noisymix_tf.serving import arguments

    number = _MEASURED if measure else _COMPARED
    # Every so many, because a folder has them class by class.
    step = max(1, len(dataset.test) // number)
    part = dataset.test.subset(range(len(dataset.test))[::step][:number])
    images, labels = next(part.batches(number))
    found = {"check_images": images}
    found["preprocess"] = provenance.preprocess_of(dataset)
    if dataset.num_classes == arguments.shapes(classifier_of(model))[1]:
        found |= {"check_labels": labels, "class_names": dataset.class_names}
    return found


def _summary(exported, origin):
    lines = ["Reloaded by a new process; largest difference from Keras:"]
    width = max(map(len, exported.differences))
    for name, difference in exported.differences.items():
        lines.append(f"  {name.ljust(width)}  {difference:.1e}")
    if exported.quantized is not None:
        lines.append(_of_eight_bits(exported.quantized, origin))
    if exported.onnx_difference is not None:
        gap = exported.onnx_difference
        lines.append(f"ONNX model: probabilities differ by at most {gap:.1e}")
    files = [p for p in exported.path.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files)
    lines.append(f"SavedModel: {exported.path} ({size / 1e6:.1f} MB)")
    return "\n".join(lines)


def _of_eight_bits(quantized, origin):
    n, before, after = quantized.n, quantized.before, quantized.after
    if quantized.measure == "accuracy":
        found = f"{after} of {n} right, {before} without"
    else:
        found = f"the same class as without for {after} of {n}"
    end = "" if quantized.is_written else ": too few, NOT written"
    return f"With 8-bit weights: {found} ({quantized.measure} on {origin}){end}"


def _names(path):
    """Names of the classes out of a file, or None."""
    if path is None:
        return None
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(
            f"--labels={path} cannot be read ({reason}): give a text file "
            f"with the name of each class, one a line."
        ) from error


if __name__ == "__main__":
    doors.run(main)
else:
    doors.make_callable(__name__, "noisymix_tf.serving.saved_model", "export")
