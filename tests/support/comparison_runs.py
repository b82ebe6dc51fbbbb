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


def flags(method="baseline", seed=0, dataset="digits", **optimizer):
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
    quiet = {n: base - 0.01 * place for place, n in enumerate(COMMON)}
    rows = {n: own - noise * (n in NOISES) for n, own in quiet.items()}
    return {n: {s: a - 0.02 * s for s in range(1, 6)} for n, a in rows.items()}


def _records(clean=0.9, c=(), p=(), fgsm=(), n=200, **fields):
    """Measured cells; `p` has flips, `fields` say where `c` comes from."""
    own = {clean_cell(n): sums(clean, n)}
    for name, row in dict(c).items():
        for severity, accuracy in row.items():
            own[cell("c", name, severity, n=n, **fields)] = sums(accuracy, n)
    for name, flips in dict(p).items():
        flipped = flip_sums(flips, n=n, noise=name in NOISES)
        own[cell("p", name, 1, n=n)] = flipped
    for setting, accuracy in dict(fgsm).items():
        own[cell("fgsm", None, 0, setting=setting, n=n)] = sums(accuracy, n)
    return own


def write(folder, config=None, reference=None, data=None, **measured):
    """Writes a run; returns its folder."""
    report = Report(_records(**measured), None, reference, data).as_dict()
    (folder / "evaluation").mkdir(parents=True)
    lines = filter(None, (config or flags()).flags().values())
    (folder / "flags.txt").write_text("\n".join(lines) + "\n")
    (folder / "evaluation" / "report.json").write_text(json.dumps(report))
    return folder


def build(folder, *more, **options):
    found = [runs.read(path) for path in runs.find(folder)]
    return table.build(found, *more, **options)


def parsed(*line):
    values = absl_flags.FlagValues()
    command_line.define_flags(values)
    command_line.define_flags(values, config=ComparisonFlags)
    words = arguments.tidy(map(str, line), values)
    config = command_line.parse(["compare", *words], values, CompareConfig)
    return arguments.flat(words, values), config, values


def with_flags(config, group, **values):
    values = {group: dataclasses.replace(getattr(config, group), **values)}
    return dataclasses.replace(config, **values)
