"""What the theory command does: exact values beside their predictions."""

import dataclasses
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from noisymix_tf import marked
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically, write_json
from noisymix_tf.models import classifier
from noisymix_tf.progress import say
from noisymix_tf.run_folder import opened
from noisymix_tf.studies import expansion, measures, networks, points
from noisymix_tf.studies.losses import adversarial_gap, noisymix_loss
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
# Where they are more than a pair's name.
_TITLES = {
    "divergence": "Divergence of\ndisplaced views",
    "attack": "Loss minus\nloss under attack",
}


class Pair(NamedTuple):
    """Exact values and what the theory says of them, arrays `[E]`."""

    eps: np.ndarray
    exact: np.ndarray
    predicted: np.ndarray

    @property
    def remainder(self) -> np.ndarray:
        """What the prediction leaves, `[E]`."""
        return self.exact - self.predicted

    @property
    def order(self) -> float:
        """Order in `eps` of the remainder, between the two smallest."""
        _, last = np.unique(self.eps, return_index=True)
        logs = np.log(np.abs([self.eps, self.remainder]))[:, last[:2]]
        return float(np.polyfit(*logs, 1)[0])


def run(config) -> tuple[expansion.Regularizers, dict[str, Pair]]:
    """Compares the losses with their expansions, and prints the tables."""
    if config.output_dir is None:
        return _compare(config)
    with opened(config) as folder:
        return _compare(config, folder.path)


def _compare(config, folder=None):
    x, y = _examples(config)
    model = _model(config, x, y)
    found = expansion.regularizers(model, x, y, tap=config.tap)
    attack, note = _attack(config, model, x, y)
    values = _losses(config, model, x, y, found)
    values |= {"divergence": _divergence(config, model, x)} | attack
    eps = np.array(config.eps)
    pairs = {name: Pair(eps, *map(np.array, v)) for name, v in values.items()}
    text = _markdown(found, pairs, note)
    print(text)
    if folder is not None:
        write_atomically(folder / "theory.md", text)
        write_json(folder / "theory.json", _json(found, pairs))
        write_atomically(
            folder / "theory.png", measures.to_bytes(_drawn(pairs))
        )
        say(f"Plot: {folder / 'theory.png'}")
    facts = f"Seed {config.seed}, {len(x)} examples"
    marked.write(config.write_to, text, facts)
    return found, pairs


def _examples(config):
    """Examples of any shape, float64, and their labels."""
    if config.data is None:
        problem = points.ToyProblemConfig()
        x, y = points.draw(problem, config.points, config.seed)
        return x.astype(np.float64), y
    try:
        with np.load(config.data) as file:
            x, y = (file[name][: config.points] for name in ("x", "y"))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            f"--data={config.data} cannot be read ({error}): give a .npz file "
            f"with arrays x and y."
        ) from error
    return as_array("x", x).astype(np.float64), as_array("y", y)


def _model(config, x, y):
    if config.model is not None:
        return in_float64(classifier.read(config.model))
    if x.ndim != 2 or y.ndim != 1 or not x.size:
        raise UsageError(
            f"--data={config.data} has x of the shape {list(x.shape)}: for "
            f"other data than vectors with class numbers give a --model."
        )
    num_classes = max(2, int(y.max(initial=0)) + 1)
    one_hot(y, len(x), num_classes)
    return networks.fitted(
        x, y, "tanh", num_classes=num_classes, seed=config.seed
    )


def _losses(config, model, x, y, found):
    """Exact and predicted: without the divergence of views, and with it."""
    eps, values = config.eps, {}
    numbers = _noise(config) | {"noise_per_view": config.noise_per_view}
    weights = {"loss": 0.0, "loss with divergence": config.jsd_weight}
    for name, weight in weights.items():
        numbers["jsd_weight"] = weight
        exact = noisymix_loss(model, x, y, eps, tap=config.tap, **numbers)
        values[name] = exact, [found.expansion(e, **numbers) for e in eps]
    return values


def _divergence(config, model, x):
    """That of three views that move in random directions."""
    rng, tap = np.random.default_rng(config.seed), config.tap
    moves = rng.normal(size=[3, *Tail(model, x, tap).features.shape])
    moved = (eps * moves for eps in config.eps)
    return zip(*(expansion.stability(model, x, m, tap=tap) for m in moved))


def _attack(config, model, x, y):
    """The gap to the loss under attack by name, and what to say of it."""
    note = ""
    if config.model is None:
        x, y = points.two_clouds(config.points, config.seed)
        model = networks.fitted(x, y, "relu", seed=config.seed, use_bias=False)
        note = (
            "The attack is on a ReLU network without biases, trained on two "
            "clouds: the theory is about such networks."
        )
    noise = _noise(config)
    try:
        found = [adversarial_gap(model, x, y, e, **noise) for e in config.eps]
    except UsageError as error:
        return {}, f"The loss under attack is not compared: {error}"
    return {"attack": zip(*((own.gap, own.predicted) for own in found))}, note


def _noise(config):
    return {
        "additive": config.additive,
        "multiplicative": config.multiplicative,
    }


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
        title = _TITLES.get(name, name.capitalize()).replace("\n", " ")
        text += _SECTION.format(title=title, rows=rows, order=pair.order)
    return f"{text}\n{note}\n"


def _json(found, pairs):
    return {
        "regularizers": dataclasses.asdict(found),
        "coefficients": expansion.coefficients(),
        "comparisons": {
            name: {k: v.tolist() for k, v in pair._asdict().items()}
            for name, pair in pairs.items()
        },
    }


def _drawn(pairs):
    """`Pair`s on logarithmic axes; remainders of the losses share a panel."""
    figure = Figure((2.9 * (len(pairs) - 1), 3.2), layout="constrained")
    first, *axes = figure.subplots(1, len(pairs) - 1)
    for name, colour, style in (
        ("loss with divergence", measures.ORANGE, "s-"),
        ("loss", measures.BLUE, "o-"),
    ):
        eps, rest = pairs[name].eps, np.abs(pairs[name].remainder)
        first.loglog(eps, rest, style, color=colour, markersize=5, label=name)
        smallest = np.argmin(eps)
        cubes = rest[smallest] * (eps / eps[smallest]) ** 3
        (guide,) = first.loglog(eps, cubes, ":", color="grey")
    guide.set_label("eps³")
    _finish(first, "Loss minus its\nsecond-order expansion")
    for ax, (name, title) in zip(axes, _TITLES.items()):
        eps, exact, near = pairs[name]
        # Values below zero, where eps is too large for the theory, leave gaps.
        exact = np.where(exact > 0, exact, np.nan)
        look = {"markersize": 6, "label": "exact"}
        ax.loglog(eps, exact, "o", color=measures.BLUE, **look)
        look = {"color": measures.ORANGE, "label": "predicted (eps²)"}
        ax.loglog(eps, near, **look)
        _finish(ax, title)
    return figure


def _finish(ax, title):
    ax.set_title(title, fontsize=11)
    ax.set_xlabel("eps", fontsize=10)
    ax.tick_params(labelsize=9)
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.legend(fontsize=8.5)
