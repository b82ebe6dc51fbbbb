"""The table of a comparison."""

import dataclasses
import json

import numpy as np

from noisymix_tf.config import text

_REFERENCE = "baseline"
_OWN = "noisymix"


@dataclasses.dataclass(frozen=True)
class Row:
    """A scheme and what was measured of it.

    Attributes:
        scheme: `Scheme`.
        found: `Measures`, one for each seed.
    """

    scheme: object
    found: tuple

    def values(self, measure):
        """A measure of all seeds, `[S]`."""
        return np.array([getattr(each, measure) for each in self.found])

    def mean(self, measure):
        return float(np.mean(self.values(measure)))

    def deviation(self, measure):
        """Standard deviation over the seeds; None where there is only one."""
        values = self.values(measure)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def standard_error(values):
    """Standard error of a mean; None for a single value."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def markdown(rows, best, config):
    """The table as Markdown.

    Differences are taken seed by seed, because the schemes share the points and
    the first weights of a seed.

    Args:
        rows: Dict from name to `Row`.
        best: `Measures` of the best possible classifier.
        config: `ToyConfig`.
    """
    problem = config.problem
    lines = [
        "# Noisy two-class problem",
        "",
        f"{problem.train_points} training{_wrong(problem)} and "
        f"{problem.test_points:,} test points, {config.run.seeds} seeds; "
        f"{_layers(config)}, {config.training.epochs} epochs. ± is a standard "
        f"error, but the standard deviation over seeds behind accuracy.",
        "",
        "| | test accuracy in % | minus baseline | gradient norm "
        "| minus baseline | boundary | minus baseline |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    lines += [_line(row, rows.get(_REFERENCE)) for row in rows.values()]
    lines += [
        f"| best possible | {100 * best.accuracy:.2f} | "
        f"| {best.gradient_norm:.3f} | | {best.boundary_length:.2f} | |",
        "",
        "Gradient norm: of the probability, mean over the test points. "
        "Boundary: length of the line where the probability is one half.",
        "",
        *(
            f"- {row.scheme.title}: {_numbers(row.scheme)}"
            for row in rows.values()
        ),
        "",
        _verdict(rows),
    ]
    return "\n".join(lines) + "\n"


def to_json(rows, best, config):
    """All figures of all seeds as JSON."""
    content = {
        "flags": [line for line in config.flags().values() if line],
        "best_possible": dataclasses.asdict(best),
        "schemes": {
            name: {
                **dataclasses.asdict(row.scheme),
                "seeds": [dataclasses.asdict(each) for each in row.found],
            }
            for name, row in rows.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"


def of_search(trials, config):
    """The best settings of each scheme as Markdown.

    Args:
        trials: Dict from name to `Trial`s, the best first.
        config: `ToyConfig`.
    """
    lines = [
        f"Best of {config.run.search} settings each, by accuracy on "
        f"{config.problem.test_points:,} validation points, mean of "
        f"{len(next(iter(trials.values()))[0].accuracies)} sets of "
        f"{config.problem.train_points} training points:",
        "",
        "| | validation accuracy in % | second best | setting |",
        "| :-- | --: | --: | :-- |",
    ]
    for name, found in trials.items():
        second = f"{100 * found[1].mean:.2f}" if len(found) > 1 else ""
        values = ", ".join(f"{k}={text(v)}" for k, v in found[0].values.items())
        lines.append(
            f"| {name} | {100 * found[0].mean:.2f} | {second} | {values} |"
        )
    return "\n".join(lines) + "\n"


def _line(row, reference):
    cells = [
        row.scheme.title,
        _with_error(
            100 * row.mean("accuracy"), _times(row.deviation("accuracy"), 100)
        ),
        _difference(row, reference, "accuracy", scale=100, digits=2),
        _with_error(
            row.mean("gradient_norm"),
            standard_error(row.values("gradient_norm")),
            digits=3,
        ),
        _difference(row, reference, "gradient_norm", digits=3),
        _with_error(
            row.mean("boundary_length"),
            standard_error(row.values("boundary_length")),
        ),
        _difference(row, reference, "boundary_length"),
    ]
    return f"| {' | '.join(cells)} |"


def _difference(row, reference, measure, scale=1, digits=2):
    if reference is None or reference is row:
        return ""
    values = scale * (row.values(measure) - reference.values(measure))
    return _with_error(np.mean(values), standard_error(values), digits, "+")


def _with_error(value, error, digits=2, sign=""):
    shown = f"{value:{sign}.{digits}f}"
    return shown if error is None else f"{shown} ± {error:.{digits}f}"


def _times(value, factor):
    return None if value is None else factor * value


def _numbers(scheme):
    return ", ".join(f"{k}={text(getattr(scheme, k))}" for k in scheme.tunable)


def _wrong(problem):
    share = 100 * problem.label_noise
    return f" ({share:g} % with wrong labels)" if share else ""


def _layers(config):
    training = config.training
    return f"{training.depth} hidden layers of {training.width} units"


def _verdict(rows):
    """Which scheme is best, how sure that is, and where NoisyMix is."""
    first, *others = sorted(
        rows.values(), key=lambda row: -row.mean("accuracy")
    )
    words = f"Highest mean accuracy: {first.scheme.title}"
    # The next one and, if it is another, NoisyMix.
    shown = others[:1]
    shown += [row for row in others[1:] if row is rows.get(_OWN)]
    for row in shown:
        ahead = _difference(first, row, "accuracy", scale=100)
        words += f", ahead of {row.scheme.title} by {ahead[1:]} points"
    return f"{words}."
