"""What the door of the theory does."""

import pathlib
import sys

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.models import keras_file
from noisymix_tf.run_folder import RunFolder
from noisymix_tf.theory import comparison, figure, problems, report
from noisymix_tf.theory.arguments import as_array
from noisymix_tf.theory.precision import in_float64
from noisymix_tf.theory.tail import Tail
from noisymix_tf.theory.terms import coefficients
from noisymix_tf.toys.points import Problem


def run(config):
    """Compares the losses with their expansions, and prints the tables.

    Args:
        config: `noisymix_tf.config.theory.TheoryConfig`.

    Raises:
        UsageError: A model or data that cannot be used.
    """
    if config.run.output_dir is None:
        return _tables(config)
    with RunFolder(config) as folder:
        return _tables(config, folder.path)


def _tables(config, folder=None):
    x, y = _data(config.run)
    model = _model(config.run, x, y)
    found, pairs = _compare(config, model, x, y)
    notes = _attack(config, model, x, y, pairs)
    weights = coefficients()
    text = report.markdown(found, weights, pairs, notes)
    print(text)
    if folder is not None:
        write_atomically(folder / "theory.md", text)
        write_atomically(
            folder / "theory.json", report.to_json(found, weights, pairs)
        )
        write_atomically(folder / "theory.png", figure.draw(pairs))
        print(f"Plot: {folder / 'theory.png'}", file=sys.stderr)
    return found, pairs


def _compare(config, model, x, y):
    loss, tap = config.loss, config.run.tap
    numbers = {
        "tap": tap,
        "additive": loss.additive,
        "multiplicative": loss.multiplicative,
        "views": loss.noise_per_view,
    }
    eps = list(loss.eps)
    found, plain = comparison.expansion(model, x, y, eps, **numbers)
    _, whole = comparison.expansion(
        model, x, y, eps, jsd_weight=loss.jsd_weight, **numbers
    )
    moved = comparison.divergence(
        model,
        x,
        eps,
        tap=tap,
        dimension=int(Tail(model, x[:1], tap).features.shape[1]),
        seed=config.run.seed,
    )
    return found, {
        "loss": plain,
        "loss with divergence": whole,
        "divergence": moved,
    }


def _attack(config, model, x, y, pairs):
    """Adds the comparison with the attack; returns what there is to say."""
    loss = config.loss
    numbers = {"additive": loss.additive, "multiplicative": loss.multiplicative}
    if config.run.model is None:
        x, y = problems.clouds(config.run.points, config.run.seed)
        model = problems.piecewise_linear(x, y, config.run.seed)
    try:
        pairs["attack"] = comparison.attack(
            model, x, y, list(loss.eps), **numbers
        )
    except UsageError as error:
        return [f"The loss under attack is not compared: {error}"]
    if config.run.model is None:
        return [
            "The attack is on a ReLU network without biases, trained on two "
            "clouds: the theory is about such networks."
        ]
    return []


def _data(run):
    if run.data is None:
        points = Problem().draw(run.points, run.seed)
        return points.x.astype(np.float64), points.y
    try:
        with np.load(run.data) as file:
            x, y = (file[name][: run.points] for name in ("x", "y"))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            f"--data={run.data} cannot be read ({error}): give a .npz file "
            f"with arrays x and y."
        ) from error
    if len(x) != len(y):
        raise UsageError(
            f"--data={run.data} has {len(x)} examples and {len(y)} labels."
        )
    x, y = as_array("x", x), as_array("y", y)
    return x.astype(np.float64), y


def _model(run, x, y):
    if run.model is None:
        if x.ndim != 2 or y.ndim != 1:
            raise UsageError(
                f"--data={run.data} has x of the shape {list(x.shape)}: for "
                f"other data than vectors with class numbers give a --model."
            )
        if y.min() < 0 or (y != y.astype(int)).any():
            raise UsageError(
                f"--data={run.data} has y from {y.min():g} to {y.max():g}: "
                f"give class numbers 0, 1, 2..."
            )
        return problems.smooth(x, y, max(2, int(y.max()) + 1), run.seed)
    path = pathlib.Path(run.model)
    model = keras_file.read(path)
    if x.shape[1:] != tuple(model.inputs[0].shape[1:]):
        raise UsageError(
            f"--model={path} takes {list(model.inputs[0].shape[1:])} and the "
            f"data have {list(x.shape[1:])}: give --data for this model."
        )
    return in_float64(model)
