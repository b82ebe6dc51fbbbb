"""Average models of one architecture: the line between two, or a soup.

python -m noisymix_tf average pretrained.keras runs/tuned --weights=0:1:0.1 \\
    --dataset=cifar10 --data_dir=DIR --suites=clean,c --output_dir=averages
"""

import dataclasses
import io
import itertools
import json
import math

import numpy as np

from noisymix_tf import (
    evaluation,
    files,
    interactions,
    model_card,
    run_folder,
)
from noisymix_tf.commands import command
from noisymix_tf.commands.evaluate import data_of
from noisymix_tf.data.options import EvaluatedDataConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.models import averaging
from noisymix_tf.models.unwrap import model_fingerprint
from noisymix_tf.options import AT_LEAST_0, SHARE, option
from noisymix_tf.progress import say

# Says that the directory is one of averages, and what is averaged there.
_MARK = "average.txt"
_SOUP, _BATCH = "soup", 64


@dataclasses.dataclass(frozen=True)
class AverageConfig(EvaluatedDataConfig, EvaluationConfig):
    """What is averaged, how, and where it goes."""

    models: tuple[str, ...] = option(
        (),
        "Keras files or directories of runs, of one architecture; they may "
        "stand on the command line without this name.",
        first=True,
    )
    weights: str = option(
        "0:1:0.1",
        "Of two models: shares of the second at which the line between them is "
        "measured, START:END:STEP or a list such as 0,0.5,1. Of more there is "
        "one average, in equal shares.",
        first=True,
    )
    keep: float = option(
        0.5,
        "Of two models: the share of the second in the average that is saved, "
        "one of --weights. Test images choose no model.",
        SHARE,
        first=True,
    )
    statistics_examples: int = option(
        1024,
        "Training images that the statistics of batch normalisation of an "
        "average are estimated on; 0: they are averaged like weights.",
        AT_LEAST_0,
    )
    output_dir: str | None = option(
        None,
        "Directory of table, curve, reports and the average. A command that "
        "was killed is continued by the same command.",
        first=True,
    )

    @property
    def model(self) -> str:
        """Whose data is measured on, where none is named."""
        return self.models[-1]


@command("average", AverageConfig, rest="models")
def run(config: AverageConfig) -> dict:
    """Measures averages, and saves one; returns `{name: Results}`."""
    recipes = _recipes(config)
    kept = f"{config.keep:g}" if len(config.models) == 2 else _SOUP
    interactions.check(config)
    evaluation.checked(config.suites, config.settings())
    files.check_claim(config.output_dir, "averages", _MARK)
    from noisymix_tf.training import setup

    models, data = _models(config), data_of(config)
    classes = run_folder.from_card(config.model, "dataset", "class_names")
    dataset = setup.test_dataset(data, classes)
    has_statistics = averaging.normalisations(models[0])
    if dataset.train is None and config.statistics_examples and has_statistics:
        raise UsageError(
            f"--test_dir={config.test_dir} has no training images to estimate "
            f"statistics on: give --dataset, or --statistics_examples=0."
        )
    about = {"data": data.data_words(dataset.name)}
    fingerprints = [model_fingerprint(model) for model in models]
    mixed = evaluation.load_classifier(config.models[0])
    made = {"models": fingerprints, "shares": recipes, "kept": kept}
    made["statistics_examples"] = config.statistics_examples
    mark, found = json.dumps(made, indent=1) + "\n", {}

    def check(folder):
        if (folder / _MARK).read_text() != mark:
            raise UsageError(
                f"--output_dir={folder} holds averages of other models, or "
                f"others of these: name another directory, or give the same "
                f"flags."
            )

    with files.claimed(config.output_dir, "averages", _MARK, check) as folder:
        files.write_atomically(folder / _MARK, mark)
        for name, shares in recipes.items():
            averaging.average(mixed, models, shares)
            if max(shares) < 1.0:
                _estimate(mixed, dataset.train, config.statistics_examples)
            words = _words(config.models, shares)
            say(f"{name}: {words}")
            found[name] = evaluation.evaluate(
                mixed,
                dataset,
                num_workers=config.num_workers,
                output_dir=folder / name,
                about=about | {"model": words},
                **config.measured(),
            )
            if name == kept:
                path = folder / "average.keras"
                own = {"dataset": dataset, "metrics": found[name]}
                own["average_of"] = dict(zip(fingerprints, shares))
                model_card.save(mixed, path, **own)
        table = _write(folder, found)
    print(table, end="")
    say(f"Average: {path} ({kept})")
    say(f"Table and curve: {folder / 'average.md'}, {folder / 'average.png'}")
    return found


