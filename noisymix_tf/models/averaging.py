"""Averages of the weights of models of one architecture.

Between a pretrained network and its fine-tuned self lie networks that lose
little on clean images and gain under shift (Wortsman et al., WiSE-FT,
arXiv:2109.01903); so does the average of several fine-tunings (Wortsman et al.,
model soups, arXiv:2203.05482). Statistics of batch normalisation do not
average: they belong to the weights in front of them, and are estimated anew
(Izmailov et al., arXiv:1803.05407, section 3.2).
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf
from noisymix_tf.models.pretrained import is_softmax

# Of a layer's configuration, what does not change what it gives in inference.
_FREE = {"name", "trainable", "dtype", "seed", "rate", "dropout"}
_FREE |= {"momentum", "synchronized"}
_LAWS = ("_initializer", "_regularizer", "_constraint")


def average(model, ingredients: Sequence, shares: Sequence) -> None:
    """Sets a model's weights to a weighted mean of others'.

    Args:
        model: Keras model that gets them; it may be one of the ingredients.
        ingredients: Keras models of its architecture.
        shares: Of each, in [0, 1]; they sum to one.

    Raises:
        UsageError: Weights differ in number or shape, layers in what they do
            with them, or shares do not fit.

    >>> a, b = (keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    ...         for _ in range(2))
    >>> b.set_weights([np.ones([2, 1]), np.ones([1])])
    >>> average(a, [b, b], [0.25, 0.75])
    >>> float(a.weights[1][0])
    1.0
    """
    if len(shares) != len(ingredients) or not np.isclose(sum(shares), 1.0):
        raise UsageError(
            f"{len(ingredients)} models cannot have the shares {list(shares)}: "
            f"give one for each, 1 in all."
        )
    for other in ingredients:
        check_alike(model, other)
    values = []
    for own in zip(*(other.weights for other in ingredients)):
        # The generators of dropout have states that are no numbers to average.
        if keras.backend.is_float_dtype(own[0].dtype):
            parts = [np.asarray(v, np.float64) * s for v, s in zip(own, shares)]
            values.append(sum(parts[1:], parts[0]).astype(own[0].dtype))
        else:
            values.append(np.asarray(own[0]))
    for variable, value in zip(model.weights, values):
        variable.assign(value)


def check_alike(model, other) -> None:
    """Refuses two models whose weights cannot be averaged."""
    for what, facts in (("weights", _weights), ("settings", _settings)):
        first, second = facts(model), facts(other)
        pairs = zip(first, second)
        differing = [f"{n}: {a}, not {b}" for (n, a), (_, b) in pairs if a != b]
        if len(first) != len(second):
            differing.append(f"{len(first)} {what}, not {len(second)}")
        if differing:
            raise UsageError(
                f"{model.name!r} and {other.name!r} are not of one "
                f"architecture ({differing[0]}): average models that were "
                f"trained from the same network."
            )


def _weights(model):
    """`(path, name and shape)` of each."""
    return [
        (v.path, f"{v.path.rpartition('/')[2]} {tuple(v.shape)}")
        for v in model.weights
    ]


def _settings(model):
    """`(layer and key, value)` of all that layers are but their weights.

    But for a softmax, which `pretrained.adapted` takes off.
    """
    found = []
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.Model | keras.layers.InputLayer):
            continue
        kind = type(layer).__name__
        try:
            config = _computed(layer.get_config())
            config = keras.saving.serialize_keras_object(config)
        except Exception:  # A user's `get_config` may fail in any way.
            config = {}
        if is_softmax(layer):
            config["activation"] = "linear"
        is_linear = config.get("activation") == "linear"
        if is_linear and kind in ("Activation", "Softmax"):
            continue
        found.append((layer.name, kind))
        for key in sorted(config):
            words = json.dumps(config[key], default=str)
            found.append((f"{layer.name} {key}", words))
    return found


def _computed(value):
    """A configuration without what is free, at any depth."""
    if isinstance(value, dict):
        names = [n for n in value if n not in _FREE and not n.endswith(_LAWS)]
        return {name: _computed(value[name]) for name in names}
    # A file of the older form has lists for tuples.
    are_many = isinstance(value, list | tuple)
    return [*map(_computed, value)] if are_many else value


def normalisations(model) -> list:
    """The layers of batch normalisation that have statistics."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def estimate_statistics(model, batches: Iterable) -> None:
    """Sets batch normalisation to the mean statistics of some batches.

    Args:
        model: Keras model; whatever else of it a pass in training changes is as
            before.
        batches: Of what it takes, `[B, ...]`, all of one size, at least one.
    """
    layers = normalisations(model)
    statistics = [v for x in layers for v in (x.moving_mean, x.moving_variance)]
    paths = {variable.path for variable in statistics}
    others = [v for v in model.non_trainable_variables if v.path not in paths]
    before = [np.asarray(variable) for variable in others]
    kept = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        # What then is kept is what the last batch had.
        layer.momentum, layer.trainable = 0.0, True
    forward = tf.function(lambda batch: model(batch, training=True))
    sums, number = [0.0] * len(statistics), 0
    try:
        for batch in batches:
            forward(tf.cast(batch, model.inputs[0].dtype))
            found = (np.asarray(v, np.float64) for v in statistics)
            sums, number = list(map(np.add, sums, found)), number + 1
    finally:
        for layer, (momentum, trainable) in zip(layers, kept):
            layer.momentum, layer.trainable = momentum, trainable
        for variable, value in zip(others, before):
            variable.assign(value)
    for variable, total in zip(statistics, sums):
        variable.assign((total / number).astype(variable.dtype))
