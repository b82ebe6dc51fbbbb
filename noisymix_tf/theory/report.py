"""The tables of the comparison, as Markdown and as JSON."""

import dataclasses
import json

_MEANINGS = {
    "r1": "mixing: towards the mean of the examples",
    "r2": "mixing: squared gradients along differences of examples",
    "r3": "mixing: curvature along differences of examples",
    "a2": "additive noise: squared gradients",
    "a3": "additive noise: curvature",
    "m2": "multiplicative noise: squared gradients",
    "m3": "multiplicative noise: curvature",
}


def markdown(found, coefficients, pairs, notes):
    """All tables.

    Args:
        found: `Regularizers`.
        coefficients: What each is multiplied by in training.
        pairs: Dict from name to `Pair`: `loss`, `loss with divergence`,
            `divergence` and, where it was compared, `attack`.
        notes: Lines that explain what was compared or not.
    """
    lines = [
        "# NoisyMix to second order",
        "",
        f"Standard loss {found.loss:.6g}.",
        "",
        "| | value | times, in training | what it penalises |",
        "| :-- | --: | --: | :-- |",
    ]
    for name, meaning in _MEANINGS.items():
        value = getattr(found, name)
        lines.append(
            f"| {name.upper()} | {value:.6g} | {coefficients[name]:.4g} "
            f"| {meaning} |"
        )
    lines += [
        "",
        "Times, in training: the moments for the defaults of NoisyMix.",
    ]
    for name in ("loss", "loss with divergence"):
        lines += ["", f"## {name.capitalize()}", "", *_remainders(pairs[name])]
    for name in ("divergence", "attack"):
        if name in pairs:
            lines += ["", f"## {_TITLES[name]}", "", *_ratios(pairs[name])]
    return "\n".join([*lines, "", *notes]) + "\n"


_TITLES = {
    "divergence": "Divergence of displaced views",
    "attack": "Loss minus loss under attack",
}


def to_json(found, coefficients, pairs):
    """The same numbers as JSON."""
    content = {
        "regularizers": dataclasses.asdict(found),
        "coefficients": coefficients,
        "comparisons": {
            name: {
                key: value.tolist()
                for key, value in dataclasses.asdict(pair).items()
            }
            for name, pair in pairs.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"


def _remainders(pair):
    yield "| eps | exact | second order | remainder | remainder / eps^3 |"
    yield "| --: | --: | --: | --: | --: |"
    for eps, exact, near, rest in zip(
        pair.eps, pair.exact, pair.predicted, pair.remainder
    ):
        yield (
            f"| {eps:g} | {exact:.12g} | {near:.12g} | {rest:.3e} "
            f"| {rest / eps**3:.4f} |"
        )
    yield ""
    yield f"Order of the remainder at the smallest eps: {pair.slope:.3f}."


def _ratios(pair):
    yield "| eps | exact | predicted | exact / predicted |"
    yield "| --: | --: | --: | --: |"
    for eps, exact, near, ratio in zip(
        pair.eps, pair.exact, pair.predicted, pair.ratio
    ):
        yield f"| {eps:g} | {exact:.6e} | {near:.6e} | {ratio:.5f} |"
