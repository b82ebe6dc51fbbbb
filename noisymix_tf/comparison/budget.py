"""Whether runs may stand in one table: the same data, network and training."""

from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import flag_value

# Flags that say on what, with what and for how long a model is trained.
BUDGET = (
    "dataset",
    "image_size",
    "preprocess",
    "train_examples",
    "test_examples",
    "model",
    "width",
    "epochs",
    "batch_size",
    "accumulation_steps",
)
# A folder of images is known by where it lies.
_OF_FOLDERS = (*BUDGET, "data_dir")

# Sections whose cells are columns of their own.
_ATTACKS = ("fgsm", "pgd", "autoattack")
# Sections that measure nothing beyond the others' cells.
_DERIVED = ("calibration", "cost")


def differences_of_flags(flags):
    """What budgets differ in.

    Args:
        flags: `{name of a run: {flag: line}}`, see `runs.Run.flags`.

    Returns:
        List of str, one for each flag: `"epochs: 30 (a, b); 12 (c)"`.
    """
    folders = any(
        f.get("dataset") == "--dataset=folder" for f in flags.values()
    )
    found = []
    for name in _OF_FOLDERS if folders else BUDGET:
        lines = {
            run: flag_value(own.get(name)) or "not set"
            for run, own in flags.items()
        }
        found += differing(name, lines)
    return found


def differences_of_measurements(runs):
    """What measurements differ in: images, their number, origin and cells.

    Args:
        runs: `runs.Run`s.

    Returns:
        List of str, as of `differences_of_flags`.
    """
    # Here, because it comes with TensorFlow, which no training waits for.
    from noisymix_tf.data import identity

    images = {r.path: identity.which(r.data)[:8] for r in runs if r.data}
    found = differing("test images or classes", images)
    for section in dict.fromkeys(s for run in runs for s in run.sections):
        if section in _DERIVED:
            continue
        own = {
            r.path: r.sections[section] for r in runs if section in r.sections
        }
        origins = {path: s["origin"] for path, s in own.items()}
        found += differing(section, origins)
        cells = {path: _cells(s) for path, s in own.items()}
        if section not in _ATTACKS and len(set(cells.values())) > 1:
            counts = {path: f"{len(c)} cells" for path, c in cells.items()}
            found += differing(section, counts) or [f"{section}: other cells"]
    return found


def check(differences):
    """Raises a `UsageError` that names the differences, if there are any."""
    if differences:
        raise UsageError(
            f"These runs do not compare: {' | '.join(differences)}. Give runs "
            f"of one budget, measured alike, or --compare_anyway."
        )


def differing(what, values):
    """One line where not all values are the same."""
    holders = {}
    for run, value in values.items():
        holders.setdefault(value, []).append(str(run))
    if len(holders) < 2:
        return []
    parts = [f"{v} ({_listed(names)})" for v, names in holders.items()]
    return [f"{what}: {'; '.join(parts)}"]


def _listed(names, most=3):
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _cells(section):
    """Names of the cells, of corruptions with their severities."""
    return tuple(
        sorted(
            f"{name} {severity}"
            for name, values in section["cells"].items()
            for severity in (values if _is_row(values) else ("",))
        )
    )


def _is_row(values):
    return isinstance(values, dict) and all(k.isdigit() for k in values)
