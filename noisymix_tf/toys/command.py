"""What the door of the toy problem does: train, measure, write."""

import dataclasses
import functools
import json
import sys

import numpy as np

from noisymix_tf import devices
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.run_folder import RunFolder
from noisymix_tf.toys import figure, measures, network, report, search
from noisymix_tf.toys.points import Problem
from noisymix_tf.toys.results import Results
from noisymix_tf.toys.schemes import SCHEMES

# Seeds of points; the trainings of a comparison have 0, 1, 2...
_TEST_SEED = 1_000_000
_VALIDATION_SEED = 2_000_000
_SEARCH_SEEDS = range(1000, 1004)


def run(config):
    """Compares the schemes, or searches their numbers.

    Args:
        config: `noisymix_tf.config.toy.ToyConfig`.

    Raises:
        UsageError: A flag that cannot be used, or a directory that holds
            something else.
    """
    _check(config)
    with RunFolder(config) as folder:
        devices.announce(xla=False)
        _say(f"Writing to {folder.path}")
        toy = Toy(config, Results(folder.path / "trainings"))
        if config.run.search:
            return _search(config, toy, folder.path)
        return _compare(config, toy, folder.path)


class Toy:
    """Trainings on one problem.

    Args:
        config: `ToyConfig`.
        results: `Results`; what is there is not trained again.
    """

    def __init__(self, config, results):
        self.problem = Problem(
            config.problem.curve_share,
            config.problem.position_noise,
            config.problem.cloud_size,
        )
        self._config = config
        self._results = results

    def points(self, seed):
        """The training points of a seed."""
        problem = self._config.problem
        return self.problem.draw(
            problem.train_points, seed, problem.label_noise
        )

    def held_out(self, seed):
        """As many points as the flags say, for measuring."""
        return self.problem.draw(self._config.problem.test_points, seed)

    def train(self, name, scheme, seeds, test):
        """Trains and measures by one scheme.

        Args:
            name: What the results are called, with the seed behind it.
            scheme: `Scheme`.
            seeds: One for each training.
            test: `Points` for measuring.

        Returns:
            List of `(Measures, map)`.
        """
        # Made for the first training that is not there yet.
        training = functools.cache(lambda: self._training(scheme))
        found = []
        for seed in seeds:
            label = f"{name}-{seed}"
            is_new = label not in self._results
            measured = self._results.get(
                label, lambda seed=seed: self._train(training(), seed, test)
            )
            if is_new:
                _say(f"{label}: {100 * measured[0].accuracy:.2f} %")
            found.append(measured)
        return found

    def _training(self, scheme):
        training = self._config.training
        return network.Training(
            scheme,
            self._config.problem.train_points,
            width=training.width,
            depth=training.depth,
            epochs=training.epochs,
            batch_size=training.batch_size,
        )

    def _train(self, training, seed, test):
        model = training.run(self.points(seed), seed)
        if not all(np.isfinite(w).all() for w in model.get_weights()):
            raise UsageError(
                f"A training with seed {seed} has diverged: lower "
                f"--learning_rate or the levels of noise."
            )
        return measures.measure(measures.of_network(model), test)


def _compare(config, toy, folder):
    test = toy.held_out(_TEST_SEED)
    overrides = config.training.overrides()
    rows, panels = {}, []
    for name in config.run.schemes:
        scheme = SCHEMES[name].with_values(overrides)
        found = toy.train(name, scheme, range(config.run.seeds), test)
        rows[name] = report.Row(scheme, tuple(each for each, _ in found))
        panels.append(figure.Panel(scheme.title, rows[name], found[0][1]))
    best, _ = measures.measure(toy.problem.posterior, test)
    text = report.markdown(rows, best, config)
    pictures = figure.draw(panels, toy.points(0))
    write_atomically(folder / "table.md", text)
    write_atomically(folder / "table.json", report.to_json(rows, best, config))
    for suffix, content in pictures.items():
        write_atomically(folder / f"toy.{suffix}", content)
    print(text)
    _say(f"Figure: {folder / 'toy.png'}, {folder / 'toy.svg'}")
    return rows


def _search(config, toy, folder):
    points = toy.held_out(_VALIDATION_SEED)
    trials = {}
    for name in config.run.schemes:

        def accuracies(scheme, index, name=name):
            found = toy.train(f"{name}-{index}", scheme, _SEARCH_SEEDS, points)
            return [measured.accuracy for measured, _ in found]

        trials[name] = search.search(name, config.run.search, accuracies)
    content = {
        name: [dataclasses.asdict(trial) for trial in found]
        for name, found in trials.items()
    }
    write_atomically(folder / "search.json", json.dumps(content, indent=1))
    text = report.of_search(trials, config)
    write_atomically(folder / "search.md", text)
    print(text)
    return trials


def _check(config):
    unknown = [name for name in config.run.schemes if name not in SCHEMES]
    if unknown or not config.run.schemes:
        raise UsageError(
            f"--schemes={','.join(config.run.schemes)} must name some of "
            f"{', '.join(SCHEMES)}."
        )
    if len(set(config.run.schemes)) < len(config.run.schemes):
        raise UsageError(
            f"--schemes={','.join(config.run.schemes)} names a scheme twice."
        )
    for name in ("train_points", "test_points"):
        num = getattr(config.problem, name)
        if not 0 < round(num * config.problem.curve_share) < num:
            raise UsageError(
                f"--{name}={num} with --curve_share="
                f"{config.problem.curve_share:g} leaves a class without "
                f"points: give more points."
            )
    if config.training.batch_size > config.problem.train_points:
        raise UsageError(
            f"--batch_size={config.training.batch_size} must be at most "
            f"--train_points={config.problem.train_points}."
        )
    if config.run.search and config.training.overrides():
        name = next(iter(config.training.overrides()))
        raise UsageError(
            f"--search tries values of its own: leave --{name} out."
        )


def _say(text):
    print(text, file=sys.stderr, flush=True)
