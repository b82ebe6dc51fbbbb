"""The tables of the toy: of a comparison and of a search."""

import dataclasses
import json

import numpy as np
from scipy.stats import sem

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


def markdown(schemes, found, best, config):
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


def to_json(schemes, found, best, config):
    """All figures of all seeds as JSON; arguments are those of the table."""
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


def of_search(trials, config):
    """The best setting of each scheme as a table; trials lie best first."""
    rows = []
    for name, found in trials.items():
        means = [f"{100 * np.mean(t['accuracies']):.2f}" for t in found[:2]]
        cells = [name, *[*means, ""][:2], _numbers(found[0]["values"])]
        rows.append(f"| {' | '.join(cells)} |")
    sets = len(found[0]["accuracies"])
    return _SEARCH.format(**vars(config), sets=sets, rows="\n".join(rows))


def accuracy(found):
    """Mean in percent, with the standard deviation over seeds."""
    return _cell(_columns(found)[0], 1, error=_deviation)


def _columns(found):
    """Measures of all seeds as an array `[3, S]`, the accuracy in percent."""
    return np.array(found).T * [[100], [1], [1]]


def _numbers(values):
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _line(title, rows, name):
    cells, own = [title], rows[name]
    baseline = rows.get("baseline", own)
    looks = (2, _deviation), (3, sem), (2, sem)
    for values, others, (digits, error) in zip(own, baseline, looks):
        ahead = _cell(values - others, digits, "+")
        cells.append(_cell(values, digits, error=error))
        cells.append("" if baseline is own else ahead)
    return f"| {' | '.join(cells)} |"


def _deviation(values):
    return np.std(values, ddof=1)


def _cell(values, digits, sign="", error=sem):
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
