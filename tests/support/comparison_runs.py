"""Directories of runs whose results are written by hand."""

import dataclasses
import json

from absl import flags as absl_flags

from noisymix_tf import command_line, config, corruptions
from noisymix_tf.comparison import arguments, runs, table
from noisymix_tf.config.compare import CompareConfig, ComparisonFlags
from noisymix_tf.evaluation import Report
from support.evaluation_toys import cell, clean_cell, flip_sums, sums

COMMON = corruptions.names("common")
PERTURBATIONS = corruptions.perturbation_names("cifar")
FGSM = "linf eps=4/255 cross_entropy"
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")
# Of perturbations, those with noise are compared with the first frame.
_FLIP_NOISES = ("gaussian_noise", "shot_noise")


def flags(method="baseline", seed=0, dataset="digits", **optimizer):
    """The `Config` of a made-up run."""
    stability = "jsd" if method in ("augmix", "noisymix") else "none"
    optimizer = {"epochs": 3, "batch_size": 64, **optimizer}
    return config.Config(
        data=config.DataConfig(dataset=dataset),
        model=config.ModelConfig(model="resnet20", width=0.5),
        method=config.MethodConfig(method=method, stability=stability),
        optimizer=config.OptimizerConfig(**optimizer),
        run=config.RunConfig(seed=seed),
    )


def accuracies(base, noise=0.0):
    """`{corruption: {severity: accuracy}}`, all of them different."""
    return {
        name: {
            s: base - 0.01 * place - 0.02 * s - (noise if name in NOISES else 0)
            for s in range(1, 6)
        }
        for place, name in enumerate(COMMON)
    }


def records(
    clean=0.9, c=None, p=None, fgsm=None, n=200, source="generated", made=False
):
    """Measured cells: `p` is `{perturbation: flip probability}`.

    `made` says that this package wrote the files that were read.
    """
    made = {"seed": 0, "generator": "1-imagenet"} if made else {}
    own = {clean_cell(n): sums(clean, n)}
    for name, row in (c or {}).items():
        for severity, accuracy in row.items():
            place = cell("c", name, severity, source=source, n=n, **made)
            own[place] = sums(accuracy, n)
    for name, flips in (p or {}).items():
        noise = name in _FLIP_NOISES
        own[cell("p", name, 1, n=n)] = flip_sums(flips, n=n, noise=noise)
    for setting, accuracy in (fgsm or {}).items():
        own[cell("fgsm", None, 0, setting=setting, n=n)] = sums(accuracy, n)
    return own


def write(folder, config=None, reference=None, data=None, **measured):
    """Writes a run; returns its folder."""
    config = config or flags()
    report = Report(records(**measured), None, reference, data).as_dict()
    (folder / "evaluation").mkdir(parents=True)
    lines = [line for line in config.flags().values() if line is not None]
    (folder / "flags.txt").write_text("\n".join(lines) + "\n")
    (folder / "evaluation" / "report.json").write_text(json.dumps(report))
    return folder


def build(folder, *more, **options):
    """The `Table` of all runs below a folder."""
    found = [runs.read(path) for path in runs.find(folder)]
    return table.build(found, *more, **options)


def parsed(*line):
    """A command line of `compare` as its door reads it.

    Returns:
        The words, the configuration, and the holder of the flags.
    """
    values = absl_flags.FlagValues()
    command_line.define_flags(values)
    command_line.define_flags(values, config=ComparisonFlags)
    words = arguments.tidy(map(str, line), values)
    config = command_line.parse(["compare", *words], values, CompareConfig)
    return arguments.flat(words, values), config, values


def with_flags(config, group, **values):
    """The configuration with other values of a group."""
    changed = dataclasses.replace(getattr(config, group), **values)
    return dataclasses.replace(config, **{group: changed})
