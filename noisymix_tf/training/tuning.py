"""Fine-tuning: which layers of a network train when, and how fast.

A network that is trained already needs other care than a new one: the head,
the layer that scores the classes, is mostly new and may learn faster; what lies
far from it may learn more slowly (Clark et al., arXiv:2003.10555) or not at
all; and where the head is trained alone first, the rest is not pulled along by
its errors (Kumar et al., arXiv:2202.10054).
"""

import bisect
import dataclasses
import difflib
import math
import typing
from collections.abc import Iterator

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.models import taps
from noisymix_tf.models.graph import Graph, head_of
from noisymix_tf.options import (
    AT_LEAST_0,
    BELOW_1,
    POSITIVE,
    Options,
    Range,
    option,
)

_MAX_LISTED = 12


@dataclasses.dataclass(frozen=True)
class TuningConfig(Options):
    """What of a network is trained, and how fast."""

    head_learning_rate: float | None = option(
        None,
        "Learning rate at the start of the head, the layer that scores the "
        "classes; by default that of the others.",
        POSITIVE,
    )
    layer_decay: float = option(
        1.0,
        "Factor of the learning rate from a block to the one in front of it; "
        "the last block has it once, the head not at all.",
        Range(lambda v: 0 < v <= 1, "in (0, 1]"),
    )
    freeze_epochs: int = option(
        0,
        "Epochs, the first of --epochs, in which the head is trained alone, "
        "with a cosine of its own; then all is, with a new optimizer, warm-up "
        "and cosine.",
        AT_LEAST_0,
    )
    freeze: tuple[str, ...] = option(
        (),
        "Layers that are not trained: those whose names begin so; in nested "
        "models they are model/layer.",
    )
    bn_momentum: float | None = option(
        None,
        "Momentum of the moving statistics of batch normalisation; by default "
        "the network's own.",
        BELOW_1,
    )
    freeze_batch_norm: bool = option(
        False,
        "Leave statistics, scale and offset of batch normalisation as they "
        "came, and normalise by them.",
    )


class Phase(typing.NamedTuple):
    """A stretch of a training, which has an optimizer of its own."""

    epochs: int
    warmup_epochs: float
    of_head: bool  # Whether the head is trained alone.


def phases(config) -> list[Phase]:
    """The phases of a training, of `TuningConfig` and `OptimizerConfig`."""
    count = config.freeze_epochs
    last = Phase(config.epochs - count, config.warmup_epochs, False)
    return [Phase(count, 0.0, True), last] if count else [last]


