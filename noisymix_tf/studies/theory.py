"""What the theory command does: exact values beside their predictions."""

import dataclasses
import json
import sys
from typing import NamedTuple

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.models import keras_file
from noisymix_tf.run_folder import opened
from noisymix_tf.studies import expansion, networks, pictures
from noisymix_tf.studies.adversarial import adversarial_gap
from noisymix_tf.studies.losses import noisymix_loss
from noisymix_tf.studies.points import (
    Points,
    ToyProblemConfig,
    draw,
    two_clouds,
)
from noisymix_tf.studies.tail import Tail, as_array, in_float64, one_hot

_HEAD = """\
# NoisyMix to second order

Standard loss {loss:.6g}.

| | value | times, in training | what it penalises |
| :-- | --: | --: | :-- |
{terms}

Times, in training: the moments for the defaults of NoisyMix.
"""
_SECTION = """
## {title}

| eps | exact | second order | remainder | remainder / eps^3 \
| exact / second order |
| --: | --: | --: | --: | --: | --: |
{rows}

Order of the remainder at the smallest eps: {order:.3f}.
"""


class Pair(NamedTuple):
    """Exact values and what the theory says of them, arrays `[E]`."""

    eps: np.ndarray
    exact: np.ndarray
    predicted: np.ndarray

    @property
    def remainder(self):
        """What the prediction leaves, `[E]`."""
        return self.exact - self.predicted

    @property
    def order(self):
        """Order in `eps` of the remainder, between the two smallest."""
        _, last = np.unique(self.eps, return_index=True)
        logs = np.log(np.abs([self.eps, self.remainder]))[:, last[:2]]
        return float(np.polyfit(*logs, 1)[0])


def run(config):
    """Compares the losses with their expansions, and prints the tables.

    Returns the `Regularizers`, and a dict from name to `Pair`.
    """
    if config.output_dir is None:
        return _compare(config)
    with opened(config) as folder:
        return _compare(config, folder.path)


def _compare(config, folder=None):
    points = _points(config)
    model = _model(config, *points)
    found = expansion.regularizers(model, *points, tap=config.tap)
    pairs, note = _pairs(config, model, points, found)
    text = _markdown(found, pairs, note)
    print(text)
    if folder is not None:
        write_atomically(folder / "theory.md", text)
        write_atomically(folder / "theory.json", _json(found, pairs))
        write_atomically(folder / "theory.png", pictures.orders(pairs))
        print(f"Plot: {folder / 'theory.png'}", file=sys.stderr)
    return found, pairs


def _points(run):
    """The examples, `Points` of any shape."""
    if run.data is None:
        x, y = draw(ToyProblemConfig(), run.points, run.seed)
        return Points(x.astype(np.float64), y)
    try:
        with np.load(run.data) as file:
            x, y = (file[name][: run.points] for name in ("x", "y"))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            f"--data={run.data} cannot be read ({error}): give a .npz file "
            f"with arrays x and y."
        ) from error
    return Points(as_array("x", x).astype(np.float64), as_array("y", y))


def _model(run, x, y):
    if run.model is not None:
        return in_float64(keras_file.read(run.model))
    if x.ndim != 2 or y.ndim != 1 or not x.size:
        raise UsageError(
            f"--data={run.data} has x of the shape {list(x.shape)}: for other "
            f"data than vectors with class numbers give a --model."
        )
    num_classes = max(2, int(y.max(initial=0)) + 1)
    one_hot(y, len(x), num_classes)
    return networks.fitted(x, y, "tanh", num_classes=num_classes, seed=run.seed)


def _pairs(config, model, points, found):
    """Everything that is compared, by name, and what there is to say of it."""
    loss, run, pairs = config, config, {}
    x, tap = points.x, run.tap
    eps = np.array(loss.eps)
    noise = {"additive": loss.additive, "multiplicative": loss.multiplicative}
    numbers = noise | {"noise_per_view": loss.noise_per_view}
    weights = {"loss": 0.0, "loss with divergence": loss.jsd_weight}
    for name, weight in weights.items():
        numbers["jsd_weight"] = weight
        exact = noisymix_loss(model, *points, loss.eps, tap=tap, **numbers)
        near = [found.expansion(each, **numbers) for each in loss.eps]
        pairs[name] = Pair(eps, np.array(exact), np.array(near))
    # Three views that move in random directions.
    rng = np.random.default_rng(run.seed)
    moves = rng.normal(size=[3, *Tail(model, x, tap).features.shape])
    values = [expansion.stability(model, x, e * moves, tap=tap) for e in eps]
    pairs["divergence"] = Pair(eps, *np.transpose(values))
    note = ""
    if run.model is None:
        points = two_clouds(run.points, run.seed)
        model = networks.fitted(*points, "relu", seed=run.seed, use_bias=False)
        note = (
            "The attack is on a ReLU network without biases, trained on two "
            "clouds: the theory is about such networks."
        )
    try:
        gaps = [adversarial_gap(model, *points, e, **noise) for e in loss.eps]
    except UsageError as error:
        return pairs, f"The loss under attack is not compared: {error}"
    found = [(each.gap, each.predicted) for each in gaps]
    return pairs | {"attack": Pair(eps, *np.transpose(found))}, note


def _markdown(found, pairs, note):
    weights = expansion.coefficients()
    terms = "\n".join(
        f"| {name.upper()} | {getattr(found, name):.6g} "
        f"| {weights[name]:.4g} | {meaning} |"
        for name, meaning in expansion.MEANINGS.items()
    )
    text = _HEAD.format(loss=found.loss, terms=terms)
    for name, pair in pairs.items():
        rows = "\n".join(
            f"| {eps:g} | {exact:.12g} | {near:.12g} | {exact - near:.3e} "
            f"| {(exact - near) / eps**3:.4g} | {exact / near:.5f} |"
            for eps, exact, near in zip(*pair)
        )
        title = pictures.TITLES.get(name, name.capitalize()).replace("\n", " ")
        text += _SECTION.format(title=title, rows=rows, order=pair.order)
    return f"{text}\n{note}\n"


def _json(found, pairs):
    content = {
        "regularizers": dataclasses.asdict(found),
        "coefficients": expansion.coefficients(),
        "comparisons": {
            name: {k: v.tolist() for k, v in pair._asdict().items()}
            for name, pair in pairs.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"
