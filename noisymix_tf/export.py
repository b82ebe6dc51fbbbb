"""Door: saved classifier -> SavedModel for TensorFlow Serving.

python -m noisymix_tf.export --model=runs/quickstart --output_dir=models/digits

Imported, the module can be called as the function that it shadows:
`noisymix_tf.export(model, path)`.
"""

import pathlib
import sys

from noisymix_tf import command_line, doors, places
from noisymix_tf.config.export import ExportConfig
from noisymix_tf.errors import UsageError

_USAGE = "python -m noisymix_tf.export --model=PATH --output_dir=DIR"


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
    from noisymix_tf.serving import ExportMismatch, check_images, sources
    from noisymix_tf.serving.saved_model import export

    names = _names(config.source.labels)
    source = sources.load(config.source.model, config.source.weights)
    checked = check_images.choose(
        source, config.check, config.form.preprocess, config.form.quantize
    )
    print(f"Comparing on {checked.origin}", file=sys.stderr, flush=True)
    try:
        exported = export(
            source.model,
            config.source.output_dir,
            class_names=names or checked.class_names or source.class_names,
            preprocess=config.form.preprocess or checked.preprocess,
            outputs=config.form.outputs,
            weights=config.form.weights_dtype,
            batch_sizes=config.form.batch_sizes,
            quantize=config.form.quantize,
            onnx=config.form.onnx,
            tolerance=config.form.tolerance,
            check_images=checked.images,
            check_labels=checked.labels,
            card=source.card,
            report=config.source.report,
        )
    except ExportMismatch as error:
        raise UsageError(str(error)) from error
    print(_summary(exported, checked.origin))
    return exported


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