class Tuning:
    """Says which layers of a classifier are trained, and announces it.

    At first they are as in the last phase of the `TuningConfig` and
    `OptimizerConfig`. Layers that are not trainable as the built classifier
    comes stay so. What an option names and is not there, or is not trained, is
    a `UsageError`.
    """

    def __init__(self, config, classifier):
        self._config, self._classifier = config, classifier
        self._came = [(*pair, pair[1].trainable) for pair in named(classifier)]
        self._check_names()
        self._set_batch_norm()
        of_head = "freeze_epochs" if config.freeze_epochs else None
        of_head = "head_learning_rate" if config.head_learning_rate else of_head
        self._head = head_of(classifier) if of_head else None
        self._counts = []
        for phase in phases(config):
            self.enter(phase)
            if of_head and not self._head.trainable:
                raise UsageError(
                    f"--{of_head} is about the head, {self._head.name!r}, "
                    f"which is not trained: leave it out, or freeze less."
                )
            trained = classifier.trainable_variables
            if not trained:
                raise UsageError(
                    f"Nothing of {classifier.name!r} is left to train: freeze "
                    f"less of it."
                )
            self._counts.append(sum(math.prod(v.shape) for v in trained))

    def _check_names(self):
        names = {name: None for name, layer, _ in self._came if layer.weights}
        for prefix in self._config.freeze:
            if not any(name.startswith(prefix) for name in names):
                close = difflib.get_close_matches(prefix, names, 3)
                shown = close or [*names][:_MAX_LISTED]
                raise UsageError(
                    f"--freeze={prefix}: the name of no layer with weights "
                    f"begins so; {'close to it' if close else 'some'} are "
                    f"{', '.join(shown)}."
                )

    def _set_batch_norm(self):
        momentum = self._config.bn_momentum
        norms = [layer for _, layer, _ in self._came if _is_batch_norm(layer)]
        if momentum is not None:
            for layer in norms:
                layer.momentum = momentum
        elif not self._config.freeze_batch_norm:
            return
        if not norms:
            flag = "freeze_batch_norm" if momentum is None else "bn_momentum"
            raise UsageError(
                f"--{flag} does nothing: {self._classifier.name!r} has no "
                f"batch normalisation. Leave it out."
            )

    def enter(self, phase: Phase) -> None:
        """Makes the layers trainable that are trained in a phase."""
        for name, layer, came in self._came:
            layer.trainable = came and not self._is_frozen(name, layer, phase)

    def leave(self) -> None:
        """Makes the layers trainable that were so as the classifier came."""
        for _, layer, came in self._came:
            layer.trainable = came

    def _is_frozen(self, name, layer, phase):
        if name.startswith(tuple(self._config.freeze)):
            return True
        if self._config.freeze_batch_norm and _is_batch_norm(layer):
            return True
        # What is neither inside of the head nor around it.
        return phase.of_head and not (
            layer in self._head._flatten_layers()
            or self._head in layer._flatten_layers()
        )

    def rate_factors(self) -> list[float] | None:
        """`rate_factors` of what is trained now; None where all are 1."""
        rate, decay = self._config.head_learning_rate, self._config.layer_decay
        if rate is None and decay == 1:
            return None
        head = 1.0 if rate is None else rate / self._config.learning_rate
        return rate_factors(self._classifier, head, decay)

    def describe(self) -> str:
        """What is trained, in words for behind the number of parameters."""
        config, words = self._config, ""
        *alone, last = self._counts
        frozen = any(not each.trainable for _, each, _ in self._came)
        if alone or frozen:
            words += f", of which {last:,} train"
        for count in alone:
            words += f", at first the head's {count:,} alone"
        if factors := self.rate_factors():
            low, high = min(factors), max(factors)
            words += f", at {low:.3g} to {high:.3g} times the learning rate"
        if config.bn_momentum is not None:
            words += f"; momentum of batch normalisation {config.bn_momentum:g}"
        return words


def _is_batch_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def named(model, above="") -> Iterator[tuple[str, "keras.layers.Layer"]]:
    """`(name, layer)` of all layers, `"model/layer"` of those inside another.

    A layer comes before those inside it.
    """
    for layer in model._flatten_layers(include_self=False, recursive=False):
        yield f"{above}{layer.name}", layer
        yield from named(layer, f"{above}{layer.name}/")


def rate_factors(model, head=1.0, layer_decay=1.0) -> list[float]:
    """Factors of the learning rate, for the optimizers of this package.

    Args:
        model: A functional or Sequential classifier.
        head: Factor of its head (`models.graph.head_of`).
        layer_decay: Factor, in (0, 1], from a block to the one in front of it.
            The last block has it once. Blocks are those among which the taps
            are chosen; what is behind the last belongs to it.

    Returns:
        A factor for each of `model.trainable_variables`.

    >>> import keras
    >>> blocks = [keras.layers.Dense(4, use_bias=False) for _ in range(3)]
    >>> model = keras.Sequential([keras.Input([2]), *blocks])
    >>> rate_factors(model, head=10, layer_decay=0.5)
    [0.25, 0.5, 10.0]
    """
    of_head = {id(variable) for variable in head_of(model).variables}
    graph, away = Graph(model), {}
    ends = [block.position for block in taps.blocks(graph)]
    for position, step in enumerate(graph.steps):
        behind = max(len(ends) - bisect.bisect_left(ends, position), 1)
        variables = getattr(step.operation, "variables", ())
        away |= {id(variable): behind for variable in variables}
    return [
        float(head) if id(v) in of_head else layer_decay ** away[id(v)]
        for v in model.trainable_variables
    ]