def _models(config):
    models = [evaluation.load_classifier(path) for path in config.models]
    for path, model in zip(config.models, models):
        if not hasattr(model, "weights"):
            raise UsageError(
                f"{path} is a SavedModel, whose weights cannot be averaged: "
                f"give the .keras file that it was made of."
            )
        averaging.check_alike(models[0], model)
    return models


def _recipes(config):
    """`{name: shares of the models}`, in the order of the table."""
    number = len(config.models)
    if number < 2:
        raise UsageError(
            f"There is nothing to average: name two models or more, not "
            f"{number}."
        )
    if number == 2:
        return {f"{s:g}": (1.0 - s, s) for s in _line(config)}
    for name in ("weights", "keep"):
        value = getattr(config, name)
        if value != getattr(AverageConfig, name):
            raise UsageError(
                f"--{name}={value} is for the line between two models, these "
                f"are {number}: leave it out."
            )
    own = {str(n + 1): tuple(np.eye(number)[n]) for n in range(number)}
    return own | {_SOUP: (1.0 / number,) * number}


def _line(config):
    """The shares of --weights, and that it has the one to keep."""
    text = config.weights
    try:
        if ":" in text:
            start, end, step = map(float, text.split(":"))
            count = math.floor((end - start) / step + 1e-9)
            shares = [round(start + n * step, 9) for n in range(count + 1)]
        else:
            shares = [float(word) for word in text.split(",")]
        is_good = all(0 <= share <= 1 for share in shares)
    except (ValueError, ArithmeticError):
        is_good = False
    if not is_good or sorted(set(shares)) != shares:
        raise UsageError(
            f"--weights={text} must be shares of the second model from 0 to 1, "
            f"in order: START:END:STEP such as 0:1:0.1, or a list such as "
            f"0,0.5,1."
        )
    if config.keep not in shares:
        raise UsageError(
            f"--keep={config.keep:g} is not among --weights={text}: keep one "
            f"that is measured."
        )
    return shares


def _estimate(model, split, examples):
    """Gives an average its own statistics of batch normalisation."""
    count = min(examples, len(split))
    if not count or not averaging.normalisations(model):
        return
    # Every so many, because a folder has them class by class.
    part = split.subset(np.arange(count) * len(split) // count)
    size = min(_BATCH, count)
    batches = (images for images, _ in part.batches(size))
    full = itertools.takewhile(lambda images: len(images) == size, batches)
    averaging.estimate_statistics(model, full)


def _words(names, shares):
    """`"0.3 x a.keras + 0.7 x b.keras"`, without what has no share."""
    parts = [(s, name) for s, name in zip(shares, names) if s]
    return " + ".join(f"{s:.3g} x {n}" if s < 1 else n for s, n in parts)


def _write(folder, found):
    """The table, which is returned, the figures as JSON, and the curve."""
    rows, content, lines = {}, {}, []
    for name, results in found.items():
        headlines = results.report.headlines
        rows[name] = {title: figure for _, title, figure in headlines}
        shown = {title: s.shown(figure) for s, title, figure in headlines}
        content[name] = {
            title: {"value": figure.value, "standard_error": figure.error}
            for title, figure in rows[name].items()
        }
        lines.append([name, *shown.values()])
    titles = [*rows[name]]
    lines[:0] = ["average", *titles], [":--", *["--:"] * len(titles)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    files.write_atomically(folder / "average.md", table)
    files.write_json(folder / "average.json", content)
    files.write_atomically(folder / "average.png", _curve(rows))
    return table


def _curve(rows):
    """A PNG: clean accuracy against the first figure under shift."""
    from matplotlib.figure import Figure

    titles = [*next(iter(rows.values()))]
    # Where nothing but clean images was measured, a line is all there is.
    across, up = titles[0], titles[min(1, len(titles) - 1)]
    figure = Figure(figsize=(5, 4), layout="constrained")
    ax, points = figure.subplots(), []
    for name, own in rows.items():
        x, y = own[across], own[up]
        points.append((100 * x.value, 100 * y.value))
        ax.annotate(name, points[-1], (5, 5), textcoords="offset points")
        error = 100 * (x.error or 0), 100 * (y.error or 0)
        ax.errorbar(*points[-1], *error[::-1], fmt="o", lw=1, color="#1f6fb2")
    ax.plot(*zip(*points), color="#1f6fb2", linewidth=0.8, zorder=0)
    ax.set(xlabel=f"{across}, %", ylabel=f"{up}, %")
    ax.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, dpi=150)
    return file.getvalue()
