"""Networks in double precision, where differences of losses can be seen."""

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.training.segments import is_graph


def in_float64(model):
    """Makes a copy of a network that computes in float64.

    Args:
        model: Functional or Sequential Keras model, built.

    Returns:
        Another model with the same weights. A model in float64 is returned as
        it is.

    Raises:
        UsageError: A model without a graph of layers.
    """
    model = classifier_of(model)
    if len(getattr(model, "inputs", None) or [0]) != 1:
        raise UsageError(
            f"The model has {len(model.inputs)} inputs: give one with one."
        )
    if not is_graph(model):
        raise UsageError(
            f"{type(model).__name__} has no graph of layers to copy: give a "
            f"functional or Sequential model."
        )
    ends = (model.inputs[0], model.outputs[0], *model.trainable_weights)
    if all(end.dtype == "float64" for end in ends):
        return model

    def convert(layer):
        return type(layer).from_config(
            {**layer.get_config(), "dtype": "float64"}
        )

    inputs = keras.Input(model.inputs[0].shape[1:], dtype="float64")
    copy = keras.models.clone_model(
        model, input_tensors=inputs, clone_function=convert, recursive=True
    )
    copy.set_weights(model.get_weights())
    return copy
