"""Rows of a comparison: runs that differ in nothing but their seed."""

import collections
import dataclasses
import functools

from noisymix_tf.comparison import methods
from noisymix_tf.comparison.budget import BUDGET, differing
from noisymix_tf.config import Config
from noisymix_tf.run_folder import flag_value


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs of one row.

    Attributes:
        title: What the row is called: the method, and what tells it from
            other rows of the same method.
        method: Name of the method.
        runs: `runs.Run`s, by seed.
    """

    title: str
    method: str
    runs: tuple


def of_runs(runs):
    """Rows of runs, in the order of the paper's table.

    Args:
        runs: `runs.Run`s.

    Returns:
        List of `Group`.
    """
    rows = {}
    for run in runs:
        rows.setdefault(_recipe(run), []).append(run)
    recipes = sorted(rows, key=lambda r: methods.place(_value(r, "method")))
    return [
        Group(
            _title(recipe, recipes),
            _value(recipe, "method"),
            tuple(sorted(rows[recipe], key=lambda run: run.seed)),
        )
        for recipe in recipes
    ]


def repeated(groups):
    """Lines on seeds that a row has several runs of."""
    return [
        f"seed {seed} of {group.title} is there {number} times ({paths})"
        for group in groups
        for seed, number in collections.Counter(
            run.seed for run in group.runs
        ).items()
        if number > 1
        for paths in [
            ", ".join(str(r.path) for r in group.runs if r.seed == seed)
        ]
    ]


def differing_recipes(groups):
    """Lines on what rows differ in that is no part of their methods."""
    lines = []
    for name in _common_flags():
        values = {
            group.title: group.runs[0].value(name) or "not set"
            for group in groups
        }
        lines += differing(name, values)
    return lines


def _title(recipe, recipes):
    """The method, with the flags in which rows of the same method differ."""
    method = _value(recipe, "method")
    same = [dict(r) for r in recipes if _value(r, "method") == method]
    own = dict(recipe)
    words = [
        f"{name}={flag_value(own[name]) or 'not set'}"
        for name in own
        if any(other[name] != own[name] for other in same)
    ]
    title = methods.title(method)
    return f"{title} ({', '.join(words)})" if words else title


def _recipe(run):
    """All flags that decide what is trained, but for the seed."""
    return tuple((name, run.flags.get(name)) for name in _trained())


def _value(recipe, name):
    return flag_value(dict(recipe)[name])


@functools.cache
def _trained():
    """Names of the flags of a training, without those of budget and seed."""
    names = Config().flags(with_free=False)
    return tuple(n for n in names if n not in (*BUDGET, "seed"))


@functools.cache
def _common_flags():
    """Those of them that belong to no method."""
    config = Config()
    return tuple(
        field.name
        for group in (config.data, config.model, config.optimizer)
        for field in dataclasses.fields(group)
        if field.name in _trained()
    )
