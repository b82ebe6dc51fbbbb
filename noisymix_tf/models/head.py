"""The head of a classifier: its last layer with weights, a score a class."""

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.models import taps
from noisymix_tf.models.graph import Graph
from noisymix_tf.private import is_graph


def head_of(model) -> "keras.layers.Layer":
    """The layer of a classifier that gives each class its score.

    It is the last one with weights; behind it there are only activations,
    casts and changes of shape. It may lie in a nested model.

    Args:
        model: A functional or Sequential Keras model with one input and an
            output for each class.

    Returns:
        The layer of the model itself, mostly a `Dense` or a 1 x 1 `Conv2D`,
        whose weights end in an axis of classes. A model without such a layer is
        a `UsageError`.

    >>> import keras
    >>> logits = keras.layers.Dense(10, name="logits")
    >>> layers = [keras.Input([8, 8, 1]), keras.layers.Flatten(), logits]
    >>> head_of(keras.Sequential([*layers, keras.layers.Softmax()])).name
    'logits'
    """
    if not is_graph(model):
        raise UsageError(
            f"The model {model.name!r} ({type(model).__name__}) is no "
            f"functional or Sequential model, so its head cannot be told: give "
            f"one that is."
        )
    graph = Graph(model)
    positions = [i for i, s in enumerate(graph.steps) if taps.is_weighted(s)]
    why = "no layer has weights"
    if positions:
        head, *behind = graph.steps[positions[-1] :]
        why = f"{head.operation.name!r} is the last layer with weights"
        sizes = _sizes(graph, head.outputs)
        is_chain = all(
            not getattr(step.operation, "weights", None)
            and _sizes(graph, step.inputs) == _sizes(graph, step.outputs)
            for step in behind
        )
        classes = model.outputs[0].shape[-1]
        if is_chain and sizes == [classes]:
            return head.operation
    raise UsageError(
        f"The model {model.name!r} has no head ({why}): it has to end in a "
        f"layer with one output for each class, such as Dense, and behind it "
        f"only in activations."
    )


def _sizes(graph, values):
    """The sizes of what steps take or give, without the axes of one."""
    return [side for v in values for side in graph.shapes[v] if side != 1]
