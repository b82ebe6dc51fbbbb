"""What the toy command does: train, measure, write."""

import json
import sys

import numpy as np
import tensorflow as tf

from noisymix_tf import devices
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.run_folder import opened
from noisymix_tf.studies import measures, pictures, toy_report
from noisymix_tf.studies.networks import trained
from noisymix_tf.studies.points import draw, posterior
from noisymix_tf.studies.schemes import SCHEMES

# Seeds of points; the trainings of a comparison have 0, 1, 2...
_TEST_SEED = 1_000_000
_VALIDATION_SEED = 2_000_000
_SEARCH_SEEDS = range(1000, 1004)


def run(config):
    """Compares the schemes, or searches their numbers, as `ToyConfig` says."""
    _check(config)
    with opened(config) as folder:
        devices.announce(xla=False)
        _say(f"Writing to {folder.path}")
        (folder.path / "trainings").mkdir(exist_ok=True)
        work = _search if config.search else _compare
        work(config, folder.path)


def _compare(config, folder):
    """Trains by every scheme; writes the table and the figure."""
    problem = config
    test = draw(problem, problem.test_points, _TEST_SEED)
    best, _ = measures.measure(lambda x: posterior(problem, x), test)
    names, overrides = config.schemes, config.overrides()
    schemes = {name: SCHEMES[name].with_values(overrides) for name in names}
    found, panels = {}, {}
    for name, scheme in schemes.items():
        seeds = range(config.seeds)
        found[name], maps = _measured(config, folder, name, scheme, seeds, test)
        title = f"{scheme.title}\n{toy_report.accuracy(found[name])} %"
        panels[title] = maps[0]
    points = draw(problem, problem.train_points, 0, problem.label_noise)
    all_of_it = schemes, found, best, config
    text = toy_report.markdown(*all_of_it)
    files = pictures.boundaries(panels, points)
    files |= {"table.md": text, "table.json": toy_report.to_json(*all_of_it)}
    for name, content in files.items():
        write_atomically(folder / name, content)
    print(text)
    _say(f"Figure: {folder / 'toy.png'}, {folder / 'toy.svg'}")


def _search(config, folder):
    """Tries settings of every scheme; writes them, the best first."""
    test = draw(config, config.test_points, _VALIDATION_SEED)
    trials = {}
    for name in config.schemes:
        trials[name] = []
        for index in range(config.search):
            values = SCHEMES[name].setting(index)
            scheme = SCHEMES[name].with_values(values)
            found, _ = _measured(
                config, folder, f"{name}-{index}", scheme, _SEARCH_SEEDS, test
            )
            accuracies = [each.accuracy for each in found]
            trials[name].append({"values": values, "accuracies": accuracies})
        trials[name].sort(key=lambda trial: -np.mean(trial["accuracies"]))
    write_atomically(folder / "search.json", json.dumps(trials, indent=1))
    text = toy_report.of_search(trials, config)
    write_atomically(folder / "search.md", text)
    print(text)


def _measured(config, folder, name, scheme, seeds, test):
    """Trains what the folder lacks; `Measures` and maps of all seeds."""
    problem = config
    files = {s: folder / "trainings" / f"{name}-{s}.npz" for s in seeds}
    sets = {
        seed: draw(problem, problem.train_points, seed, problem.label_noise)
        for seed, path in files.items()
        if not path.exists()
    }
    for seed, model in trained(scheme, sets, config):
        found, field = measures.measure(
            lambda x, model=model: tf.nn.softmax(model(x))[:, 1], test
        )
        measures.write(files[seed], found, field)
        _say(f"{name}-{seed}: {100 * found.accuracy:.2f} %")
    # Also of what was just made: a result is the same either way.
    return zip(*map(measures.read, files.values()))


def _check(config):
    """Refuses flags that do not go together."""
    names, problem = config.schemes, config
    if not names or len(set(names) & set(SCHEMES)) < len(names):
        raise UsageError(
            f"--schemes={','.join(names)} must name some of "
            f"{', '.join(SCHEMES)}, each once."
        )
    for name in ("train_points", "test_points"):
        num = getattr(problem, name)
        if not 0 < round(num * problem.curve_share) < num:
            raise UsageError(
                f"--{name}={num} with --curve_share={problem.curve_share:g} "
                f"leaves a class without points: give more points."
            )
    if config.batch_size > problem.train_points:
        raise UsageError(
            f"--batch_size={config.batch_size} must be at most "
            f"--train_points={problem.train_points}."
        )
    given = ", ".join(f"--{name}" for name in config.overrides())
    if config.search and given:
        raise UsageError(
            f"--search tries values of its own: leave {given} out."
        )


def _say(text):
    print(text, file=sys.stderr, flush=True)
