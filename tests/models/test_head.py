"""The layer that scores the classes is found, or it is said that none is."""

import keras
import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.models.head import head_of

L = keras.layers
FLAT = [keras.Input([4, 4, 1]), L.Flatten()]
TOO_LATE = {
    "no layer has weights": [*FLAT, L.Softmax()],
    "is the last layer": [*FLAT, L.Dense(8), L.BatchNormalization()],
    "'pooled'": [
        *FLAT,
        L.Dense(8, name="pooled"),
        L.Reshape([4, 2]),
        L.GlobalAveragePooling1D(),
    ],
}


HEADS = {"MobileNetV3Small": "logits", "EfficientNetB0": "predictions"}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_of_a_nested_network(name):
    """The last weights, also of a 1 x 1 convolution, whatever the axis."""
    build = getattr(keras.applications, name)
    inputs = keras.Input([32, 32, 3])
    options = {"input_shape": inputs.shape[1:], "classifier_activation": None}
    body = build(weights=None, classes=7, **options)
    h = keras.ops.softmax(body(L.RandomFlip(seed=0)(inputs)))
    model = keras.Model(inputs, L.Activation("linear", dtype="float32")(h))
    head = head_of(model)
    assert head is body.get_layer(HEADS[name]) and head.bias.shape == (7,)


@pytest.mark.parametrize("why", TOO_LATE)
def test_a_model_without_a_head_is_refused(why):
    with pytest.raises(UsageError, match=f"no head.*{why}"):
        head_of(keras.Sequential(TOO_LATE[why]))


def test_a_model_without_a_graph_is_refused():
    with pytest.raises(UsageError, match="no functional or Sequential"):
        head_of(type("Own", (keras.Model,), {})())
