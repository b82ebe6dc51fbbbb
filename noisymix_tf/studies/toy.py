"""What the toy command does: train, measure, write tables and figure."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from noisymix_tf import devices, marked
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.lazy import stats
from noisymix_tf.progress import say
from noisymix_tf.run_folder import opened
from noisymix_tf.studies import measures
from noisymix_tf.studies.networks import SCHEMES, trained
from noisymix_tf.studies.points import draw, posterior

# Seeds of points; the trainings of a comparison have 0, 1, 2...
_TEST_SEED = 1_000_000
_VALIDATION_SEED = 2_000_000
_SEARCH_SEEDS = range(1000, 1004)
_TABLE = """\
# Noisy two-class problem

{train_points} training{wrong} and {test_points:,} test \
points, {seeds} seeds; {depth} hidden layers of {width} \
units, {epochs} epochs. ± is a standard error, but behind accuracy \
the standard deviation over seeds.

| | test accuracy in % | minus baseline | gradient norm | minus baseline \
| boundary | minus baseline |
| :-- | --: | --: | --: | --: | --: | --: |
{rows}
| best possible | {best[0]:.2f} | | {best[1]:.3f} | | {best[2]:.2f} | |

Gradient norm: of the probability, mean over the test points. Boundary: length \
of the line where the probability is one half.

{numbers}

{verdict}
"""
_SEARCH = """\
Best of {search} settings each, by accuracy on {test_points:,} \
validation points, mean of {sets} sets of {train_points} training \
points:

