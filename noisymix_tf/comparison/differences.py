"""What runs and rows differ in, in lines: budgets, measurements, recipes."""

import collections
import dataclasses
import functools

from noisymix_tf import config
from noisymix_tf.comparison.runs import split
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.run_folder import flag_value

# Flags that say, beside epochs, on what and with what a model is trained.
_BUDGET = (
    "dataset image_size preprocess train_examples temperature_examples "
    "test_examples model width batch_size accumulation_steps"
).split()


def check(differences) -> None:
    """Raises a `UsageError` if there are any differences."""
    if differences:
        raise UsageError(
            f"These runs do not compare: {' | '.join(differences)}. Give runs "
            f"of one budget, measured alike, or --compare_anyway."
        )


def budgets(flags, by="epochs") -> list[str]:
    """Lines on what `{run: {flag: line}}` differ in; by `""` in no time."""
    datasets = [own.get("dataset") for own in flags.values()]
    names = _BUDGET + ["data_dir"] * ("--dataset=folder" in datasets)
    names += ["epochs"] * (by == "epochs")
    passes = {run: passes_of(own) for run, own in flags.items()}
    facts = {"passes of each image": passes} if by == "passes" else {}
    return _differing(facts) + _differing_flags(names, flags)


def passes_of(flags) -> int:
    """How often a run's network sees each image, all its views counted."""
    epochs, views, stability = (
        flag_value(flags[name]) for name in ("epochs", "num_views", "stability")
    )
    return int(epochs) * (1 if stability == "none" else int(views))


def measurements(runs) -> list[str]:
    """Lines on what measurements differ in: images, their origin, cells."""
    facts = collections.defaultdict(dict)
    for run in runs:
        test = identity.which(run.report["data"] or "")[:8]
        facts["test images or classes"][run.path] = test
        for name, section in run.sections.items():
            # A row of cells has severities. Figures that have a setting are
            # columns of their own.
            cells = [
                f"{row} {severity}"
                for row, own in section["cells"].items()
                for severity, values in own.items()
                if isinstance(values, dict) or severity == next(iter(own))
            ]
            words = section["origin"]
            if not cells:  # Those of other sections, which are told there.
                words = words.partition(", ")[0]
            if not any(split(key)[1] for key in section["figures"]):
                short = identity.short(*cells)[:4]
                words += f", {len(cells)} cells {short}"
            facts[name][run.path] = words
            # Older reports have none; test images were told.
            if (images := section.get("images", [])) not in ([], [test]):
                facts[f"{name}, images"][run.path] = identity.short(*images)[:8]
    return _differing(facts)


def repeated(rows) -> list[str]:
    """Lines on seeds that a row has several runs of."""
    return [
        f"seed {seed} of {row.title} is there {number} times, see "
        f"{', '.join(str(run.path) for run in row.runs)}"
        for row in rows
        for seed, number in collections.Counter(row.seeds).items()
        if number > 1
    ]


def recipes(rows) -> list[str]:
    """Lines on what rows differ in that is no part of their methods."""
    parts = config.DataConfig, config.ModelConfig, config.PretrainedConfig
    parts = *parts, config.OptimizerConfig, config.TuningConfig
    fields = {field.name for x in parts for field in dataclasses.fields(x)}
    names = [name for name in trained() if name in fields]
    flags = {row.title: row.runs[0].flags for row in rows if row.seeds}
    return _differing_flags(names, flags)


@functools.cache
def trained() -> tuple[str, ...]:
    """Names of the flags of a training, without those of budget and seed."""
    names = config.Config().flags(with_free=False)
    return tuple(n for n in names if n not in (*_BUDGET, "epochs", "seed"))


def _differing_flags(names, flags):
    facts = collections.defaultdict(dict)
    for name in names:
        for holder, own in flags.items():
            facts[name][holder] = flag_value(own.get(name)) or "not set"
    return _differing(facts)


def _differing(facts, most=3):
    """A line for each fact, `{holder: value}`, whose values differ."""
    lines = []
    for what, values in facts.items():
        holders = collections.defaultdict(list)
        for holder, value in values.items():
            holders[value].append(str(holder))
        parts = []
        for value, names in holders.items():
            more = f" and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{value} ({', '.join(names[:most])}{more})")
        lines += [f"{what}: {'; '.join(parts)}"] if len(parts) > 1 else []
    return lines