| | validation accuracy in % | second best | setting |
| :-- | --: | --: | :-- |
{rows}
"""


def run(config) -> None:
    """Compares the schemes, or searches their numbers, as `ToyConfig` says."""
    _check(config)
    with opened(config) as folder:
        devices.announce(xla=False)
        say(f"Writing to {folder.path}")
        (folder.path / "trainings").mkdir(exist_ok=True)
        work = _search if config.search else _compare
        work(config, folder.path)


def _compare(config, folder):
    """Trains by every scheme; writes the table and the figure."""
    test = draw(config, config.test_points, _TEST_SEED)
    best, _ = measures.measure(lambda x: posterior(config, x), test)
    overrides = config.overrides()
    schemes = {n: SCHEMES[n].with_values(overrides) for n in config.schemes}
    found, panels = {}, {}
    for name, scheme in schemes.items():
        seeds = range(config.seeds)
        found[name], maps = _measured(config, folder, name, scheme, seeds, test)
        # Behind the accuracy the standard deviation over seeds.
        accuracy = _cell(_columns(found[name])[0], 1, error=_deviation)
        panels[f"{scheme.title}\n{accuracy} %"] = maps[0]
    points = draw(config, config.train_points, 0, config.label_noise)
    figure = measures.draw(panels, points)
    text = markdown(schemes, found, best, config)
    for name, content in {
        "toy.png": measures.to_bytes(figure),
        "toy.svg": measures.to_bytes(figure, "svg"),
        "table.md": text,
        "table.json": _json(schemes, found, best, config),
    }.items():
        write_atomically(folder / name, content)
    print(text)
    say(f"Figure: {folder / 'toy.png'}, {folder / 'toy.svg'}")
    # Settings stand in table.md.
    parts = [part for part in text.split("\n\n") if part[:2] != "- "]
    seeds = f"Seeds 0 to {config.seeds - 1}"
    marked.write(config.write_to, "\n\n".join(parts), seeds)


def _search(config, folder):
    """Tries settings of every scheme; writes them, the best first."""
    test = draw(config, config.test_points, _VALIDATION_SEED)
    trials, rows, sets = {}, [], len(_SEARCH_SEEDS)
    for name in config.schemes:
        own = trials[name] = []
        for index in range(config.search):
            values = SCHEMES[name].setting(index)
            scheme = SCHEMES[name].with_values(values)
            found, _ = _measured(
                config, folder, f"{name}-{index}", scheme, _SEARCH_SEEDS, test
            )
            accuracies = [each.accuracy for each in found]
            own.append({"values": values, "accuracies": accuracies})
        own.sort(key=lambda trial: -np.mean(trial["accuracies"]))
        means = [f"{100 * np.mean(t['accuracies']):.2f}" for t in own[:2]]
        cells = [name, *[*means, ""][:2], _numbers(own[0]["values"])]
        rows.append(f"| {' | '.join(cells)} |")
    write_atomically(folder / "search.json", json.dumps(trials, indent=1))
    text = _SEARCH.format(**vars(config), sets=sets, rows="\n".join(rows))
    write_atomically(folder / "search.md", text)
    print(text)
    marked.write(config.write_to, text)


def _measured(config, folder, name, scheme, seeds, test):
    """Trains what the folder lacks; `Measures` and maps of all seeds."""
    files = {s: folder / "trainings" / f"{name}-{s}.npz" for s in seeds}
    sets = {
        seed: draw(config, config.train_points, seed, config.label_noise)
        for seed, path in files.items()
        if not path.exists()
    }
    for seed, model in trained(scheme, sets, config):
        found, field = measures.measure(
            lambda x, model=model: tf.nn.softmax(model(x))[:, 1], test
        )
        measures.write(files[seed], found, field)
        say(f"{name}-{seed}: {100 * found.accuracy:.2f} %")
    # Also of what was just made: a result is the same either way.
    return zip(*map(measures.read, files.values()))


def _check(config):
    """Refuses flags that do not go together."""
    names = config.schemes
    if not names or len(set(names) & set(SCHEMES)) < len(names):
        raise UsageError(
            f"--schemes={','.join(names)} must name some of "
            f"{', '.join(SCHEMES)}, each once."
        )
    for name in ("train_points", "test_points"):
        num = getattr(config, name)
        if not 0 < round(num * config.curve_share) < num:
            raise UsageError(
                f"--{name}={num} with --curve_share={config.curve_share:g} "
                f"leaves a class without points: give more points."
            )
    if config.batch_size > config.train_points:
        raise UsageError(
            f"--batch_size={config.batch_size} must be at most "
            f"--train_points={config.train_points}."
        )
    given = ", ".join(f"--{name}" for name in config.overrides())
    if config.search and given:
        raise UsageError(
            f"--search tries values of its own: leave {given} out."
        )


def markdown(schemes, found, best, config) -> str:
    """The table of a comparison.

    Differences are taken seed by seed, because the schemes share the points and
    the first weights of a seed. `schemes` and `found` are dicts from name to
    `Scheme` and to the `Measures` of all seeds; `best` are those of the best
    possible classifier.
    """
    share = 100 * config.label_noise
    numbers = (
        f"- {s.title}: {_numbers({k: getattr(s, k) for k in s.tunable})}"
        for s in schemes.values()
    )
    rows = {name: _columns(each) for name, each in found.items()}
    lines = (_line(schemes[name].title, rows, name) for name in rows)
    return _TABLE.format(
        **vars(config),
        wrong=f" ({share:g} % with wrong labels)" if share else "",
        rows="\n".join(lines),
        numbers="\n".join(numbers),
        best=_columns([best])[:, 0],
        verdict=_verdict(schemes, rows),
    )


def _json(schemes, found, best, config):
    """All figures of all seeds; arguments are those of the table."""
    content = {
        "flags": [line for line in config.flags().values() if line],
        "best_possible": best._asdict(),
        "schemes": {
            name: dataclasses.asdict(scheme)
            | {"seeds": [each._asdict() for each in found[name]]}
            for name, scheme in schemes.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"


def _columns(found):
    """Measures of all seeds as an array `[3, S]`, the accuracy in percent."""
    return np.array(found).T * [[100], [1], [1]]


def _numbers(values):
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _line(title, rows, name):
    cells, own = [title], rows[name]
    baseline = rows.get("baseline", own)
    looks = (2, _deviation), (3, stats.sem), (2, stats.sem)
    for values, others, (digits, error) in zip(own, baseline, looks):
        ahead = _cell(values - others, digits, "+")
        cells.append(_cell(values, digits, error=error))
        cells.append("" if baseline is own else ahead)
    return f"| {' | '.join(cells)} |"


def _deviation(values):
    return np.std(values, ddof=1)


def _cell(values, digits, sign="", error=stats.sem):
    """A mean with its error, where there is more than one value."""
    shown = f"{np.mean(values):{sign}.{digits}f}"
    more = f" ± {error(values):.{digits}f}" if len(values) > 1 else ""
    return shown + more


def _verdict(schemes, rows):
    """Which scheme is best, how sure that is, and where NoisyMix is."""
    accuracies = {name: columns[0] for name, columns in rows.items()}
    best, *others = sorted(rows, key=lambda name: -accuracies[name].mean())
    words = f"Highest mean accuracy: {schemes[best].title}"
    # The next one and, if it is another, NoisyMix.
    for name in others[:1] + [n for n in others[1:] if n == "noisymix"]:
        ahead = _cell(accuracies[best] - accuracies[name], 2)
        words += f", ahead of {schemes[name].title} by {ahead} points"
    return f"{words}."
